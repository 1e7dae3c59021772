/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changes without a word of netlink or nftables, and is heard all the same, by
 * inotify(7): names in /run/netns, the host's resolv.conf, iptables-legacy (which
 * locks a file in /run for each change), and sysctls, by their directories in /proc.
 * A supervisor that hears all of it has no need of a clock.
 *
 * Of sysctls a write by the /proc of a container's own is not heard, and what the
 * kernel tells by netlink need not be.  A directory is watched as long as it stays in
 * the kernel's cache of names, and so it is kept open.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "sys/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define RUN          "/run"
#define XTABLES_LOCK "xtables.lock" /* iptables/xshared.h; closed when the change is done */

/* --- sysctls ---------------------------------------------------------------------------------- */

/* Of these there are messages (net/ipv4/devinet.c, net/ipv6/addrconf.c), or nothing to repair. */
static bool is_told(const char *path)
{
	static const char *const told[] = { "forwarding", "ip_forward", "rp_filter", "disable_ipv6",
					    "accept_dad" };
	const char *name = strrchr(path, '/') + 1;

	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		if (str_eq(name, told[i]))
			return true;
	return false;
}

static bool is_of_interest(const struct supervisor *s, const struct want_sysctl *x)
{
	bool ours = !x->restore;

	/* Of the host's own links, where we changed it: there may be a thousand. */
	for (size_t i = 0; !ours && i < s->n_before; i++)
		ours = str_eq(s->before[i].path, x->path);
	return ours && x->value && !is_told(x->path);
}

struct directory {
	const struct place *place;
	const char *path; /* below /proc/sys/net/ */
};

struct directories {
	struct directory *items;
	size_t n, cap;
};

static void add_directories(struct supervisor *s, struct arena *a, const struct place *p,
			    const struct want *w, struct directories *all)
{
	for (size_t i = 0; i < w->n_sysctls; i++) {
		const char *path = w->sysctls[i].path;
		bool known = !is_of_interest(s, &w->sysctls[i]);
		size_t len = (size_t)(strrchr(path, '/') - path);

		for (size_t j = 0; !known && j < all->n; j++)
			known = all->items[j].place == p &&
				strncmp(all->items[j].path, path, len) == 0 &&
				!all->items[j].path[len];
		if (!known)
			*arena_push(a, all->items, all->n, all->cap) =
				(struct directory){ .place = p,
						    .path = arena_strndup(a, path, len) };
	}
}

/* By what is planned for each namespace. */
static int find_directories(struct supervisor *s, struct arena *a, struct directories *all,
			    struct err *e)
{
	const struct snapshot none = { 0 };
	struct snapshot host = { 0 };
	struct want want = { 0 };
	int r = sup_look_at_host(s, a, SLOT_TABLE, SLOT_TABLE, &host, e);

	if (r < 0)
		return r;
	sup_want(s, a, &s->inner, &none, &want);
	add_directories(s, a, &s->inner, &want, all);
	for (size_t i = 0; i < s->gate.n_rooms; i++) {
		if (s->gate.rooms[i].sandbox)
			continue; /* it has a /proc of its own */
		want = (struct want){ 0 };
		sup_want(s, a, &s->rooms[i], &none, &want);
		add_directories(s, a, &s->rooms[i], &want, all);
	}
	want = (struct want){ 0 };
	sup_want(s, a, &s->host, &host, &want);
	add_directories(s, a, &s->host, &want, all);
	return 0;
}

static uint64_t hash_directories(const struct directories *all)
{
	uint64_t h = 1;

	for (size_t i = 0; i < all->n; i++)
		h = str_hash(all->items[i].path, h + (uint64_t)(all->items[i].place->fd + 1));
	return h;
}

/* An interface may have gone in the meantime. */
static int watch_directory(struct files_watch *f, const struct directory *d, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int fd CLEANUP_FD = -1;
	char path[256];
	int wd, r = d->place->netns ? netns_enter(d->place->fd, &visit, e) : 0;

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/sys/net/%s", d->path);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
	wd = inotify_add_watch(f->source.fd, path, IN_MODIFY);
	if (wd < 0)
		return err_errno(e, errno, "inotify %s", path);
	f->kept[f->n_kept++] = (struct files_kept){ .fd = fd_take(&fd), .wd = wd };
	return 0;
}

static void forget_directories(struct files_watch *f)
{
	for (size_t i = 0; i < f->n_kept; i++) {
		(void)inotify_rm_watch(f->source.fd, f->kept[i].wd);
		fd_close(&f->kept[i].fd);
	}
	f->n_kept = 0;
	f->directories = 0;
}

static int watch_directories(struct supervisor *s, bool *ret_new, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct files_watch *f = &s->files;
	struct directories all = { 0 };
	uint64_t h;
	int r = find_directories(s, &a, &all, e);

	*ret_new = false;
	h = hash_directories(&all);
	if (r < 0 || h == f->directories)
		return r;
	forget_directories(f);
	for (size_t i = 0; r == 0 && i < all.n && i < ARRAY_LEN(f->kept); i++)
		r = watch_directory(f, &all.items[i], e);
	if (r < 0)
		forget_directories(f);
	else
		f->directories = h;
	*ret_new = r == 0;
	return r;
}

