/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ip_words.h"

#include "base/text.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/in.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define WORDS(names)                                                                               \
	{                                                                                          \
		names, ARRAY_LEN(names), NULL                                                      \
	}

static const struct ip_name types[] = {
	{ RTN_UNSPEC, "none" },
	{ RTN_UNICAST, "unicast" },
	{ RTN_LOCAL, "local" },
	{ RTN_BROADCAST, "broadcast" },
	{ RTN_ANYCAST, "anycast" },
	{ RTN_MULTICAST, "multicast" },
	{ RTN_BLACKHOLE, "blackhole" },
	{ RTN_UNREACHABLE, "unreachable" },
	{ RTN_PROHIBIT, "prohibit" },
	{ RTN_THROW, "throw" },
	{ RTN_NAT, "nat" },
	{ RTN_XRESOLVE, "xresolve" },
};
const struct ip_words ip_types = WORDS(types);

static const struct ip_name scopes[] = {
	{ RT_SCOPE_UNIVERSE, "global" }, { RT_SCOPE_SITE, "site" },       { RT_SCOPE_LINK, "link" },
	{ RT_SCOPE_HOST, "host" },       { RT_SCOPE_NOWHERE, "nowhere" },
};
const struct ip_words ip_scopes = WORDS(scopes);

static const struct ip_name tables[] = {
	{ RT_TABLE_UNSPEC, "unspec" },
	{ RT_TABLE_DEFAULT, "default" },
	{ RT_TABLE_MAIN, "main" },
	{ RT_TABLE_LOCAL, "local" },
};
const struct ip_words ip_tables = WORDS(tables);

static const struct ip_name protocols[] = {
	{ 0, "unspec" }, { 1, "redirect" }, { 2, "kernel" },    { 3, "boot" },
	{ 4, "static" }, { 8, "gated" },    { 9, "ra" },        { 10, "mrt" },
	{ 11, "zebra" }, { 12, "bird" },    { 13, "dnrouted" }, { 14, "xorp" },
	{ 15, "ntk" },   { 16, "dhcp" },    { 17, "mrouted" },  { 18, "keepalived" },
	{ 42, "babel" }, { 99, "openr" },   { 186, "bgp" },     { 187, "isis" },
	{ 188, "ospf" }, { 189, "rip" },    { 192, "eigrp" },   { IP_PROTOCOL_OURS, "sallyport" },
};
const struct ip_words ip_protocols = WORDS(protocols);

/* Whole bytes, as /etc/iproute2/rt_dsfield has them. */
static const struct ip_name tos[] = {
	{ 0x00, "default" }, { 0x00, "CS0" },  { 0x20, "CS1" },  { 0x40, "CS2" },  { 0x60, "CS3" },
	{ 0x80, "CS4" },     { 0xa0, "CS5" },  { 0xc0, "CS6" },  { 0xe0, "CS7" },  { 0x28, "AF11" },
	{ 0x30, "AF12" },    { 0x38, "AF13" }, { 0x48, "AF21" }, { 0x50, "AF22" }, { 0x58, "AF23" },
	{ 0x68, "AF31" },    { 0x70, "AF32" }, { 0x78, "AF33" }, { 0x88, "AF41" }, { 0x90, "AF42" },
	{ 0x98, "AF43" },    { 0xb8, "EF" },
};
const struct ip_words ip_tos = WORDS(tos);

/* The same without the two bits of ECN. */
static const struct ip_name dscps[] = {
	{ 0, "default" }, { 0, "CS0" },   { 8, "CS1" },   { 16, "CS2" },  { 24, "CS3" },
	{ 32, "CS4" },    { 40, "CS5" },  { 48, "CS6" },  { 56, "CS7" },  { 10, "AF11" },
	{ 12, "AF12" },   { 14, "AF13" }, { 18, "AF21" }, { 20, "AF22" }, { 22, "AF23" },
	{ 26, "AF31" },   { 28, "AF32" }, { 30, "AF33" }, { 34, "AF41" }, { 36, "AF42" },
	{ 38, "AF43" },   { 46, "EF" },
};
const struct ip_words ip_dscps = WORDS(dscps);

/* RFC 4191 */
static const struct ip_name prefs[] = { { 0, "medium" }, { 1, "high" }, { 3, "low" } };
const struct ip_words ip_prefs = WORDS(prefs);

static const struct ip_name groups[] = { { 0, "default" } };
const struct ip_words ip_groups = WORDS(groups);

