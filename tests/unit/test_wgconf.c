/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bad_input.h"

#include "base/text.h"
#include "wire/config.h"

static const struct bad bad_wg[] = {
	BAD("an empty file", "",
	    "wg.conf:1:1: no [Interface]; write it with PrivateKey and "
	    "Address"),
	BAD("a file without [Interface]",
	    "[Peer]\n"
	    "PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n",
	    "wg.conf:1:1: no [Interface]; write it with PrivateKey and "
	    "Address"),
	BAD("an interface without a private key",
	    "# mine\n"
	    "[Interface]\n"
	    "Address = 10.0.0.2/32\n",
	    "wg.conf:2:2: [Interface] has no PrivateKey; write "
	    "PrivateKey = KEY"),
	BAD("an interface without an address",
	    "[Interface]\n"
	    "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
	    "wg.conf:1:2: [Interface] has no Address; write the address "
	    "that the VPN gave, such as Address = 10.64.0.2/32"),
	BAD("a repeated interface",
	    "[Interface]\n"
	    "[interface]\n",
	    "wg.conf:2:2: [Interface] stands in line 1 already; put "
	    "everything there"),
	BAD("an unknown section", "[Interfaces]\n",
	    "wg.conf:1:2: unknown section [Interfaces]; write "
	    "[Interface] or [Peer]"),
	BAD("a key before any section",
	    "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
	    "wg.conf:1:1: \"PrivateKey\" before any section; write "
	    "[Interface] above it"),
	BAD("a private key too short",
	    "[Interface]\n"
	    "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBm=\n",
	    "wg.conf:2:14: PrivateKey is not a key; write 32 bytes in "
	    "base64 (44 characters that end in \"=\"), as wg genkey prints"),
	BAD("a private key that is 33 bytes",
	    "[Interface]\n"
	    "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmkA\n",
	    "wg.conf:2:14: PrivateKey is not a key; write 32 bytes in "
	    "base64 (44 characters that end in \"=\"), as wg genkey prints"),
	BAD("a private key with bits too many",
	    "[Interface]\n"
	    "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmm=\n",
	    "wg.conf:2:14: PrivateKey is not a key; write 32 bytes in "
	    "base64 (44 characters that end in \"=\"), as wg genkey prints"),
	BAD("a private key with a letter outside base64",
	    "[Interface]\n"
	    "PrivateKey = yAnz5TF-lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
	    "wg.conf:2:14: PrivateKey is not a key; write 32 bytes in "
	    "base64 (44 characters that end in \"=\"), as wg genkey prints"),
	BAD("a placeholder as private key",
	    "[Interface]\n"
	    "PrivateKey = <your key>\n",
	    "wg.conf:2:14: PrivateKey is not a key; write 32 bytes in "
	    "base64 (44 characters that end in \"=\"), as wg genkey prints"),
	BAD("a private key twice",
	    "[Interface]\n"
	    "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"
	    "privatekey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
	    "wg.conf:3:1: PrivateKey stands in line 2 already; keep one "
	    "of them"),
	BAD("an address that is a name",
	    "[Interface]\n"
	    "Address = 10.0.0.2/32, host\n",
	    "wg.conf:2:24: \"host\" is not an address; write "
	    "ADDRESS/LENGTH, such as 10.64.0.2/32 or fd00::2/128"),
	BAD("an address with a length too long",
	    "[Interface]\n"
	    "Address = 10.0.0.2/33\n",
	    "wg.conf:2:11: \"10.0.0.2/33\" is not an address; write "
	    "ADDRESS/LENGTH, such as 10.64.0.2/32 or fd00::2/128"),
	BAD("an MTU that is a word",
	    "[Interface]\n"
	    "MTU = auto\n",
	    "wg.conf:2:7: MTU \"auto\" is not a number from 576 to 65535; "
	    "write one"),
	BAD("an MTU too small",
	    "[Interface]\n"
	    "MTU = 575\n",
	    "wg.conf:2:7: MTU \"575\" is not a number from 576 to 65535; "
	    "write one"),
	BAD("a listen port out of range",
	    "[Interface]\n"
	    "ListenPort = 65536\n",
	    "wg.conf:2:14: ListenPort \"65536\" is not a number from 0 to "
	    "65535; write one"),
	BAD("a name server that is nothing",
	    "[Interface]\n"
	    "DNS = 10.64.0.1, http://x\n",
	    "wg.conf:2:18: \"http://x\" is neither an address nor a search "
	    "domain; write addresses of name servers"),
	BAD("an unknown key",
	    "[Interface]\n"
	    "Colour = 4\n",
	    "wg.conf:2:1: unknown key \"Colour\"; [Interface] knows "
	    "PrivateKey, Address, DNS, MTU, ListenPort"),
	BAD("a key of another protocol",
	    "[Interface]\n"
	    "jmin = 40\n",
	    "wg.conf:2:1: \"jmin\" is of AmneziaWG, which is not WireGuard; for its "
	    "client write command = in sallyport.conf"),
	BAD("a misspelt key",
	    "[Interface]\n"
	    "Adress = 10.0.0.2/32\n",
	    "wg.conf:2:1: unknown key \"Adress\"; did you mean \"Address\"? "
	    "[Interface] knows PrivateKey, Address, DNS, MTU, ListenPort"),
	BAD("a peer's key in the interface",
	    "[Interface]\n"
	    "AllowedIPs = 0.0.0.0/0\n",
	    "wg.conf:2:1: AllowedIPs in [Interface]; write it under "
	    "[Peer]"),
	BAD("an interface's key in a peer",
	    "[Peer]\n"
	    "Address = 10.0.0.2/32\n",
	    "wg.conf:2:1: Address in [Peer]; write it under [Interface]"),
	BAD("a line without an equals sign, whose key stays unseen,",
	    "[Interface]\n"
	    "PrivateKey yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
	    "wg.conf:2:1: \"PrivateKey\" is not followed by \"=\"; write KEY "
	    "= VALUE"),
	BAD("a peer without a public key",
	    "[Interface]\n"
	    "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"
	    "Address = 10.0.0.2\n"
	    " [Peer]\n"
	    "AllowedIPs = ::/0\n",
	    "wg.conf:4:3: the peer has no PublicKey; write PublicKey = "
	    "KEY"),
	BAD("a peer without a public key before another",
	    "[Peer]\n"
	    "[Peer]\n"
	    "PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n",
	    "wg.conf:1:2: the peer has no PublicKey; write PublicKey = "
	    "KEY"),
	BAD("a public key of two peers",
	    "[Peer]\n"
	    "PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
	    "[Peer]\n"
	    "PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n",
	    "wg.conf:4:13: the peer in line 1 has this PublicKey too; "
	    "keep one of them"),
	BAD("a bad preshared key",
	    "[Peer]\n"
	    "PresharedKey = abc\n",
	    "wg.conf:2:16: PresharedKey is not a key; write 32 bytes in "
	    "base64 (44 characters that end in \"=\"), as wg genkey prints"),
	BAD("an allowed prefix that is a name",
	    "[Peer]\n"
	    "AllowedIPs = 0.0.0.0/0, all\n",
	    "wg.conf:2:25: \"all\" is not a prefix; write ADDRESS/LENGTH, "
	    "such as 10.0.0.0/8 or ::/0"),
	BAD("an allowed prefix too long",
	    "[Peer]\n"
	    "AllowedIPs = fd00::/129\n",
	    "wg.conf:2:14: \"fd00::/129\" is not a prefix; write "
	    "ADDRESS/LENGTH, such as 10.0.0.0/8 or ::/0"),
	BAD("an endpoint without a port",
	    "[Peer]\n"
	    "Endpoint = vpn.example.com\n",
	    "wg.conf:2:12: Endpoint \"vpn.example.com\" is not HOST:PORT; "
	    "write such as vpn.example.com:51820, 192.0.2.1:51820 or "
	    "[2001:db8::1]:51820"),
	BAD("an endpoint with port 0",
	    "[Peer]\n"
	    "Endpoint = vpn.example.com:0\n",
	    "wg.conf:2:12: Endpoint \"vpn.example.com:0\" is not "
	    "HOST:PORT; write such as vpn.example.com:51820, "
	    "192.0.2.1:51820 or [2001:db8::1]:51820"),
	BAD("an endpoint with port 65536",
	    "[Peer]\n"
	    "Endpoint = vpn.example.com:65536\n",
	    "wg.conf:2:12: Endpoint \"vpn.example.com:65536\" is not "
	    "HOST:PORT; write such as vpn.example.com:51820, "
	    "192.0.2.1:51820 or [2001:db8::1]:51820"),
	BAD("an IPv6 endpoint without brackets",
	    "[Peer]\n"
	    "Endpoint = 2001:db8::1:51820\n",
	    "wg.conf:2:12: Endpoint \"2001:db8::1:51820\" is not "
	    "HOST:PORT; write such as vpn.example.com:51820, "
	    "192.0.2.1:51820 or [2001:db8::1]:51820"),
	BAD("an endpoint with an IPv4 address in brackets",
	    "[Peer]\n"
	    "Endpoint = [192.0.2.1]:51820\n",
	    "wg.conf:2:12: Endpoint \"[192.0.2.1]:51820\" is not "
	    "HOST:PORT; write such as vpn.example.com:51820, "
	    "192.0.2.1:51820 or [2001:db8::1]:51820"),
	BAD("a keepalive that is a word",
	    "[Peer]\n"
	    "PersistentKeepalive = on\n",
	    "wg.conf:2:23: PersistentKeepalive \"on\" is not a number from "
	    "0 to 65535; write one"),
	BAD("a keepalive out of range",
	    "[Peer]\n"
	    "PersistentKeepalive = 65536\n",
	    "wg.conf:2:23: PersistentKeepalive \"65536\" is not a number "
	    "from 0 to 65535; write one"),
	BAD("a NUL byte",
	    "[Interface]\n"
	    "MTU = 14\00020\n",
	    "wg.conf:2:9: a NUL byte; save the file as plain text (UTF-8)"),
};

