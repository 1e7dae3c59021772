/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lookup against the kernel.  Random networks are built twice, as a
 * snapshot and over rtnetlink in a private namespace, and the kernel is asked
 * for the way of random packets (RTM_GETROUTE, both with and without
 * RTM_F_FIB_MATCH).  The model must say the same, of the snapshot as it was
 * made up and of the one that the kernel lists.
 *
 *	test_fib_differential [COMPARISONS [SEED]]
 *
 * COMPARISONS are for each family; SALLYPORT_FIB_COMPARISONS and
 * SALLYPORT_FIB_SEED mean the same.  With SALLYPORT_LONG it is a million, and
 * the seed another each time.
 */
#include "lab.h"

#include "differential/kernel.h"
#include "fib/arrive.h"
#include "fib/lookup.h"

#include <fcntl.h>
#include <time.h>

#define LINKS            6 /* pairs */
#define WORLDS_A_GROUND  24
#define FLOWS_A_WORLD    512
#define COMPARISONS      50000
#define COMPARISONS_LONG 1000000

static struct {
	uint64_t seed;
	size_t wanted; /* comparisons, each family */
	size_t done[2];
	size_t verdicts[2][FIB_CANNOT_MODEL + 1];
	size_t chances; /* of several hops */
	size_t rp_failures;
} run;

static struct kernel kernel;
static struct ground ground;
static struct link_conf confs[64];
static struct plan plan;

/* ---- The ground ---- */

static void sysctl(const char *family, const char *link, const char *name, int n)
{
	char path[128];
	char text[16];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		print_error("%s: %s\n", path, strerror(errno));
		abort();
	}
	if (write(fd, text, (size_t)snprintf(text, sizeof(text), "%d", n)) < 0)
		abort();
	close(fd);
}

static void add_links(void)
{
	struct rtnl_message m;

	for (int i = 0; i < LINKS; i++) {
		char a[16], b[16];

		snprintf(a, sizeof(a), "a%d", i);
		snprintf(b, sizeof(b), "b%d", i);
		kernel_queue(&kernel,
			     rtnl_encode_veth_add(&m, &(struct veth){ .name = a,
								      .peer_name = b,
								      .peer_netns_fd = -1 }),
			     NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
	}
	int errors[LINKS];

	kernel_flush(&kernel, kernel_take_errno, errors);
	for (int i = 0; i < LINKS; i++)
		assert_int_equal(errors[i], 0);
}

static struct nlmsghdr *set_link(struct rtnl_message *m, int index, bool up, uint32_t group)
{
	struct nlmsghdr *nlh = rtnl_encode_link_up(m, index, up);

	mnl_attr_put_u32(nlh, IFLA_GROUP, group);
	return nlh;
}

static void take_unsettled(void *ctx, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(*ifi)) if (mnl_attr_get_type(attr) == IFLA_OPERSTATE &&
						       ifi->ifi_index != LINK_LOOPBACK &&
						       ifi->ifi_flags & IFF_UP &&
						       !mnl_attr_get_u8(attr)) *
		(bool *)ctx = true;
}

static bool has_multicast(const struct snapshot *s, int link)
{
	for (size_t i = 0; i < s->n_routes; i++)
		if (s->routes[i].family == AF_INET6 && s->routes[i].type == RTN_MULTICAST &&
		    s->routes[i].n_hops && s->routes[i].hops[0].link == link)
			return true;
	return false;
}

/*
 * Until the kernel has looked at every carrier, for routes depend on it, and
 * IPv6 has taken notice.
 */
static bool is_settled(struct arena *a)
{
	struct snapshot s = kernel_snapshot(&kernel, a);
	bool unsettled = false;
	struct rtnl_message m;

	/* To be asked for one link makes the kernel look at its carrier at once. */
	for (size_t i = 0; i < s.n_links; i++)
		kernel_queue(&kernel, rtnl_encode_link_get(&m, s.links[i].name), 0);
	kernel_flush(&kernel, kernel_ignore, NULL);
	kernel_dump(&kernel, RTM_GETLINK, AF_UNSPEC, take_unsettled, &unsettled);
	for (size_t i = 0; i < s.n_links; i++)
		if (s.links[i].flags & IFF_LOWER_UP && s.links[i].index != LINK_LOOPBACK &&
		    !has_multicast(&s, s.links[i].index))
			unsettled = true;
	return !unsettled;
}

