/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/observe.h"

#include "base/text.h"
#include "daemon/rewriters.h"
#include "daemon/supervisor.h"
#include "plan/clash.h"
#include "sys/conntrack.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/netns.h"
#include "sys/nft.h"
#include "sys/proc.h"
#include "sys/rtnl.h"
#include "sys/sock_diag.h"
#include "sys/sysctl.h"
#include "wire/containers.h"
#include "wire/host_json.h"
#include "wire/ip_json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define DOCKER_CONF "/etc/docker/daemon.json"
#define IPTABLES_MS 5000
#define CMDLINE_MAX ((size_t)65536)
/* A million routes, as many as the Internet has, are about 150 MB. */
#define SNAPSHOT_MAX ((size_t)256 << 20)
#define SILENCE_MS   60000
#define TOTAL_MS     600000

/* --- routing ------------------------------------------------------------------ */

static int observe_net(struct arena *a, int netns_fd, struct host *h, struct err *e)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	int r = rtnl_open(netns_fd, &rtnl, e);

	if (r == 0)
		r = rtnl_snapshot(rtnl, a, &h->net, e);
	if (r == 0 && h->parts & HOST_NEXTHOPS)
		r = rtnl_nexthops(rtnl, a, &h->nexthops, &h->n_nexthops, e);
	return r;
}

/* What a packet's way depends on (linux/Documentation/networking/ip-sysctl.rst). */
static const char *const sysctls_of_all[] = {
	"ipv4/fib_multipath_hash_policy",
	"ipv4/fib_multipath_use_neigh",
	"ipv4/fwmark_reflect",
	"ipv4/ip_forward",
	"ipv4/ip_nonlocal_bind",
	"ipv4/tcp_fwmark_accept",
	"ipv4/tcp_l3mdev_accept",
	"ipv4/udp_l3mdev_accept",
	"ipv6/bindv6only",
	"ipv6/fib_multipath_hash_policy",
	"ipv6/fwmark_reflect",
	"ipv6/ip_nonlocal_bind",
};

static const char *const sysctls_of_link[] = {
	"ipv4/conf/%s/accept_local",
	"ipv4/conf/%s/arp_announce",
	"ipv4/conf/%s/arp_filter",
	"ipv4/conf/%s/arp_ignore",
	"ipv4/conf/%s/bc_forwarding",
	"ipv4/conf/%s/forwarding",
	"ipv4/conf/%s/ignore_routes_with_linkdown",
	"ipv4/conf/%s/route_localnet",
	"ipv4/conf/%s/rp_filter",
	"ipv4/conf/%s/send_redirects",
	"ipv4/conf/%s/src_valid_mark",
	"ipv6/conf/%s/accept_ra",
	"ipv6/conf/%s/disable_ipv6",
	"ipv6/conf/%s/force_forwarding",
	"ipv6/conf/%s/forwarding",
	"ipv6/conf/%s/ignore_routes_with_linkdown",
	"ipv6/conf/%s/use_tempaddr",
};

/* One that this kernel does not have is left out. */
static void observe_sysctl(struct arena *a, struct host *h, const char *path)
{
	struct sysctl_seen s = { .path = path };
	struct err ignored;

	if (sysctl_get(a, path, &s.value, &ignored) == 0)
		*arena_push(a, h->sysctls, h->n_sysctls, h->cap_sysctls) = s;
}

static const char *path_for(struct arena *a, const char *format, const char *link)
{
	const char *hole = strstr(format, "%s");

	return arena_printf(a, "%.*s%s%s", (int)(hole - format), format, link, hole + 2);
}

static int by_path(const void *pa, const void *pb)
{
	const struct sysctl_seen *a = pa, *b = pb;

	return strcmp(a->path, b->path);
}

static int observe_sysctls(struct arena *a, int netns_fd, struct host *h, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int r = netns_fd < 0 ? 0 : netns_enter(netns_fd, &visit, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(sysctls_of_all); i++)
		observe_sysctl(a, h, sysctls_of_all[i]);
	for (size_t i = 0; i < ARRAY_LEN(sysctls_of_link); i++) {
		observe_sysctl(a, h, path_for(a, sysctls_of_link[i], "all"));
		observe_sysctl(a, h, path_for(a, sysctls_of_link[i], "default"));
		for (size_t l = 0; l < h->net.n_links; l++)
			observe_sysctl(a, h, path_for(a, sysctls_of_link[i], h->net.links[l].name));
	}
	if (h->n_sysctls)
		qsort(h->sysctls, h->n_sysctls, sizeof(*h->sysctls), by_path);
	return 0;
}