/* ip(8) asks /etc/protocols, which is much the same everywhere. */
static const struct ip_name protos[] = {
	{ 1, "icmp" },       { 2, "igmp" },   { 4, "ipencap" },   { 6, "tcp" },   { 17, "udp" },
	{ 33, "dccp" },      { 41, "ipv6" },  { 47, "gre" },      { 50, "esp" },  { 51, "ah" },
	{ 58, "ipv6-icmp" }, { 89, "ospf" },  { 94, "ipip" },     { 103, "pim" }, { 112, "vrrp" },
	{ 115, "l2tp" },     { 132, "sctp" }, { 136, "udplite" },
};
const struct ip_words ip_protos = { protos, ARRAY_LEN(protos), "ipproto-" };

static const struct ip_name link_flags[] = {
	{ IFF_LOOPBACK, "LOOPBACK" },
	{ IFF_BROADCAST, "BROADCAST" },
	{ IFF_POINTOPOINT, "POINTOPOINT" },
	{ IFF_MULTICAST, "MULTICAST" },
	{ IFF_NOARP, "NOARP" },
	{ IFF_ALLMULTI, "ALLMULTI" },
	{ IFF_PROMISC, "PROMISC" },
	{ IFF_MASTER, "MASTER" },
	{ IFF_SLAVE, "SLAVE" },
	{ IFF_DEBUG, "DEBUG" },
	{ IFF_DYNAMIC, "DYNAMIC" },
	{ IFF_AUTOMEDIA, "AUTOMEDIA" },
	{ IFF_PORTSEL, "PORTSEL" },
	{ IFF_NOTRAILERS, "NOTRAILERS" },
	{ IFF_UP, "UP" },
	{ IFF_LOWER_UP, "LOWER_UP" },
	{ IFF_DORMANT, "DORMANT" },
	{ IFF_ECHO, "ECHO" },
};
const struct ip_words ip_link_flags = WORDS(link_flags);

/* Keys with the value true. "temporary" is how IPv6 calls "secondary". */
static const struct ip_name address_flags[] = {
	{ IFA_F_SECONDARY, "secondary" },
	{ IFA_F_TEMPORARY, "temporary" },
	{ IFA_F_NODAD, "nodad" },
	{ IFA_F_OPTIMISTIC, "optimistic" },
	{ IFA_F_DADFAILED, "dadfailed" },
	{ IFA_F_HOMEADDRESS, "home" },
	{ IFA_F_DEPRECATED, "deprecated" },
	{ IFA_F_TENTATIVE, "tentative" },
	{ IFA_F_MANAGETEMPADDR, "mngtmpaddr" },
	{ IFA_F_NOPREFIXROUTE, "noprefixroute" },
	{ IFA_F_MCAUTOJOIN, "autojoin" },
	{ IFA_F_STABLE_PRIVACY, "stable-privacy" },
};
const struct ip_words ip_address_flags = WORDS(address_flags);

static const struct ip_name hop_flags[] = {
	{ RTNH_F_DEAD, "dead" },         { RTNH_F_PERVASIVE, "pervasive" },
	{ RTNH_F_ONLINK, "onlink" },     { RTNH_F_OFFLOAD, "offload" },
	{ RTNH_F_LINKDOWN, "linkdown" }, { RTNH_F_UNRESOLVED, "unresolved" },
	{ RTNH_F_TRAP, "trap" },
};
const struct ip_words ip_hop_flags = WORDS(hop_flags);

static const struct ip_name route_flags[] = {
	{ RTM_F_NOTIFY, "notify" },
	{ RTM_F_OFFLOAD, "rt_offload" },
	{ RTM_F_TRAP, "rt_trap" },
	{ RTM_F_OFFLOAD_FAILED, "rt_offload_failed" },
};
const struct ip_words ip_route_flags = WORDS(route_flags);

static uint32_t digit(char c)
{
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0');
	c |= ' ';
	return c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 16;
}

bool ip_number(const char *word, uint32_t *ret)
{
	uint64_t n = 0;

	if (!str_starts(word, "0x"))
		return str_to_u32(word, UINT32_MAX, ret);
	word += 2;
	if (!*word)
		return false;
	for (; *word; word++) {
		if (digit(*word) > 15)
			return false;
		n = n << 4 | digit(*word);
		if (n > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)n;
	return true;
}

bool ip_word(const struct ip_words *words, const char *word, uint32_t *ret)
{
	for (size_t i = 0; i < words->n; i++) {
		if (!str_eq(words->names[i].name, word))
			continue;
		*ret = words->names[i].number;
		return true;
	}
	if (words->prefix && str_starts(word, words->prefix))
		word += strlen(words->prefix);
	return ip_number(word, ret);
}
