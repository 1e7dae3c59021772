/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/observe.h"
#include "sys/fd.h"
#include "sys/loop.h"
#include "wire/host_json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long a FIFO is waited for that nobody reads, or not any more, in ms. */
#define READER_MS 10000

struct snapshot_options {
	const char *place;
	const char *output;
};

static const struct option options[] = {
	{ "gate", required_argument, NULL, 'g' },
	{ "output", required_argument, NULL, 'o' },
	{ NULL, 0, NULL, 0 },
};

/* Not 0: an unknown flag, or an argument; that was told. */
static int parse(int argc, char **argv, struct snapshot_options *ret)
{
	int c;

	while ((c = cli_flag(&verb_snapshot, argc, argv)) != -1) {
		if (c == 'g')
			ret->place = optarg;
		else if (c == 'o')
			ret->output = optarg;
		else
			return cli_wrong_flag(&verb_snapshot);
	}
	if (optind == argc)
		return 0;
	return cli_usage(&verb_snapshot, "snapshot takes no argument: -o %s?", argv[optind]);
}

/* Whoever reads standard output, as a pager does, may take his time; @limit_ms -1. */
static int write_all(int fd, const char *text, size_t size, int limit_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EAGAIN && poll(&p, 1, limit_ms) == 0)
			return -ETIMEDOUT;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

static bool is_fifo(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/*
 * Who is connected to this host is nobody else's business: mode 0600.  A FIFO without a
 * reader would be waited for without end (fifo(7)).
 */
static int open_output(const char *path)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	int64_t until = clock_ms() + READER_MS;
	int fd;

	while ((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600)) < 0 &&
	       errno == ENXIO && is_fifo(path) && clock_ms() < until)
		nanosleep(&pause, NULL);
	return fd;
}

static int write_file(const char *path, const struct text *t, struct err *e)
{
	int fd CLEANUP_FD = open_output(path);
	int r;

	if (fd < 0 && errno == ENXIO && is_fifo(path))
		return err_set(e, ENXIO,
			       "%s is a FIFO that nobody has read for %d s: start its reader first",
			       path, READER_MS / 1000);
	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	r = write_all(fd, text_str(t), t->len, READER_MS);
	if (r == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "%s: its reader has taken nothing for %d s", path,
			       READER_MS / 1000);
	return r < 0 ? err_errno(e, -r, "%s", path) : 0;
}

static int snapshot(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text t CLEANUP_TEXT = { 0 }, said CLEANUP_TEXT = { 0 };
	struct snapshot_options o = { 0 };
	struct host host;
	struct err e;
	int r;

	r = parse(argc, argv, &o);
	if (r)
		return r;
	r = host_observe(&a, o.place, HOST_ALL, &host, &said, &e);
	if (r < 0)
		return cli_fail(1, "%s", e.text);
	if (said.len)
		cli_fail(0, "%s", text_str(&said));
	host_json_write(&t, &host);
	if (o.output)
		r = write_file(o.output, &t, &e);
	else if ((r = write_all(STDOUT_FILENO, text_str(&t), t.len, -1)) < 0)
		err_errno(&e, -r, "standard output");
	return r < 0 ? cli_fail(1, "%s", e.text) : 0;
}

const struct verb verb_snapshot = {
	.name = "snapshot",
	.flags = options,
	.shorts = "o:",
	.usage = "snapshot [--gate GATE|PID|PATH] [-o FILE]",
	.words = "the routing of this host as JSON, for explain and rehearse elsewhere",
	.run = snapshot,
};
