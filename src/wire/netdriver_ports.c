/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/netdriver_ports.h"

#include "base/text.h"

#include <errno.h>
#include <netinet/in.h>

int netdriver_check_pool(const struct netdriver_network *n, const struct netdriver_gate *g,
			 struct err *e)
{
	char pool[PREFIX_TEXT_SIZE], own[IP_TEXT_SIZE];

	for (size_t i = 0; i < g->n_vpn; i++) {
		const struct prefix *p = g->vpn[i].family == AF_INET ? &n->pool4 : &n->pool6;

		if (!p->len || !prefix_covers(p, &g->vpn[i]))
			continue;
		return err_set(
			e, EADDRINUSE,
			"Docker chose %s for the containers, in which %s lies, gate \"%s\"'s "
			"address in its VPN: let the gate give addresses, with: docker network "
			"create -d sallyport --ipam-driver null -o gate=%s NAME",
			prefix_text(p, pool), ip_text(&g->vpn[i], own), n->gate, n->gate);
	}
	return 0;
}

/* "80:8080/tcp@lan" for each of the network's doors; of those, the host's addresses are one's. */
static void add_words(struct arena *a, const struct netdriver_network *n, const struct ip *host,
		      const char *port, struct sandbox_words *ret)
{
	if (!ip_is_any(host)) {
		sandbox_word(a, ret, arena_printf(a, "%s@lan", port));
		return;
	}
	for (size_t i = 0; i < n->doors.n; i++)
		sandbox_word(a, ret, arena_printf(a, "%s@%s", port, n->doors.items[i]));
}

static bool publishes_on_lan(const struct netdriver_network *n)
{
	for (size_t i = 0; i < n->doors.n; i++)
		if (str_eq(n->doors.items[i], "lan") || str_eq(n->doors.items[i], "all"))
			return true;
	return false;
}

/* Is the lan door, whose addresses the host's are, one of the network's? @what is said in front. */
static int check_lan(const struct netdriver_network *n, const struct ip *host, const char *what,
		     struct err *e)
{
	char ip[IP_TEXT_SIZE];

	if (ip_is_any(host) || publishes_on_lan(n))
		return 0;
	return err_set(e, EINVAL,
		       "%s: %s is the lan door's, on which this network does not publish; leave "
		       "the address out, or make the network with -o doors=lan",
		       what, ip_text(host, ip));
}

/* May a port be published on this address of the host alone? */
static int check_host(const struct ip *host, const struct netdriver_host *h, const char *what,
		      struct err *e)
{
	char ip[IP_TEXT_SIZE];

	if (ip_is_any(host))
		return 0;
	if (ip_is_link_local(host) || (host->family == AF_INET6 && ip_is_loopback(host)))
		return err_set(e, EADDRNOTAVAIL,
			       "%s: what is sent to %s is never passed on; name another address of "
			       "this host, or none",
			       what, ip_text(host, ip));
	if (h->has_address(h->ctx, host))
		return 0;
	return err_set(e, EADDRNOTAVAIL,
		       "%s: %s is no address of this host (ip address shows them); for a VPN's "
		       "door write --label " NETDRIVER_LABEL "=80:80/tcp@DOOR",
		       what, ip_text(host, ip));
}

static const char *proto_text(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "udp" : "tcp";
}

/* What stands in front of the port in -p and in words. */
static const char *host_text(struct arena *a, const struct ip *host)
{
	char ip[IP_TEXT_SIZE];

	if (ip_is_none(host))
		return "";
	return arena_printf(a, host->family == AF_INET6 ? "[%s]:" : "%s:", ip_text(host, ip));
}

static bool is_choice(const struct netdriver_port *p)
{
	return !p->door_port || p->door_port_end > p->door_port;
}

/* Docker may ask for the same once for each family. */
static bool is_same_wish(const struct netdriver_port *p, const struct netdriver_port *q)
{
	return p->proto == q->proto && p->room_port == q->room_port &&
	       p->door_port == q->door_port && p->door_port_end == q->door_port_end &&
	       (ip_equal(&p->host, &q->host) || (ip_is_any(&p->host) && ip_is_any(&q->host)));
}

/* The door's port for number @at of @q, where @chosen are those before it. */
static int choose(struct arena *a, const struct netdriver_request *q, size_t at,
		  const uint16_t *chosen, const struct netdriver_host *h, uint16_t *ret,
		  struct err *e)
{
	const struct netdriver_port *p = &q->ports[at];
	uint32_t first = p->door_port ? p->door_port : NETDRIVER_ANY_FIRST;
	uint32_t last = p->door_port ? p->door_port_end : NETDRIVER_ANY_LAST;

	*ret = p->door_port;
	if (!is_choice(p))
		return 0;
	for (size_t i = 0; i < at; i++)
		if (is_same_wish(p, &q->ports[i])) {
			*ret = chosen[i];
			return 0;
		}
	for (uint32_t port = first; port <= last; port++) {
		bool mine = false;

		for (size_t i = 0; i < at; i++)
			mine = mine || (q->ports[i].proto == p->proto && chosen[i] == port);
		*ret = (uint16_t)port;
		if (!mine && h->is_free(h->ctx, p->proto, &p->host, *ret))
			return 0;
	}
	return err_set(e, EADDRINUSE,
		       "-p %s%u-%u:%u/%s: none of these ports is free: publish on another one",
		       host_text(a, &p->host), first, last, p->room_port, proto_text(p->proto));
}

int netdriver_ports(struct arena *a, const struct netdriver_network *n,
		    const struct netdriver_request *q, const struct netdriver_host *h,
		    struct sandbox_words *ret, struct err *e)
{
	uint16_t *chosen = arena_alloc(a, (q->n_ports + 1) * sizeof(*chosen));

	for (size_t i = 0; i < q->n_ports; i++) {
		const struct netdriver_port *p = &q->ports[i];
		const char *host = host_text(a, &p->host), *what;
		int r;

		if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
			return err_set(e, EINVAL, "port %u: neither TCP nor UDP", p->room_port);
		what = arena_printf(a, "-p %s%u:%u", host, p->door_port, p->room_port);
		r = check_lan(n, &p->host, what, e);
		if (r == 0)
			r = check_host(&p->host, h, what, e);
		if (r == 0)
			r = choose(a, q, i, chosen, h, &chosen[i], e);
		if (r < 0)
			return r;
		add_words(a, n, &p->host,
			  arena_printf(a, "%s%u:%u/%s", host, chosen[i], p->room_port,
				       proto_text(p->proto)),
			  ret);
	}
	return 0;
}

int netdriver_words(struct arena *a, const struct netdriver_network *n, const char *value,
		    const struct netdriver_host *h, struct sandbox_words *ret, struct err *e)
{
	struct sandbox_words words = { 0 };

	sandbox_words_split(a, value, &words);
	for (size_t i = 0; i < words.n; i++) {
		struct publish p;
		const char *door;
		int r = sandbox_publish(a, words.items[i], &p, &door, e);

		if (r == 0 && !*door)
			r = check_lan(n, &p.host, words.items[i], e);
		if (r == 0)
			r = check_host(&p.host, h, words.items[i], e);
		if (r < 0)
			return err_wrap(e, r, NETDRIVER_LABEL);
		if (*door)
			sandbox_word(a, ret, words.items[i]);
		else
			add_words(a, n, &p.host, words.items[i], ret);
	}
	return 0;
}