_Static_assert(sizeof(struct wg_conf) <= BAD_RET_SIZE, "room for a wg_conf");

static int read_wg(struct arena *a, const char *text, size_t size, void *ret, struct err *e)
{
	return wgconf_read(a, "wg.conf", text, size, ret, e);
}

static void refuse_wg(void **state)
{
	refuse(*state, read_wg);
}

#define KEY   "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define PEER1 "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define PEER2 "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define PSK   "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="

struct good {
	const char *name;
	const char *text;
	const char *conf; /* as describe() tells it */
};

static void describe_peer(struct text *t, const struct wg_peer *p)
{
	char buf[PREFIX_TEXT_SIZE];

	text_addf(t, "peer %.4s psk=%.4s endpoint=%s,%u keepalive=%u line=%u", p->public_key,
		  p->preshared_key ? p->preshared_key : "none",
		  p->endpoint_host ? p->endpoint_host : "none", p->endpoint_port, p->keepalive,
		  p->line);
	for (size_t i = 0; i < p->n_allowed; i++)
		text_addf(t, " %s", prefix_text(&p->allowed[i], buf));
	text_add(t, "\n");
}

static void describe(struct text *t, const struct wg_conf *c)
{
	char buf[IP_TEXT_SIZE];

	text_addf(t, "key %.4s listen=%u mtu=%u\n", c->private_key, c->listen_port, c->mtu);
	for (size_t i = 0; i < c->n_addresses; i++)
		text_addf(t, "address %s/%u\n", ip_text(&c->addresses[i].ip, buf),
			  c->addresses[i].len);
	for (size_t i = 0; i < c->n_dns; i++)
		text_addf(t, "dns %s\n", ip_text(&c->dns[i], buf));
	for (size_t i = 0; i < c->n_search; i++)
		text_addf(t, "search %s\n", c->search[i]);
	for (size_t i = 0; i < c->n_peers; i++)
		describe_peer(t, &c->peers[i]);
	for (size_t i = 0; i < c->n_warnings; i++)
		text_addf(t, "%s\n", c->warnings[i]);
}