static void settle(struct arena *a)
{
	for (int tries = 0; !is_settled(a); tries++) {
		if (tries > 3000)
			fail_msg("the links did not come up");
		usleep(1000);
	}
}

static void make_ground(struct dice *d, struct arena *a)
{
	struct rtnl_message m;
	struct snapshot s;

	if (unshare(CLONE_NEWNET) < 0)
		abort();
	kernel_open(&kernel);
	sysctl("ipv6", "default", "addr_gen_mode", 1);
	sysctl("ipv6", "default", "accept_dad", 0);
	sysctl("ipv6", "default", "accept_ra", 0);
	add_links();
	s = kernel_snapshot(&kernel, a);
	memset(&ground, 0, sizeof(ground));
	for (size_t i = 0; i < s.n_links; i++) {
		const struct link *l = &s.links[i];
		bool up = l->index == LINK_LOOPBACK || dice_percent(d, 88);

		for (int v6 = 0; v6 < 2; v6++) {
			ground.ignores[v6][l->index] = dice_percent(d, 50);
			sysctl(v6 ? "ipv6" : "ipv4", l->name, "ignore_routes_with_linkdown",
			       ground.ignores[v6][l->index]);
		}
		kernel_queue(&kernel, set_link(&m, l->index, up, dice_below(d, 3)), NLM_F_ACK);
	}
	kernel_flush(&kernel, kernel_ignore, NULL);
	settle(a);
	ground.base = kernel_snapshot(&kernel, a);
}

static void set_confs(struct dice *d)
{
	for (size_t i = 0; i < ground.base.n_links; i++) {
		const struct link *l = &ground.base.links[i];
		struct link_conf *c = &confs[l->index];

		*c = (struct link_conf){ .rp_filter = (uint8_t)dice_below(d, 3),
					 .forwarding = dice_percent(d, 70),
					 .src_valid_mark = dice_percent(d, 50),
					 .accept_local = dice_percent(d, 30) };
		sysctl("ipv4", l->name, "rp_filter", c->rp_filter);
		sysctl("ipv4", l->name, "forwarding", c->forwarding);
		sysctl("ipv4", l->name, "src_valid_mark", c->src_valid_mark);
		sysctl("ipv4", l->name, "accept_local", c->accept_local);
	}
}

/* ---- Comparing ---- */

static void look_up(const struct fib *fib, const struct flow *f, struct fib_result *ret,
		    struct fib_trace *trace)
{
	enum fib_rp rp;

	if (!f->iif) {
		fib_lookup(fib, f, ret, trace);
		return;
	}
	fib_arrive(fib, f, &confs[f->iif], ret, &rp, trace);
	if (rp == FIB_RP_OTHER_LINK || rp == FIB_RP_NO_WAY_BACK)
		run.rp_failures++;
}

static const struct {
	enum fib_verdict verdict;
	uint8_t type;
} types[] = {
	{ FIB_UNICAST, RTN_UNICAST },     { FIB_LOCAL, RTN_LOCAL },
	{ FIB_BROADCAST, RTN_BROADCAST }, { FIB_ANYCAST, RTN_ANYCAST },
	{ FIB_MULTICAST, RTN_MULTICAST },
};

static uint8_t type_of(enum fib_verdict verdict)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].verdict == verdict)
			return types[i].type;
	return RTN_UNSPEC;
}

/* The kernel's own links for what stays in the machine is lo. */
static bool stays(const struct fib_result *r)
{
	return r->verdict == FIB_LOCAL;
}

static bool asks_source(const struct flow *f, const struct fib_result *r)
{
	return !f->iif && ip_is_none(&f->src) && !r->src_unsure && r->verdict != FIB_CANNOT_MODEL;
}