/* In a gate the table has the gate's name, which loopback carries (sys/netns.h). */
static const char *own_table(struct arena *a, const struct host *h)
{
	static const char ours[] = "sallyport ";
	const struct link *lo = snapshot_link_by_index(&h->net, LINK_LOOPBACK);
	const char *name;

	if (!lo || !str_starts(lo->alias, ours))
		return PLAN_NFT_HOST;
	name = lo->alias + sizeof(ours) - 1; /* "NAME", or "NAME run" */
	return arena_printf(a, PLAN_NFT_HOST "-%.*s", (int)strcspn(name, " "), name);
}

/* Only root may look; then it stays unknown. */
static void observe_nft(struct arena *a, int netns_fd, struct host *h)
{
	struct nft *nft CLEANUP_NFT = NULL;
	struct err ignored;
	/* libnftables would say so itself, on stderr. */
	int r = geteuid() == 0 ? nft_open(netns_fd, &nft, &ignored) : -EPERM;

	h->nft = "";
	if (r == 0)
		r = nft_list_table(nft, a, own_table(a, h), &h->nft, &ignored);
	if (r < 0 && r != -ENOENT)
		h->parts &= ~(uint32_t)HOST_NFT;
	else
		h->dnat = rewriters_find(nft, a, netns_fd);
}

/* --- whom it serves ------------------------------------------------------------- */

static bool has_engine(const struct snapshot *net, const char *engine)
{
	for (size_t i = 0; i < net->n_links; i++) {
		const char *of = clash_engine_of(net->links[i].name);

		if (of && str_eq(of, engine))
			return true;
	}
	return false;
}

/* The pools of the last file that names some, as Podman reads them; 0 if none does. */
static int podman_conf(struct arena *a, struct container_pool **ret, size_t *ret_n, struct err *e)
{
	static const char *const files[] = { "/usr/share/containers/containers.conf",
					     "/etc/containers/containers.conf" };
	int found = 0;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const char *text;
		struct err ignored;
		size_t size;
		int r;

		if (file_read(a, files[i], FILE_READ_MAX, &text, &size, &ignored) < 0)
			continue;
		r = containers_podman_conf(a, files[i], text, size, ret, ret_n, e);
		if (r < 0)
			return r;
		found |= r;
	}
	return found;
}

/* What an engine is set to matters only where it is in use; a file that is wrong is told. */
static void observe_pools(struct arena *a, struct host *h, struct text *said)
{
	struct container_pool *docker = NULL, *podman = NULL;
	size_t n_docker = 0, n_podman = 0, size = 0;
	const char *text = NULL;
	struct err e;
	int r = file_read(a, DOCKER_CONF, FILE_READ_MAX, &text, &size, &e);

	if (r == 0 || has_engine(&h->net, "Docker"))
		r = containers_docker_pools(a, DOCKER_CONF, r == 0 ? text : NULL, size, &docker,
					    &n_docker, &e);
	if (r < 0 && r != -ENOENT && said)
		text_add(said, e.text);
	r = has_engine(&h->net, "Podman") ? podman_conf(a, &podman, &n_podman, &e) : -ENOENT;
	if (r < 0 && r != -ENOENT && said)
		text_addf(said, "%s%s", said->len ? "; " : "", e.text);
	if (r == 0)
		containers_podman_pools(a, &podman, &n_podman);
	h->n_pools = h->cap_pools = n_docker + n_podman;
	h->pools = arena_alloc(a, sizeof(*h->pools) * (h->n_pools + 1));
	if (n_docker)
		memcpy(h->pools, docker, n_docker * sizeof(*h->pools));
	if (n_podman)
		memcpy(h->pools + n_docker, podman, n_podman * sizeof(*h->pools));
}

/*
 * Destinations that engines have rewritten, by iptables(8) or by nft.  Without
 * root, and without these programs, docker-proxy's sockets tell.
 */