static const struct good good_wg[] = {
	{ "a provider's file reads as wg-quick reads it",
	  "[Interface]\n"
	  "# Device: Sly Otter\n"
	  "PrivateKey = " KEY "\n"
	  "Address = 10.66.12.34/32,fc00:bbbb:bbbb:bb01::3:c21/128\n"
	  "DNS = 10.64.0.1\n"
	  "\n"
	  "[Peer]\n"
	  "PublicKey = " PEER1 "\n"
	  "AllowedIPs = 0.0.0.0/0,::0/0\n"
	  "Endpoint = 192.0.2.66:51820\n",
	  "key yAnz listen=0 mtu=0\n"
	  "address 10.66.12.34/32\n"
	  "address fc00:bbbb:bbbb:bb01::3:c21/128\n"
	  "dns 10.64.0.1\n"
	  "peer xTIB psk=none endpoint=192.0.2.66,51820 keepalive=0 line=7 0.0.0.0/0 ::/0\n" },
	{ "keys have no case, lists may go on, comments begin anywhere",
	  "[INTERFACE]#x\n"
	  "privatekey=" KEY "#mine\n"
	  "ADDRESS = 10.0.0.2/24, 10.0.1.2\n"
	  "Address = fd00::2/64\n"
	  "dns = 10.0.0.1, example.org, fd00::1\n"
	  "DNS = corp.example.org\n"
	  "listenport = 51821\n"
	  "Mtu = 1380\n"
	  "[peer]\n"
	  "publickey = " PEER1 "\n"
	  "allowedips = 10.0.0.9/24, 192.0.2.1\n"
	  "AllowedIPs =\n"
	  "AllowedIPs = fd00::9/64\n",
	  "key yAnz listen=51821 mtu=1380\n"
	  "address 10.0.0.2/24\n"
	  "address 10.0.1.2/32\n"
	  "address fd00::2/64\n"
	  "dns 10.0.0.1\n"
	  "dns fd00::1\n"
	  "search example.org\n"
	  "search corp.example.org\n"
	  "peer xTIB psk=none endpoint=none,0 keepalive=0 line=9 10.0.0.0/24 192.0.2.1/32 "
	  "fd00::/64\n" },
	{ "several peers have what each has",
	  "[Peer]\nPublicKey = " PEER2 "\nPresharedKey = " PSK "\n"
	  "Endpoint = [2001:db8::1]:65535\nPersistentKeepalive = off\n"
	  "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2\n"
	  "[Peer]\nPublicKey = " PEER1 "\n"
	  "Endpoint = vpn-1.example.com:1\nPersistentKeepalive = 25\n",
	  "key yAnz listen=0 mtu=0\n"
	  "address 10.0.0.2/32\n"
	  "peer TrMv psk=FpCy endpoint=2001:db8::1,65535 keepalive=0 line=1\n"
	  "peer xTIB psk=none endpoint=vpn-1.example.com,1 keepalive=25 line=9\n" },
	{ "what wg-quick would do to the host is ignored with a warning",
	  "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2\n"
	  "Table = off\nFwMark = 51820\nSaveConfig = true\n"
	  "  PreUp = a\nPostUp = iptables -I OUTPUT ! -o %i -j REJECT\nPostUp = b\n"
	  "PreDown = c\nPostDown = d = e\n",
	  "key yAnz listen=0 mtu=0\n"
	  "address 10.0.0.2/32\n"
	  "wg.conf:4:1: Table is ignored: each door has a table of its own\n"
	  "wg.conf:5:1: FwMark is ignored: the tunnel's packets get a mark of the gate\n"
	  "wg.conf:6:1: SaveConfig is ignored: the file is never written\n"
	  "wg.conf:7:3: PreUp is ignored: no commands of a VPN file are run\n"
	  "wg.conf:8:1: PostUp is ignored: no commands of a VPN file are run\n"
	  "wg.conf:9:1: PostUp is ignored: no commands of a VPN file are run\n"
	  "wg.conf:10:1: PreDown is ignored: no commands of a VPN file are run\n"
	  "wg.conf:11:1: PostDown is ignored: no commands of a VPN file are run\n" },
	{ "what Android's application writes is ignored with a warning",
	  "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2\n"
	  "ExcludedApplications = com.example.bank, com.example.tv\n",
	  "key yAnz listen=0 mtu=0\n"
	  "address 10.0.0.2/32\n"
	  "wg.conf:4:1: ExcludedApplications is ignored: it is of Android's application\n" },
	{ "an MTU that is too small for the IPv6 address is warned of",
	  "[Interface]\nPrivateKey = " KEY "\nMTU = 1279\nAddress = 10.0.0.2, fd00::2/64\n",
	  "key yAnz listen=0 mtu=1279\n"
	  "address 10.0.0.2/32\n"
	  "address fd00::2/64\n"
	  "wg.conf:3:1: with MTU 1279 the tunnel has no IPv6, which needs 1280 at least\n" },
	{ "an MTU that suits IPv6 is not",
	  "[Interface]\nPrivateKey = " KEY "\nMTU = 1280\nAddress = 10.0.0.2, fd00::2/64\n",
	  "key yAnz listen=0 mtu=1280\n"
	  "address 10.0.0.2/32\n"
	  "address fd00::2/64\n" },
	{ "numbers may be as large as they are",
	  "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2\nListenPort = 65535\n"
	  "MTU = 576\n[Peer]\nPublicKey = " PEER1 "\nPersistentKeepalive = 65535\n",
	  "key yAnz listen=65535 mtu=576\n"
	  "address 10.0.0.2/32\n"
	  "peer xTIB psk=none endpoint=none,0 keepalive=65535 line=6\n" },
};