/* Takes the hop that the kernel took, if it is one of those it may take. */
static bool follow_hash(const struct fib *fib, const struct flow *f, const struct answer *packet,
			struct fib_result *r)
{
	for (size_t i = 0; i < r->pick.route->n_hops; i++) {
		const struct hop *hop = &r->pick.route->hops[i];

		struct fib_result by = *r;

		if (!fib_pick_may_take(&r->pick, hop))
			continue;
		fib_take_hop(fib, f, hop, &by);
		/* Two hops may look alike but for the source. */
		if (asks_source(f, &by) && !ip_equal(&by.src, &packet->src))
			continue;
		if (by.link != packet->link ||
		    (by.verdict != FIB_CANNOT_MODEL && !ip_equal(&by.via, &packet->via)))
			continue;
		*r = by;
		return true;
	}
	return false;
}

/* Since 6.14 a packet that is not let in is always EINVAL to RTM_GETROUTE. */
static bool same_error(const struct flow *f, const struct fib_result *r, int error)
{
	return r->error == error || (f->iif && r->verdict == FIB_REFUSED && error == EINVAL);
}

static const char *differs(const struct fib *fib, const struct flow *f, struct fib_result *r,
			   const struct answers *k)
{
	const struct route *route = r->pick.route;
	bool ipv4 = f->dst.family == AF_INET;
	struct ip none = { 0 };

	if (r->verdict == FIB_CANNOT_MODEL)
		return NULL;
	if (r->error || k->packet.error)
		return same_error(f, r, k->packet.error) ? NULL : "error";
	if (type_of(r->verdict) != k->packet.type)
		return "type";
	if (f->iif && ipv4 && r->verdict == FIB_BROADCAST)
		return NULL;
	if (r->pick.by_hash) {
		run.chances++;
		if (!follow_hash(fib, f, &k->packet, r))
			return "hop of several";
		if (r->verdict == FIB_CANNOT_MODEL)
			return NULL;
	}
	if (k->packet.link != (stays(r) ? LINK_LOOPBACK : r->link))
		return "link";
	if (!ip_equal(&k->packet.via, stays(r) ? &none : &r->via))
		return "gateway";
	if (asks_source(f, r) && !ip_equal(&k->packet.src, &r->src))
		return "source";
	if (!route || k->route.error)
		return route && ipv4 && k->route.error != k->packet.error ? "match" : NULL;
	/* The kernel may name any route by the same next-hop object (walk.c). */
	if (!ipv4 && route->nexthop_id)
		return NULL;
	if (k->route.dst_len != route->dst.len)
		return "prefix length";
	if (route->dst.len && !ip_equal(&k->route.dst, &route->dst.ip))
		return "prefix";
	if (k->route.metric != route->metric)
		return "metric";
	if (k->route.tos != route->tos)
		return "tos";
	if (k->route.nexthop_id != route->nexthop_id)
		return "next-hop object";
	/* Before the first rule IPv4 has local and main in one. */
	if (k->route.table != r->table && (!ipv4 || fib_has_custom_rules(fib, AF_INET)))
		return "table";
	return NULL;
}

/* ---- Telling ---- */

static const char *ip_str(const struct ip *ip)
{
	static char buf[8][IP_TEXT_SIZE];
	static int at;

	at = (at + 1) % 8;
	return ip_text(ip, buf[at]);
}

static void tell_route(const char *what, const struct route *r)
{
	print_error("#   %s %s/%u from %s/%u table %u metric %u tos %u type %u scope %u "
		    "pref %u src %s nhid %u",
		    what, ip_str(&r->dst.ip), r->dst.len, ip_str(&r->src.ip), r->src.len, r->table,
		    r->metric, r->tos, r->type, r->scope, r->pref, ip_str(&r->prefsrc),
		    r->nexthop_id);
	for (size_t i = 0; i < r->n_hops; i++)
		print_error(" [dev %d via %s flags %x]", r->hops[i].link, ip_str(&r->hops[i].via),
			    r->hops[i].flags);
	print_error("\n");
}