static void observe_rewritten(struct arena *a, struct host *h, struct text *said)
{
	static const char *const savers[] = { "iptables-save", "ip6tables-save" };
	struct container_ports ports = { h->ports, h->n_ports, h->cap_ports };
	struct nft *nft CLEANUP_NFT = NULL;
	const char *text;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(savers); i++) {
		const char *const argv[] = { savers[i], "-t", "nat", NULL };
		struct proc_spec spec = PROC_SPEC_NONE;
		int status;

		spec.argv = argv;
		if (proc_run(&spec, NULL, IPTABLES_MS, a, &text, &status, &e) < 0 || status)
			continue;
		containers_iptables(a, text, &ports);
		/* It ends so, unless there is more than proc_run() takes. */
		if (said && *text && !strstr(text, "\nCOMMIT\n"))
			text_addf(said, "%s%s prints too much: not every published port is known",
				  said->len ? "; " : "", savers[i]);
	}
	if (nft_open(-1, &nft, &e) == 0 &&
	    nft_list_json(nft, a, "table inet netavark", &text, &e) == 0)
		containers_nft(a, text, &ports);
	h->ports = ports.items;
	h->n_ports = ports.n;
	h->cap_ports = ports.cap;
}

/* docker-proxy's sockets stand for the containers behind them. */
static void observe_proxies(struct arena *a, struct host *h)
{
	const char *cmdline;
	size_t kept = 0, size;
	struct err e;

	for (size_t i = 0; i < h->n_sockets; i++) {
		const struct socket_seen *s = &h->sockets[i];
		struct container_port p;

		if (str_eq(s->process, "docker-proxy") &&
		    file_read(a, arena_printf(a, "/proc/%d/cmdline", s->pid), CMDLINE_MAX, &cmdline,
			      &size, &e) == 0 &&
		    containers_proxy(cmdline, size, &p)) {
			if (s->state == SOCKET_LISTENS)
				*arena_push(a, h->ports, h->n_ports, h->cap_ports) = p;
			continue;
		}
		h->sockets[kept++] = *s;
	}
	h->n_sockets = kept;
}

/* "172.16.9.20 51022 172.16.5.10 22"; sudo(8) takes it away, then the process tree must do. */
static void observe_session(struct host *h)
{
	const char *words = getenv("SSH_CONNECTION");
	char peer[IP_TEXT_SIZE], *percent;
	unsigned int port;

	if (!words || sscanf(words, "%45s %u", peer, &port) != 2 || port > UINT16_MAX)
		return;
	percent = strchr(peer, '%');
	if (percent)
		*percent = 0;
	if (ip_parse(peer, &h->session_peer))
		h->session_port = (uint16_t)port;
}

/* --- all of it --------------------------------------------------------------------- */