static void understand(void **state)
{
	const struct good *good = *state;
	CLEANUP_ARENA struct arena a = { 0 };
	CLEANUP_TEXT struct text t = { 0 };
	struct err e = { "" };
	struct wg_conf c;

	if (read_wg(&a, good->text, strlen(good->text), &c, &e) < 0)
		fail_msg("%s", e.text);
	describe(&t, &c);
	assert_string_equal(text_str(&t), good->conf);
}

static void setconf_says_what_wg_must_know_and_no_more(void **state)
{
	static const char text[] = "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2/32\n"
				   "DNS = 10.0.0.1\nMTU = 1380\nListenPort = 51821\n"
				   "[Peer]\nPublicKey = " PEER1 "\nPresharedKey = " PSK "\n"
				   "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = vpn.example.com:443\n"
				   "PersistentKeepalive = 25\n"
				   "[Peer]\nPublicKey = " PEER2 "\nAllowedIPs = 10.1.2.3/16\n"
				   "Endpoint = vpn6.example.com:444\n";
	static const char *const endpoints[] = { "192.0.2.1", "2001:db8::1" };
	CLEANUP_ARENA struct arena a = { 0 };
	struct wg_conf c;
	struct err e;

	(void)state;
	assert_int_equal(read_wg(&a, text, strlen(text), &c, &e), 0);
	assert_string_equal(wgconf_setconf(&a, &c, endpoints, 0x5a11),
			    "[Interface]\nPrivateKey = " KEY "\nListenPort = 51821\n"
			    "FwMark = 0x5a11\n"
			    "\n[Peer]\nPublicKey = " PEER1 "\nPresharedKey = " PSK "\n"
			    "AllowedIPs = 0.0.0.0/0\nAllowedIPs = ::/0\n"
			    "Endpoint = 192.0.2.1:443\nPersistentKeepalive = 25\n"
			    "\n[Peer]\nPublicKey = " PEER2 "\nAllowedIPs = 10.1.0.0/16\n"
			    "Endpoint = [2001:db8::1]:444\n");
}