static void tell_rule(const struct rule *r)
{
	print_error("#   rule %u%s from %s/%u to %s/%u iif '%s' oif '%s' mark %x/%x tos %u "
		    "proto %u sport %u-%u/%x dport %u-%u/%x uid %u-%u dscp %d/%x tun %u "
		    "l3mdev %d table %u action %u target %u suppress %d group %d find %d %s\n",
		    r->priority, r->invert ? " not" : "", ip_str(&r->from.ip), r->from.len,
		    ip_str(&r->to.ip), r->to.len, r->iif, r->oif, r->mark, r->mark_mask, r->tos,
		    r->ip_proto, r->sport.first, r->sport.last, r->sport_mask, r->dport.first,
		    r->dport.last, r->dport_mask, r->uid.first, r->uid.last,
		    r->has_dscp ? r->dscp : -1, r->dscp_mask, (unsigned int)r->tun_id, r->l3mdev,
		    r->table, r->action, r->target, r->suppress_len, r->suppress_group,
		    r->find_saddr, r->unknown);
}

static void tell_answer(const char *what, const struct answer *a)
{
	print_error("# %s: error %d type %u dst %s/%u table %u metric %u tos %u link %d via %s "
		    "src %s nhid %u\n",
		    what, a->error, a->type, ip_str(&a->dst), a->dst_len, a->table, a->metric,
		    a->tos, a->link, ip_str(&a->via), ip_str(&a->src), a->nexthop_id);
}

/* Only what can have to do with it: routes over the addresses of the flow. */
static void tell_snapshot(const struct snapshot *s, const struct flow *f)
{
	struct ip src = f->src;

	src.family = f->dst.family;
	for (size_t i = 0; i < s->n_links; i++)
		print_error("#   link %d %s flags %x group %u\n", s->links[i].index,
			    s->links[i].name, s->links[i].flags, s->links[i].group);
	for (size_t i = 0; i < s->n_addresses; i++)
		if (s->addresses[i].local.family == f->dst.family)
			print_error("#   address %s/%u peer %s dev %d scope %u flags %x\n",
				    ip_str(&s->addresses[i].local), s->addresses[i].len,
				    ip_str(&s->addresses[i].peer), s->addresses[i].link,
				    s->addresses[i].scope, s->addresses[i].flags);
	for (size_t i = 0; i < s->n_rules; i++)
		if (s->rules[i].family == f->dst.family)
			tell_rule(&s->rules[i]);
	for (size_t i = 0; i < s->n_routes; i++)
		if (s->routes[i].family == f->dst.family &&
		    prefix_covers(&s->routes[i].dst, &f->dst))
			tell_route("route", &s->routes[i]);
	for (size_t i = 0; f->iif && i < s->n_routes; i++)
		if (s->routes[i].family == f->dst.family && prefix_covers(&s->routes[i].dst, &src))
			tell_route("back", &s->routes[i]);
}

/* With @exactly the state of its first hop counts, too. */
static bool has_route(const struct snapshot *s, const struct route *r, bool exactly)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *o = &s->routes[i];

		if (o->family == r->family && o->table == r->table && o->type == r->type &&
		    o->metric == r->metric && o->tos == r->tos && prefix_equal(&o->dst, &r->dst) &&
		    o->n_hops == r->n_hops &&
		    (!o->n_hops || (o->hops[0].link == r->hops[0].link &&
				    (!exactly || o->hops[0].flags == r->hops[0].flags))))
			return true;
	}
	return false;
}

static void tell_difference(const char *what, const struct snapshot *a, const struct snapshot *b)
{
	for (size_t i = 0; i < a->n_routes; i++)
		if (!has_route(b, &a->routes[i], true))
			tell_route(what, &a->routes[i]);
	for (size_t i = 0; i < a->n_addresses; i++)
		if (!snapshot_has_address(b, &a->addresses[i].local))
			print_error("#   %s address %s\n", what, ip_str(&a->addresses[i].local));
}