/* --- names and locks --------------------------------------------------------------------------- */

/* Who asks (-L) takes it, too; root of a host without the old iptables has no such file. */
static void watch_lock(struct files_watch *f)
{
	f->lock = inotify_add_watch(f->source.fd, RUN "/" XTABLES_LOCK,
				    IN_CLOSE_WRITE | IN_CLOSE_NOWRITE);
}

/* The gate's namespace, or that of a room of its own. */
static const char *name_of(const struct supervisor *s, size_t i)
{
	return i == 0 ? s->inner.netns : s->rooms[i - 1].netns;
}

/*
 * Each by itself: a watch on the directory tells of all gates' names, and has every one of
 * two hundred wake when one ends.
 */
int files_watch_names(struct supervisor *s, struct err *e)
{
	struct files_watch *f = &s->files;
	int r = 0;

	for (size_t i = 0; f->source.fd >= 0 && i < 1 + s->sandboxes.n_own_rooms; i++) {
		if (f->names[i] < 0)
			r = netns_watch(name_of(s, i), f->source.fd, &f->names[i], e);
		if (r == -ENOENT)
			reconcile_soon(s); /* which makes it */
		else if (r < 0)
			return r;
	}
	return 0;
}

/* Is it one of our names that @x tells of? */
static bool note_name(struct files_watch *f, const struct inotify_event *x)
{
	for (size_t i = 0; i < ARRAY_LEN(f->names); i++) {
		if (f->names[i] != x->wd)
			continue;
		if (x->mask & IN_MOVE_SELF)
			(void)inotify_rm_watch(f->source.fd, x->wd);
		if (x->mask & IN_IGNORED)
			f->names[i] = -1;
		return true;
	}
	return false;
}

struct files_news {
	bool names, firewall, sysctls;
};

static void note(struct supervisor *s, const struct inotify_event *x, struct files_news *news)
{
	struct files_watch *f = &s->files;
	const char *name = x->len ? x->name : "";

	if (x->mask & IN_Q_OVERFLOW) {
		news->names = news->firewall = news->sysctls = true;
	} else if (x->wd == f->run) {
		if (!str_eq(name, XTABLES_LOCK))
			return;
		watch_lock(f);
		news->firewall = true;
	} else if (x->wd == f->lock) {
		news->firewall = true;
	} else if (x->wd == f->etc || note_name(f, x)) {
		news->names = true;
	} else if (!(x->mask & IN_IGNORED)) {
		news->sysctls = true;
	}
}

static struct files_news read_news(struct supervisor *s, int fd)
{
	_Alignas(struct inotify_event) char buf[4096];
	struct files_news news = { 0 };
	ssize_t size;

	while ((size = read(fd, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + size;) {
			const struct inotify_event *x = (const void *)p;

			note(s, x, &news);
			p += sizeof(*x) + x->len;
		}
	return news;
}

static void changed(struct loop_source *source, uint32_t events)
{
	struct supervisor *s = source->ctx;
	struct files_news news = read_news(s, source->fd);
	struct err e;

	(void)events;
	if (news.names && resolv_renew(s, &e) < 0)
		sup_log(s, "%s", e.text);
	if (news.names || news.sysctls) /* the host's name servers may be others now */
		reconcile_soon(s);
	else if (news.firewall && firewall_legacy(s, &e) < 0)
		reconcile_soon(s); /* which says so */
}

/* One instance for all: root has but 128 of them for all gates and everybody else. */
int files_watch_open(struct supervisor *s, struct err *e)
{
	int fd CLEANUP_FD = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct files_watch *f = &s->files;
	int r;

	if (fd < 0 && errno == EMFILE) {
		if (!f->deaf)
			sup_log(s,
				"looks every 30 s, and does not hear at once, what becomes of "
				"/etc/resolv.conf, names of namespaces, sysctls and "
				"iptables-legacy: fs.inotify.max_user_instances is used up (try: "
				"sysctl -w fs.inotify.max_user_instances=1024)");
		f->deaf = true;
		return 0;
	}
	if (fd < 0)
		return err_errno(e, errno, "inotify");
	f->etc = inotify_add_watch(fd, "/etc", IN_MOVED_TO | IN_CREATE | IN_DELETE);
	if (f->etc < 0)
		return err_errno(e, errno, "inotify /etc");
	f->run = inotify_add_watch(fd, RUN, IN_MOVED_TO | IN_CREATE);
	if (f->run < 0)
		return err_errno(e, errno, "inotify " RUN);
	for (size_t i = 0; i < ARRAY_LEN(f->names); i++)
		f->names[i] = -1;
	f->source = (struct loop_source){ .fd = -1, .ready = changed, .ctx = s };
	r = loop_add(&s->loop, &f->source, fd_take(&fd), e);
	if (r == 0 && f->deaf)
		sup_log(s, "hears of files at once: there are instances of inotify again");
	f->deaf = false;
	return r < 0 ? r : files_watch_names(s, e);
}

int files_watch_sysctls(struct supervisor *s, bool *ret_new, struct err *e)
{
	*ret_new = false;
	if (s->files.source.fd < 0)
		return err_set(e, EMFILE, "inotify");
	if (s->files.lock < 0)
		watch_lock(&s->files);
	return watch_directories(s, ret_new, e);
}