static void setconf_leaves_out_what_is_not_known(void **state)
{
	static const char text[] = "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2/32\n"
				   "[Peer]\nPublicKey = " PEER1 "\nEndpoint = a:1\n";
	static const char *const endpoints[] = { NULL };
	static const char want[] = "[Interface]\nPrivateKey = " KEY "\n"
				   "\n[Peer]\nPublicKey = " PEER1 "\n";
	CLEANUP_ARENA struct arena a = { 0 };
	struct wg_conf c;
	struct err e;

	(void)state;
	assert_int_equal(read_wg(&a, text, strlen(text), &c, &e), 0);
	assert_string_equal(wgconf_setconf(&a, &c, endpoints, 0), want);
	assert_string_equal(wgconf_setconf(&a, &c, NULL, 0), want);
}

static const char called_and_not[] = "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2/32\n"
				     "[Peer]\nPublicKey = " PEER1 "\nEndpoint = a.example:1\n"
				     "[Peer]\nPublicKey = " PEER2 "\n";

static void endpoints_are_addresses_or_what_is_known_of_their_names(void **state)
{
	static const char text[] = "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2/32\n"
				   "[Peer]\nPublicKey = " PEER1 "\nEndpoint = a.example:1\n"
				   "[Peer]\nPublicKey = " PEER2 "\nEndpoint = [2001:db8::1]:2\n";
	static const struct {
		const char *known, *first;
		unsigned int turn;
	} cases[] = {
		{ "192.0.2.1 a.example\n", "192.0.2.1", 7 },
		{ "192.0.2.9 a.example.org\n192.0.2.1 a.example\n192.0.2.2 a.example\n",
		  "192.0.2.1" },
		{ "2001:db8::1 a.example\n192.0.2.1 a.example\n", "192.0.2.1", 1 },
		{ "2001:db8::1 a.example\n192.0.2.1 a.example\n", "2001:db8::1", 2 },
		{ "192.0.2.1\n192.0.2.2 a.example", "192.0.2.2" },
		{ "192.0.2.9 a\n\n", NULL },
		{ "", NULL },
	};
	CLEANUP_ARENA struct arena a = { 0 };
	const char **names;
	struct wg_conf c;
	struct err e;

	(void)state;
	assert_int_equal(read_wg(&a, text, strlen(text), &c, &e), 0);
	assert_int_equal(wgconf_names(&a, &c, &names), 1);
	assert_string_equal(names[0], "a.example");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char **found = wgconf_endpoints(&a, &c, cases[i].known, cases[i].turn);

		if (cases[i].first)
			assert_string_equal(found[0], cases[i].first);
		else
			assert_null(found[0]);
		assert_string_equal(found[1], "2001:db8::1");
	}
}