static void tell(const char *what, const char *which, const struct fib *fib, const struct flow *f,
		 const struct answers *k)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct fib_trace trace = { .arena = &a };
	struct fib_result r;

	look_up(fib, f, &r, &trace);
	print_error("# seed %llu, snapshot as %s: the %s differs\n", (unsigned long long)run.seed,
		    which, what);
	print_error("# dst %s src %s iif %d oif %d mark %u uid %u tos %u proto %u sport %u "
		    "dport %u\n",
		    ip_str(&f->dst), ip_str(&f->src), f->iif, f->oif, f->mark, f->uid, f->tos,
		    f->proto, f->sport, f->dport);
	if (f->iif)
		print_error("# rp_filter %u forwarding %d src_valid_mark %d accept_local %d\n",
			    confs[f->iif].rp_filter, confs[f->iif].forwarding,
			    confs[f->iif].src_valid_mark, confs[f->iif].accept_local);
	print_error("# model: %s error %d link %d via %s src %s (%s)\n",
		    fib_verdict_name(r.verdict), r.error, r.link, ip_str(&r.via), ip_str(&r.src),
		    r.why_not ? r.why_not : "");
	if (r.pick.route)
		tell_route("by", r.pick.route);
	tell_answer("kernel, route", &k->route);
	tell_answer("kernel, packet", &k->packet);
	for (size_t i = 0; i < trace.n; i++)
		print_error("#   step %zu: rule %u why %d %s\n", i, trace.steps[i].rule->priority,
			    trace.steps[i].why,
			    trace.steps[i].why ? "" : rule_selector_name(trace.steps[i].selector));
	tell_snapshot(fib_snapshot(fib), f);
}

static bool compare(const char *which, const struct fib *fib, const struct flow *f,
		    const struct answers *k)
{
	struct fib_result r;
	const char *what;

	look_up(fib, f, &r, NULL);
	run.verdicts[f->dst.family == AF_INET6][r.verdict]++;
	what = differs(fib, f, &r, k);
	if (what)
		tell(what, which, fib, f, k);
	return !what;
}

/* ---- Running ---- */

static bool compare_world(struct dice *d, const struct snapshot *made,
			  const struct snapshot *listed)
{
	static struct flow flows[ASK_MAX];
	static struct answers answers[ASK_MAX];
	struct arena a CLEANUP_ARENA = { 0 };
	const struct fib *fibs[] = { fib_new(&a, made), fib_new(&a, listed) };

	for (size_t done = 0; done < FLOWS_A_WORLD; done += ASK_MAX) {
		for (size_t i = 0; i < ASK_MAX; i++)
			flows[i] = world_flow(d, listed, &plan, i % 2 ? AF_INET6 : AF_INET);
		kernel_ask(&kernel, flows, ASK_MAX, answers);
		for (size_t i = 0; i < ASK_MAX; i++) {
			if (!compare("listed", fibs[1], &flows[i], &answers[i]) ||
			    !compare("made up", fibs[0], &flows[i], &answers[i])) {
				tell_difference("only made up", made, listed);
				tell_difference("only listed", listed, made);
				return false;
			}
			run.done[i % 2]++;
		}
	}
	return true;
}

/* Addresses of IPv6 become valid in a work queue, and so do their routes. */
static bool is_ready(const struct snapshot *made, const struct snapshot *listed)
{
	for (size_t i = 0; i < listed->n_addresses; i++)
		if (listed->addresses[i].flags & IFA_F_TENTATIVE)
			return false;
	for (size_t i = 0; i < made->n_routes; i++)
		if (made->routes[i].protocol == RTPROT_KERNEL &&
		    !has_route(listed, &made->routes[i], false))
			return false;
	return true;
}

static struct snapshot listed_when_ready(struct arena *a, const struct snapshot *made)
{
	for (int tries = 0;; tries++) {
		struct snapshot s = kernel_snapshot(&kernel, a);

		if (is_ready(made, &s))
			return s;
		if (tries > 1000) {
			tell_difference("only made up", made, &s);
			tell_snapshot(&s, &(struct flow){ .dst = { .family = AF_INET } });
			fail_msg("the kernel's own routes are not as foretold");
		}
		usleep(1000);
	}
}