static void observe_machine(struct arena *a, const char *place, struct host *h)
{
	time_t now = time(NULL);
	struct utsname name;
	char taken[32] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(taken, sizeof(taken), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (uname(&name) < 0)
		memset(&name, 0, sizeof(name));
	h->name = arena_strdup(a, name.nodename);
	h->kernel = arena_strdup(a, name.release);
	h->place = place ? place : "";
	h->version = SALLYPORT_VERSION;
	h->taken = arena_strdup(a, taken);
}

/* What is found by way of files, which are the caller's. */
static void observe_own(struct arena *a, struct host *h, struct text *said)
{
	if (h->parts & HOST_DNS) {
		h->dns = arena_alloc(a, sizeof(*h->dns) * RESOLV_SERVERS_MAX);
		h->n_dns = resolv_host_servers(a, h->dns);
	}
	if (h->parts & HOST_CONTAINERS) {
		observe_proxies(a, h);
		if (has_engine(&h->net, "Docker") || has_engine(&h->net, "Podman"))
			observe_rewritten(a, h, said);
		observe_pools(a, h, said);
	}
	observe_session(h);
}

int host_observe(struct arena *a, const char *place, uint32_t parts, struct host *ret,
		 struct text *said, struct err *e)
{
	struct host h = { .parts = parts, .nft = "", .dnat = "" };
	int fd CLEANUP_FD = -1;
	int r = place ? netns_open_place(place, &fd, e) : 0;

	observe_machine(a, place, &h);
	if (r == 0)
		r = observe_net(a, fd, &h, e);
	if (r == 0 && parts & HOST_SYSCTLS)
		r = observe_sysctls(a, fd, &h, e);
	if (r == 0 && parts & HOST_SOCKETS)
		r = sock_diag_list(a, fd, &h.sockets, &h.n_sockets, e);
	if (r < 0)
		return r;
	if (parts & HOST_NFT)
		observe_nft(a, fd, &h);
	if (parts & HOST_FLOWS && conntrack_list(a, fd, &h.flows, &h.n_flows, e) < 0)
		h.parts &= ~(uint32_t)HOST_FLOWS;
	if (place)
		h.parts &= ~(uint32_t)(HOST_DNS | HOST_CONTAINERS);
	else
		observe_own(a, &h, said);
	*ret = h;
	return 0;
}

/* --- files ---------------------------------------------------------------------------- */

static int read_all(int fd, struct text *t, struct err *e)
{
	static const struct stream_limits limits = { SNAPSHOT_MAX, SILENCE_MS, TOTAL_MS };
	int r = file_read_stream(fd, &limits, t, e);

	return r == -EFBIG ? err_set(e, EINVAL, "is larger than %zu MiB, which no snapshot is",
				     SNAPSHOT_MAX >> 20)
			   : r;
}

/* Unlike file_read() it takes pipes: <(ssh host ip -j ...) is one. */
static int read_file(const char *file, struct text *t, struct err *e)
{
	int fd CLEANUP_FD = -1;

	if (str_eq(file, "-"))
		return err_wrap(e, read_all(STDIN_FILENO, t, e), "standard input");
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "%s", file);
	return err_wrap(e, read_all(fd, t, e), "%s", file);
}

/* The first character that is no blank, 0 if there is none. */
static char begins_with(const struct text *t)
{
	return text_str(t)[strspn(text_str(t), " \t\r\n")];
}

static int load_own(struct arena *a, const char *name, const struct text *t, struct host *ret,
		    struct err *e)
{
	struct json_in j;

	json_in_start(&j, a, name, text_str(t), t->len, e);
	if (!host_json_read(&j, ret))
		return -EINVAL;
	j.value_at = j.at;
	if (json_in_next(&j) != JSON_IN_END)
		json_in_fail(&j, "there is more behind the snapshot");
	return j.failed ? -EINVAL : 0;
}

static int load_texts(struct arena *a, const char *const *names, const struct text *texts, size_t n,
		      struct host *ret, struct err *e)
{
	struct ip_text *all = arena_alloc(a, n * sizeof(*all));

	for (size_t i = 0; i < n; i++) {
		bool own = begins_with(&texts[i]) == '{';

		if (!texts[i].len ||
		    (!begins_with(&texts[i]) && strlen(text_str(&texts[i])) == texts[i].len))
			return err_set(e, EINVAL, "%s: is empty", names[i]);
		if (own && n > 1)
			return err_set(e, EINVAL,
				       "%s: is a snapshot of sallyport, which stands alone",
				       names[i]);
		if (own)
			return load_own(a, names[i], &texts[i], ret, e);
		all[i] = (struct ip_text){ names[i], text_str(&texts[i]), texts[i].len };
	}
	return ip_json_read(a, all, n, ret, e);
}

int host_load(struct arena *a, const char *const *files, size_t n, struct host *ret, struct err *e)
{
	const char **names = arena_alloc(a, n * sizeof(*names));
	struct text *texts = arena_alloc(a, n * sizeof(*texts));
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		names[i] = str_eq(files[i], "-") ? "standard input" : files[i];
		r = read_file(files[i], &texts[i], e);
	}
	if (r == 0)
		r = load_texts(a, names, texts, n, ret, e);
	for (size_t i = 0; i < n; i++)
		text_free(&texts[i]);
	if (r == 0)
		host_bar_unknown(a, ret);
	return r;
}

void host_missing(struct text *t, const char *file, const struct host *h, uint32_t wanted)
{
	uint32_t missing = wanted & ~h->parts;
	const char *between = "";

	if (!missing)
		return;
	text_addf(t, "%s does not tell ", file);
	for (uint32_t part = 1; part & HOST_ALL; part <<= 1) {
		if (!(missing & part))
			continue;
		text_addf(t, "%s%s", between, host_part_name((enum host_part)part));
		between = ", ";
	}
}