static void only_who_is_called_is_kept_alive(void **state)
{
	CLEANUP_ARENA struct arena a = { 0 };
	struct wg_conf c;
	struct err e;

	(void)state;
	assert_int_equal(read_wg(&a, called_and_not, strlen(called_and_not), &c, &e), 0);
	wgconf_keep_alive(&c);
	assert_int_equal(c.peers[0].keepalive, 25);
	assert_int_equal(c.peers[1].keepalive, 0);
	c.peers[0].keepalive = 7;
	wgconf_keep_alive(&c);
	assert_int_equal(c.peers[0].keepalive, 7);
}

static void a_peer_answers_that_is_called_and_spoke_lately(void **state)
{
	/* The wall clock (first number of a peer) is set to and fro; ours goes on. */
	static const struct {
		const char *shown;
		int64_t now_s;
		bool answers;
	} cases[] = {
		{ "", 1, false },
		{ PEER1, 2, false },
		{ PEER2 "\t1000\n", 3, false }, /* is not called */
		{ PEER1 "\t0\n" PEER2 "\t1000\n", 4, false },
		{ PEER1 "\t1000\n" PEER2 "\t0\n", 10, true },
		{ PEER1 "\t1000\n", 189, true },
		{ PEER1 "\t1000\n", 190, false },
		{ PEER1 "\t90000\n", 200, true }, /* a day later */
		{ PEER1 "\t90000\n", 379, true },
		{ PEER1 "\t500\n", 379, true }, /* long ago */
		{ PEER1 "\t500\n", 558, true },
		{ PEER1 "\t500\n", 559, false },
	};
	CLEANUP_ARENA struct arena a = { 0 };
	struct wg_heard heard = { 0 };
	struct wg_conf c;
	struct err e;

	(void)state;
	assert_int_equal(read_wg(&a, called_and_not, strlen(called_and_not), &c, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(wgconf_answers(&c, cases[i].shown, cases[i].now_s * 1000, &heard),
				 cases[i].answers);
	c.peers[0].endpoint_host = NULL;
	assert_true(wgconf_answers(&c, "", 1000, &heard));
}

static void no_message_shows_a_key(void **state)
{
	static const char *const texts[] = {
		"[Interface]\nPrivateKey " KEY "\n",    "[Interface]\n" KEY "\n",
		"[Interface]\nPrivateKey = " KEY "A\n", "[Interface]\nPrivateKey = x" KEY "\n",
		"[Peer]\nPresharedKey: " KEY "\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP_ARENA struct arena a = { 0 };
		struct wg_conf c;
		struct err e;

		assert_int_equal(read_wg(&a, texts[i], strlen(texts[i]), &c, &e), -22);
		/* Some of it may stand there where a word is misplaced, never half. */
		assert_null(strstr(e.text, "ji3zlMNq"));
	}
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(setconf_says_what_wg_must_know_and_no_more),
		cmocka_unit_test(setconf_leaves_out_what_is_not_known),
		cmocka_unit_test(endpoints_are_addresses_or_what_is_known_of_their_names),
		cmocka_unit_test(only_who_is_called_is_kept_alive),
		cmocka_unit_test(a_peer_answers_that_is_called_and_spoke_lately),
		cmocka_unit_test(no_message_shows_a_key),
	};
	struct CMUnitTest tests[ARRAY_LEN(bad_wg) + ARRAY_LEN(good_wg) + ARRAY_LEN(others)];
	size_t n = add_bad(tests, bad_wg, ARRAY_LEN(bad_wg), refuse_wg);

	for (size_t i = 0; i < ARRAY_LEN(good_wg); i++)
		tests[n++] = (struct CMUnitTest){ .name = good_wg[i].name,
						  .test_func = understand,
						  .initial_state = (void *)&good_wg[i] };
	memcpy(tests + n, others, sizeof(others));
	return cmocka_run_group_tests_name("wgconf", tests, NULL, NULL);
}