/* When a link without carrier gets its multicast route is the kernel's secret. */
static void adopt_multicast(struct arena *a, struct snapshot *made, const struct snapshot *listed)
{
	for (size_t i = 0; i < listed->n_routes; i++) {
		const struct route *r = &listed->routes[i];

		if (r->family == AF_INET6 && r->type == RTN_MULTICAST &&
		    r->protocol == RTPROT_KERNEL && !has_route(made, r, false))
			*arena_push(a, made->routes, made->n_routes, made->cap_routes) = *r;
	}
}

/* IPv6 deletes by metric and link: what looks alike takes several rounds. */
static void clear_world(void)
{
	for (int round = 0;; round++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct snapshot now = kernel_snapshot(&kernel, &a);
		bool clean = true;

		for (size_t i = 0; i < now.n_routes; i++)
			clean &= ground_has(&ground, &now.routes[i]);
		if (clean && round)
			return;
		if (round > 100)
			fail_msg("routes of the last network will not go away");
		kernel_clear(&kernel, &ground, &now, &plan);
	}
}

static bool one_world(struct dice *d, bool pristine)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot made, listed;
	bool same;

	world_plan(d, &ground.base, pristine, &plan);
	set_confs(d);
	made = kernel_build(&kernel, &ground, &plan, &a);
	listed = listed_when_ready(&a, &made);
	adopt_multicast(&a, &made, &listed);
	same = compare_world(d, &made, &listed);
	clear_world();
	return same;
}

static void the_model_agrees_with_the_kernel(void **state)
{
	struct dice d = { run.seed };

	(void)state;
	while (run.done[0] < run.wanted) {
		struct arena a CLEANUP_ARENA = { 0 };
		bool same = true;

		make_ground(&d, &a);
		for (int i = 0; same && i < WORLDS_A_GROUND && run.done[0] < run.wanted; i++)
			same = one_world(&d, i == 0);
		kernel_close(&kernel);
		assert_true(same);
	}
}

static void every_verdict_was_seen(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		print_message("# %s: %zu packets, each against two snapshots;", f ? "IPv6" : "IPv4",
			      run.done[f]);
		for (int v = 0; v <= FIB_CANNOT_MODEL; v++)
			print_message(" %s %zu%s", fib_verdict_name((enum fib_verdict)v),
				      run.verdicts[f][v], v < FIB_CANNOT_MODEL ? "," : "\n");
	}
	print_message("# seed %llu; %zu by one of several hops, %zu stopped by rp_filter\n",
		      (unsigned long long)run.seed, run.chances, run.rp_failures);
	for (int f = 0; f < 2; f++)
		for (int v = 0; v < FIB_CANNOT_MODEL; v++)
			if (run.wanted >= 10000 &&
			    !(f ? v == FIB_BROADCAST || v == FIB_REFUSED : v == FIB_ANYCAST))
				assert_true(run.verdicts[f][v]);
	if (run.wanted >= 10000) {
		assert_true(run.chances);
		assert_true(run.rp_failures);
	}
	/* What cannot be told must stay rare, or nothing was compared. */
	assert_true(run.verdicts[0][FIB_CANNOT_MODEL] <= run.done[0] / 10);
	assert_true(run.verdicts[1][FIB_CANNOT_MODEL] <= run.done[1] / 10);
}

static uint64_t number(const char *arg, const char *env, uint64_t absent)
{
	const char *text = arg ? arg : getenv(env);

	return text && *text ? strtoull(text, NULL, 0) : absent;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_model_agrees_with_the_kernel),
		cmocka_unit_test(every_verdict_was_seen),
	};

	run.wanted = number(argc > 1 ? argv[1] : NULL, "SALLYPORT_FIB_COMPARISONS",
			    getenv("SALLYPORT_LONG") ? COMPARISONS_LONG : COMPARISONS);
	run.seed = number(argc > 2 ? argv[2] : NULL, "SALLYPORT_FIB_SEED",
			  getenv("SALLYPORT_LONG") ? (uint64_t)time(NULL) : 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
