/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/files.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define MIB     ((size_t)1 << 20)

/* A child that writes a byte each so many milliseconds, and then ends. */
struct writer {
	pid_t pid;
	int fd;
};

static void drip(int fd, int every_ms, size_t n_bytes)
{
	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; i < n_bytes; i++) {
		if (poll(NULL, 0, every_ms) < 0 || write(fd, "x", 1) != 1)
			break;
	}
	_exit(0);
}

static struct writer writer_start(int every_ms, size_t n_bytes)
{
	struct writer w = { 0 };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	w.pid = fork();
	assert_true(w.pid >= 0);
	if (w.pid == 0) {
		close(ends[0]);
		drip(ends[1], every_ms, n_bytes);
	}
	close(ends[1]);
	w.fd = ends[0];
	return w;
}

static void writer_end(struct writer *w)
{
	fd_close(&w->fd);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
}

static void what_drips_is_read_to_its_end(void **state)
{
	const struct stream_limits limits = { MIB, LONG_MS, LONG_MS };
	struct text t CLEANUP_TEXT = { 0 };
	struct writer w = writer_start(5, 20);
	struct err e;

	(void)state;
	assert_int_equal(file_read_stream(w.fd, &limits, &t, &e), 0);
	assert_string_equal(text_str(&t), "xxxxxxxxxxxxxxxxxxxx");
	writer_end(&w);
}

/* Each byte comes in time, and the end never. */
static void what_drips_for_ever_is_given_up(void **state)
{
	const struct stream_limits limits = { MIB, LONG_MS, 1000 };
	struct text t CLEANUP_TEXT = { 0 };
	struct writer w = writer_start(20, 3000);
	int64_t began = clock_ms();
	struct err e;

	(void)state;
	assert_int_equal(file_read_stream(w.fd, &limits, &t, &e), -ETIMEDOUT);
	assert_string_equal(e.text, "its end has not come in 1 s: save it in a file first, and "
				    "give that file");
	assert_in_range(clock_ms() - began, 1000, 20000);
	assert_true(t.len > 0);
	writer_end(&w);
}

static void expect_silence(int fd)
{
	const struct stream_limits limits = { MIB, 1000, LONG_MS };
	struct text t CLEANUP_TEXT = { 0 };
	int64_t began = clock_ms();
	struct err e;

	assert_int_equal(file_read_stream(fd, &limits, &t, &e), -ETIMEDOUT);
	assert_string_equal(e.text, "nothing came for 1 s: save it in a file first, and give that "
				    "file");
	assert_in_range(clock_ms() - began, 1000, 20000);
}

static void a_writer_that_says_nothing_is_given_up(void **state)
{
	struct writer w = writer_start(LONG_MS, 1);

	(void)state;
	expect_silence(w.fd);
	writer_end(&w);
}

/* As it is opened for that: open(2) itself would wait otherwise. */
static void a_fifo_that_nobody_writes_is_given_up(void **state)
{
	char dir[] = "/tmp/test_files.XXXXXX";
	char path[64];
	int fd CLEANUP_FD = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_true(strlen(dir) + sizeof("/fifo") <= sizeof(path));
	strcpy(path, dir);
	strcat(path, "/fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	expect_silence(fd);
	unlink(path);
	rmdir(dir);
}

static void a_pipe_has_a_limit_of_bytes(void **state)
{
	const struct stream_limits limits = { 10, LONG_MS, LONG_MS };
	struct err e;

	(void)state;
	for (size_t n = 10; n <= 11; n++) {
		struct text t CLEANUP_TEXT = { 0 };
		struct writer w = writer_start(1, n);

		assert_int_equal(file_read_stream(w.fd, &limits, &t, &e), n == 10 ? 0 : -EFBIG);
		assert_true(n == 10 ? t.len == 10 : t.len <= 10);
		writer_end(&w);
	}
}

static void a_file_that_is_too_large_is_not_begun(void **state)
{
	const struct stream_limits limits = { MIB, LONG_MS, LONG_MS };
	struct text t CLEANUP_TEXT = { 0 };
	int fd CLEANUP_FD = memfd_create("large", MFD_CLOEXEC);
	struct err e;

	(void)state;
	assert_int_equal(ftruncate(fd, MIB + 1), 0);
	assert_int_equal(file_read_stream(fd, &limits, &t, &e), -EFBIG);
	assert_string_equal(e.text, "is larger than 1 MiB");
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(ftruncate(fd, MIB), 0);
	assert_int_equal(file_read_stream(fd, &limits, &t, &e), 0);
	assert_int_equal(t.len, MIB);
}

/* A network's file system may be slow; its file is there to be taken, and no advice helps. */
static void a_file_may_take_its_time(void **state)
{
	const struct stream_limits limits = { MIB, 0, 0 };
	struct text t CLEANUP_TEXT = { 0 };
	int fd CLEANUP_FD = memfd_create("slow", MFD_CLOEXEC);
	struct err e;

	(void)state;
	assert_int_equal(write(fd, "all", 3), 3);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(file_read_stream(fd, &limits, &t, &e), 0);
	assert_string_equal(text_str(&t), "all");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_drips_is_read_to_its_end),
		cmocka_unit_test(what_drips_for_ever_is_given_up),
		cmocka_unit_test(a_writer_that_says_nothing_is_given_up),
		cmocka_unit_test(a_fifo_that_nobody_writes_is_given_up),
		cmocka_unit_test(a_pipe_has_a_limit_of_bytes),
		cmocka_unit_test(a_file_that_is_too_large_is_not_begun),
		cmocka_unit_test(a_file_may_take_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
