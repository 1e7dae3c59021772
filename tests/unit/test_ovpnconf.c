/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bad_input.h"

#include "base/text.h"
#include "wire/config.h"

static const struct bad bad_ovpn[] = {
	BAD("an empty file", "", "office.ovpn:1:1: no remote; write remote HOST PORT"),
	BAD("a file without a remote",
	    "client\n"
	    "dev tun\n",
	    "office.ovpn:1:1: no remote; write remote HOST PORT"),
	BAD("a remote without a host",
	    "client\n"
	    "remote\n",
	    "office.ovpn:2:1: remote without a host; write remote HOST "
	    "PORT"),
	BAD("a remote with a placeholder",
	    "client\n"
	    "remote <server> 1194\n",
	    "office.ovpn:2:8: \"<server>\" is not a host; write a name or "
	    "an address"),
	BAD("a remote with a bad port",
	    "client\n"
	    "remote vpn.example.com 65536\n",
	    "office.ovpn:2:24: \"65536\" is not a port; write a number "
	    "from 1 to 65535"),
	BAD("a remote with port 0",
	    "client\n"
	    "remote vpn.example.com 0\n",
	    "office.ovpn:2:24: \"0\" is not a port; write a number from 1 "
	    "to 65535"),
	BAD("a remote with a bad protocol",
	    "client\n"
	    "remote vpn.example.com 1194 sctp\n",
	    "office.ovpn:2:29: \"sctp\" is not a protocol of openvpn; "
	    "write udp, udp4, udp6, tcp, tcp4 or tcp6"),
	BAD("a remote in a block with a bad port",
	    "<connection>\n"
	    "remote vpn.example.com http\n"
	    "</connection>\n",
	    "office.ovpn:2:24: \"http\" is not a port; write a number from "
	    "1 to 65535"),
	BAD("a bad port for all remotes",
	    "remote vpn.example.com 1194\n"
	    "port x\n",
	    "office.ovpn:2:6: \"x\" is not a port; write a number from 1 "
	    "to 65535"),
	BAD("a port without a number",
	    "remote vpn.example.com 1194\n"
	    "port\n",
	    "office.ovpn:2:1: port without a number; write one from 1 to "
	    "65535"),
	BAD("a bad protocol for all remotes",
	    "remote vpn.example.com 1194\n"
	    "proto icmp\n",
	    "office.ovpn:2:7: \"icmp\" is not a protocol of openvpn; write "
	    "udp, udp4, udp6, tcp, tcp4 or tcp6"),
	BAD("a proxy that is no host",
	    "remote vpn.example.com 1194 tcp\n"
	    "http-proxy <proxy> 3128\n",
	    "office.ovpn:2:12: \"<proxy>\" is not a host; write a name or an address"),
	BAD("a proxy without a port",
	    "remote vpn.example.com 1194 tcp\n"
	    "http-proxy proxy.example.com\n",
	    "office.ovpn:2:1: http-proxy without a number; write one from 1 to 65535"),
	BAD("a protocol that is forced on nobody",
	    "remote vpn.example.com 1194 udp\n"
	    "proto-force tcp\n",
	    "office.ovpn:2:13: no remote speaks tcp; take proto-force out, or write a remote "
	    "that does"),
	BAD("a forced protocol that is none",
	    "remote vpn.example.com 1194\n"
	    "proto-force sctp\n",
	    "office.ovpn:2:13: proto-force is udp or tcp"),
	BAD("a server's protocol",
	    "remote vpn.example.com 1194\n"
	    "proto tcp-server\n",
	    "office.ovpn:2:7: proto tcp-server is a server's; a door "
	    "needs the client's file"),
	BAD("a connection that is not closed",
	    "client\n"
	    "<connection>\n"
	    "remote vpn.example.com\n",
	    "office.ovpn:2:1: <connection> is not closed; write "
	    "</connection> on a line of its own below"),
	BAD("a connection inside a connection",
	    "<connection>\n"
	    "<connection>\n",
	    "office.ovpn:2:1: <connection> inside <connection> of line "
	    "1; write </connection> above it"),
	BAD("a connection that was not opened", "</connection>\n",
	    "office.ovpn:1:1: </connection> closes nothing; write "
	    "<connection> above it, or take it out"),
	BAD("a user and password to ask for",
	    "client\n"
	    "remote vpn.example.com 1194\n"
	    "auth-user-pass\n",
	    "office.ovpn:3:1: auth-user-pass would ask at a terminal, "
	    "and a door has none; write auth-user-pass FILE, with user "
	    "name and password on two lines of it"),
	BAD("a user and password from stdin",
	    "remote vpn.example.com 1194\n"
	    "auth-user-pass stdin\n",
	    "office.ovpn:2:1: auth-user-pass would ask at a terminal, "
	    "and a door has none; write auth-user-pass FILE, with user "
	    "name and password on two lines of it"),
	BAD("a question behind setenv opt",
	    "remote vpn.example.com 1194\n"
	    "setenv opt auth-user-pass\n",
	    "office.ovpn:2:12: auth-user-pass would ask at a terminal, "
	    "and a door has none; write auth-user-pass FILE, with user "
	    "name and password on two lines of it"),
	BAD("a question behind dashes",
	    "remote vpn.example.com 1194\n"
	    "  --auth-user-pass\n",
	    "office.ovpn:2:3: auth-user-pass would ask at a terminal, "
	    "and a door has none; write auth-user-pass FILE, with user "
	    "name and password on two lines of it"),
	BAD("an inline user without a password",
	    "remote vpn.example.com 1194\n"
	    "<auth-user-pass>\n"
	    "me\n"
	    "</auth-user-pass>\n",
	    "office.ovpn:2:1: <auth-user-pass> would ask at a terminal, "
	    "and a door has none; write user name and password on two "
	    "lines in it"),
	BAD("an inline user with an empty password",
	    "remote vpn.example.com 1194\n"
	    "<auth-user-pass>\n"
	    "me\n"
	    "\n"
	    "</auth-user-pass>\n",
	    "office.ovpn:2:1: <auth-user-pass> would ask at a terminal, "
	    "and a door has none; write user name and password on two "
	    "lines in it"),
	BAD("a file first and then a question",
	    "remote vpn.example.com 1194\n"
	    "auth-user-pass x\n"
	    "auth-user-pass\n",
	    "office.ovpn:3:1: auth-user-pass would ask at a terminal, "
	    "and a door has none; write auth-user-pass FILE, with user "
	    "name and password on two lines of it"),
	BAD("a passphrase to ask for",
	    "remote vpn.example.com 1194\n"
	    "askpass\n",
	    "office.ovpn:2:1: askpass would ask at a terminal, and a "
	    "door has none; write askpass FILE, with the passphrase on "
	    "its first line"),
	BAD("an encrypted inline key",
	    "remote vpn.example.com 1194\n"
	    "<key>\n"
	    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	    "AAAA\n"
	    "-----END ENCRYPTED PRIVATE KEY-----\n"
	    "</key>\n",
	    "office.ovpn:2:1: <key> is encrypted: openvpn would ask for "
	    "its passphrase at a terminal, and a door has none; write "
	    "askpass FILE, with the passphrase on its first line"),
	BAD("an encrypted inline key of the old kind",
	    "remote vpn.example.com 1194\n"
	    "<key>\n"
	    "-----BEGIN RSA PRIVATE KEY-----\n"
	    "Proc-Type: 4,ENCRYPTED\n"
	    "DEK-Info: DES-EDE3-CBC,0\n"
	    "\n"
	    "AAAA\n"
	    "-----END RSA PRIVATE KEY-----\n"
	    "</key>\n",
	    "office.ovpn:2:1: <key> is encrypted: openvpn would ask for "
	    "its passphrase at a terminal, and a door has none; write "
	    "askpass FILE, with the passphrase on its first line"),
	BAD("a second factor to ask for",
	    "remote vpn.example.com 1194\n"
	    "static-challenge \"Enter code\" 1\n",
	    "office.ovpn:2:1: \"static-challenge\" asks at a terminal, and "
	    "a door has none; use an account or certificate without it"),
	BAD("a token to ask a PIN for",
	    "remote vpn.example.com 1194\n"
	    "pkcs11-id 'x/y'\n",
	    "office.ovpn:2:1: \"pkcs11-id\" asks at a terminal, and a door "
	    "has none; use an account or certificate without it"),
	BAD("a proxy that asks",
	    "remote vpn.example.com 1194\n"
	    "http-proxy proxy.example.com 3128 stdin basic\n",
	    "office.ovpn:2:35: \"http-proxy\" asks at a terminal, and a "
	    "door has none; write a file with user name and password on "
	    "two lines instead of stdin"),
	BAD("a SOCKS proxy that asks",
	    "remote vpn.example.com 1194\n"
	    "socks-proxy proxy.example.com 1080 stdin\n",
	    "office.ovpn:2:36: \"socks-proxy\" asks at a terminal, and a "
	    "door has none; write a file with user name and password on "
	    "two lines instead of stdin"),
	BAD("dev tap",
	    "remote vpn.example.com 1194\n"
	    "dev tap\n",
	    "office.ovpn:2:1: dev tap carries Ethernet, and doors carry "
	    "IP; the VPN must offer tun"),
	BAD("dev tap with a number",
	    "remote vpn.example.com 1194\n"
	    "dev tap0\n",
	    "office.ovpn:2:1: dev tap0 carries Ethernet, and doors carry "
	    "IP; the VPN must offer tun"),
	BAD("dev-type tap",
	    "remote vpn.example.com 1194\n"
	    "dev vpn\n"
	    "dev-type tap\n",
	    "office.ovpn:3:1: dev-type tap carries Ethernet, and doors "
	    "carry IP; the VPN must offer tun"),
	BAD("a server",
	    "port 1194\n"
	    "server 10.8.0.0 255.255.255.0\n",
	    "office.ovpn:2:1: \"server\" makes this a server's file; a "
	    "door needs the client's"),
	BAD("a server by its mode", "mode server\n",
	    "office.ovpn:1:1: \"mode server\" makes this a server's file; "
	    "a door needs the client's"),
	BAD("a server of TLS",
	    "remote vpn.example.com 1194\n"
	    "tls-server\n",
	    "office.ovpn:2:1: \"tls-server\" makes this a server's file; a "
	    "door needs the client's"),
	BAD("another file",
	    "remote vpn.example.com 1194\n"
	    "config other.ovpn\n",
	    "office.ovpn:2:1: \"config\" reads another file, which "
	    "sallyport does not see; put its lines here"),
	BAD("an inline file that is not closed",
	    "remote vpn.example.com 1194\n"
	    "<ca>\n"
	    "-----BEGIN CERTIFICATE-----\n",
	    "office.ovpn:2:1: <ca> is not closed; write </ca> on a line "
	    "of its own below"),
	BAD("an inline file that was not opened", "client\n</ca>\n",
	    "office.ovpn:2:1: </ca> closes nothing; write <ca> above it, or "
	    "take it out"),
	BAD("a quote that is not closed",
	    "remote vpn.example.com 1194\n"
	    "  verify-x509-name \"vpn.example.com name\n",
	    "office.ovpn:2:20: the quote is not closed; write \" at the "
	    "end of the word"),
	BAD("a single quote that is not closed",
	    "remote vpn.example.com 1194\n"
	    "verify-x509-name 'vpn.example.com\n",
	    "office.ovpn:2:18: the quote is not closed; write ' at the "
	    "end of the word"),
	BAD("a backslash before a letter",
	    "remote vpn.example.com 1194\n"
	    "auth-user-pass C:\\new\\pass.txt\n",
	    "office.ovpn:2:18: a backslash before \"n\"; write \\\\ for a "
	    "backslash"),
	BAD("a backslash at the end",
	    "remote vpn.example.com 1194\n"
	    "ca x\\\n",
	    "office.ovpn:2:5: a backslash at the end of the line; write "
	    "\\\\"),
	BAD("a line longer than openvpn reads",
	    "remote vpn.example.com 1194\n"
	    "# xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
	    "office.ovpn:2:256: the line has 256 bytes; openvpn reads at "
	    "most 255"),
	BAD("a NUL byte",
	    "remote vpn.example.com 1194\n"
	    "ca a\000b\n",
	    "office.ovpn:2:5: a NUL byte; save the file as plain text "
	    "(UTF-8)"),
	BAD("UTF-16", "\377\376c\000l\000",
	    "office.ovpn:1:1: the file is UTF-16; save it as UTF-8"),
};

_Static_assert(sizeof(struct ovpn_conf) <= BAD_RET_SIZE, "room for an ovpn_conf");

static int read_ovpn(struct arena *a, const char *text, size_t size, void *ret, struct err *e)
{
	return ovpnconf_read(a, "office.ovpn", text, size, ret, e);
}

static void refuse_ovpn(void **state)
{
	refuse(*state, read_ovpn);
}

struct good {
	const char *name;
	const char *text;
	const char *conf; /* as describe() tells it */
};

static void describe(struct text *t, const struct ovpn_conf *c)
{
	for (size_t i = 0; i < c->n_remotes; i++)
		text_addf(t, "%s %u %s line=%u\n", c->remotes[i].host, c->remotes[i].port,
			  c->remotes[i].proto, c->remotes[i].line);
	if (c->random_hostname)
		text_add(t, "below random names\n");
	if (c->auth_user_pass)
		text_addf(t, "auth %s\n", *c->auth_user_pass ? c->auth_user_pass : "inline");
	if (c->cd)
		text_addf(t, "cd %s\n", c->cd);
	for (size_t i = 0; i < c->n_warnings; i++)
		text_addf(t, "%s\n", c->warnings[i]);
}

static const struct good good_ovpn[] = {
	{ "a provider's file with everything inline",
	  "client\ndev tun\nproto udp\nremote 192.0.2.10 1301\nremote 192.0.2.11\n"
	  "remote-random\nresolv-retry infinite\nnobind\npersist-key\npersist-tun\n"
	  "auth-user-pass\nverb 3\n"
	  "<ca>\n-----BEGIN CERTIFICATE-----\nremote evil.example.com 1 udp\n"
	  "-----END CERTIFICATE-----\n</ca>\n"
	  "<key>\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n</key>\n"
	  "<auth-user-pass>\nme\nsecret\n</auth-user-pass>\n",
	  "192.0.2.10 1301 udp line=4\n"
	  "192.0.2.11 1194 udp line=5\n"
	  "auth inline\n" },
	{ "a proxy is what is connected to, for all remotes or for one",
	  "proto tcp\nremote a 443\nremote b\nhttp-proxy proxy.example.com 3128 auto basic\n",
	  "proxy.example.com 3128 tcp-client line=2\n"
	  "proxy.example.com 3128 tcp-client line=3\n" },
	{ "a proxy of one block, SOCKS with its port for datagrams",
	  "<connection>\nremote a 1194 udp\nsocks-proxy 192.0.2.1\n</connection>\n"
	  "<connection>\nremote b 443 tcp\n</connection>\n",
	  "192.0.2.1 1080 tcp-client line=2\n"
	  "192.0.2.1 0 udp line=2\n"
	  "b 443 tcp-client line=6\n" },
	{ "proto-force leaves the remotes that speak it",
	  "remote a 1194 udp\nremote b 443 tcp\nremote c 444 tcp6\nproto-force tcp\n",
	  "b 443 tcp-client line=2\n"
	  "c 444 tcp6-client line=3\n" },
	{ "port and proto of the file go to the remotes that say none",
	  "remote a\nremote b 443\nremote c 444 tcp\nremote 2001:db8::1 445 udp6\n"
	  "proto tcp4\nport 1000\nrport 1001\n",
	  "a 1001 tcp4-client line=1\n"
	  "b 443 tcp4-client line=2\n"
	  "c 444 tcp-client line=3\n"
	  "2001:db8::1 445 udp6 line=4\n" },
	{ "a connection block takes what stands above it",
	  "proto tcp\n<connection>\nremote a 443\n</connection>\n"
	  "proto udp\nport 1195\n  <connection>\nremote b\nproto tcp6-client\n"
	  "</connection>\n<connection>\nremote c\nport 53\n<tls-auth>\nremote d\n</tls-auth>\n"
	  "</connection>\n<connection>\nnobind\n</connection>\nport 9\n",
	  "a 443 tcp-client line=3\n"
	  "b 1195 tcp6-client line=8\n"
	  "c 53 udp line=12\n" },
	{ "remotes beside blocks are ignored, and it is said",
	  "remote a\n<connection>\nremote b\n</connection>\n",
	  "b 1194 udp line=3\n"
	  "office.ovpn:1:1: \"remote\" is ignored: openvpn uses the <connection> blocks alone\n" },
	{ "words are cut as openvpn cuts them",
	  "\xef\xbb\xbf--remote \"a\"\t'443' # udp\r\n"
	  "; remote b\r\n"
	  "auth-user-pass \"my \\\"pass\\\".txt\" ; x\r\n"
	  "cd /etc/open\\ vpn\\\\x#y\r\n"
	  "verify-x509-name 'C:\\name \"x' name\r\n"
	  "\\# no option\r\n",
	  "a 443 udp line=1\n"
	  "auth my \"pass\".txt\n"
	  "cd /etc/open vpn\\x#y\n" },
	{ "a question first and then an answer is no question",
	  "remote a\nauth-user-pass\nauth-user-pass up.txt\naskpass\naskpass pass.txt\n"
	  "<key>\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n</key>\n",
	  "a 1194 udp line=1\n"
	  "auth up.txt\n" },
	{ "a tun device may be called tap when it says so",
	  "remote a\ndev tapestry\ndev-type tun\n",
	  "a 1194 udp line=1\n"
	  "office.ovpn:2:1: \"dev\" is left out: the interface is called as its door\n" },
	{ "options that sallyport sets itself are warned of",
	  "remote a\ndev tun0\ndev-node /dev/tun\ndaemon ovpn\ninetd\nlog /var/log/x\n"
	  "log-append x\nsyslog\nwritepid x\nmark 7\nlocal 10.0.0.1\nbind-dev eth0\n"
	  "management 127.0.0.1 7505\nmanagement-hold\ncd /etc/openvpn\n",
	  "a 1194 udp line=1\n"
	  "cd /etc/openvpn\n"
	  "office.ovpn:2:1: \"dev\" is left out: the interface is called as its door\n"
	  "office.ovpn:3:1: \"dev-node\" is left out: the interface is called as its door\n"
	  "office.ovpn:4:1: \"daemon\" is left out: sallyport watches over the client\n"
	  "office.ovpn:5:1: \"inetd\" is left out: sallyport watches over the client\n"
	  "office.ovpn:6:1: \"log\" is left out: what the client says is passed on\n"
	  "office.ovpn:7:1: \"log-append\" is left out: what the client says is passed on\n"
	  "office.ovpn:8:1: \"syslog\" is left out: what the client says is passed on\n"
	  "office.ovpn:9:1: \"writepid\" is left out: sallyport watches over the client\n"
	  "office.ovpn:10:1: \"mark\" is left out: the client's packets get a mark of the gate\n"
	  "office.ovpn:11:1: \"local\" is left out: the gate has addresses of its own\n"
	  "office.ovpn:12:1: \"bind-dev\" is left out: the gate has interfaces of its own\n"
	  "office.ovpn:13:1: \"management\" is left out: sallyport talks to the client itself\n"
	  "office.ovpn:14:1: \"management-hold\" is left out: sallyport talks to the client "
	  "itself\n" },
	{ "a script for the host's resolver is left out, others are told where they run",
	  "remote a\nscript-security 2\nup /etc/openvpn/update-resolv-conf\n"
	  "down /etc/openvpn/update-resolv-conf\nroute-up /usr/local/bin/tell\n"
	  "plugin /usr/lib/openvpn/down-root.so /etc/openvpn/update-systemd-resolved\n",
	  "a 1194 udp line=1\n"
	  "office.ovpn:3:1: \"up\" is left out: the rooms get their name servers from sallyport, "
	  "the host keeps its own\n"
	  "office.ovpn:4:1: \"down\" is left out: the rooms get their name servers from "
	  "sallyport, the host keeps its own\n"
	  "office.ovpn:5:1: \"route-up\" runs inside the gate: it sees the gate's interfaces and "
	  "routes\n"
	  "office.ovpn:6:1: \"plugin\" is left out: the rooms get their name servers from "
	  "sallyport, the host keeps its own\n" },
	{ "what is for Windows alone is left out, also behind setenv opt",
	  "remote a\nblock-outside-dns\nsetenv opt register-dns\nroute-method exe\n",
	  "a 1194 udp line=1\n"
	  "office.ovpn:2:1: \"block-outside-dns\" is left out: it is for Windows alone\n"
	  "office.ovpn:3:12: \"register-dns\" is left out: it is for Windows alone\n" },
	{ "random names are ours to ask for", "remote a\nremote-random-hostname\n",
	  "a 1194 udp line=1\nbelow random names\n" },
	{ "what only concerns openvpn is not looked at",
	  "remote a\nroute-nopull\nroute 10.0.0.0 255.0.0.0\nuser nobody\npersist-tun\n"
	  "nice 5\nchroot /x\nno-such-option 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 \"18\n",
	  "a 1194 udp line=1\n" },
};

static void understand(void **state)
{
	const struct good *good = *state;
	CLEANUP_ARENA struct arena a = { 0 };
	CLEANUP_TEXT struct text t = { 0 };
	struct err e = { "" };
	struct ovpn_conf c;

	if (read_ovpn(&a, good->text, strlen(good->text), &c, &e) < 0)
		fail_msg("%s", e.text);
	describe(&t, &c);
	assert_string_equal(text_str(&t), good->conf);
}

static void a_rewritten_file_keeps_its_lines_and_loses_what_sallyport_sets(void **state)
{
	static const char text[] = "\xef\xbb\xbf# daemon\r\n"
				   "client\r\n"
				   "  dev tun\r\n"
				   "--log x\n"
				   "setenv opt management 127.0.0.1 1\n"
				   "<ca>\n"
				   "daemon\n"
				   "</ca>\n"
				   "<connection>\n"
				   "remote a 1194\n"
				   "local 10.0.0.1\n"
				   "</connection>\n"
				   "<management>\n"
				   "x\n"
				   "</management>\n"
				   "\"daemon\"\n"
				   "dev-type tun";
	static const char want[] = "\xef\xbb\xbf# daemon\r\n"
				   "client\r\n"
				   "\n"
				   "\n"
				   "\n"
				   "<ca>\n"
				   "daemon\n"
				   "</ca>\n"
				   "<connection>\n"
				   "remote a 1194\n"
				   "\n"
				   "</connection>\n"
				   "\n"
				   "\n"
				   "\n"
				   "\n";
	CLEANUP_ARENA struct arena a = { 0 };
	const char *got;
	size_t size;

	(void)state;
	assert_int_equal(ovpnconf_rewrite(&a, text, strlen(text), &got, &size), 0);
	assert_string_equal(got, want);
	assert_int_equal(size, strlen(want));
}

static void a_file_with_nothing_to_leave_out_stays_as_it_is(void **state)
{
	static const char text[] = "client\nremote a\n\n# end";
	CLEANUP_ARENA struct arena a = { 0 };
	const char *got;
	size_t size;

	(void)state;
	assert_int_equal(ovpnconf_rewrite(&a, text, strlen(text), &got, &size), 0);
	assert_string_equal(got, text);
	assert_int_equal(ovpnconf_rewrite(&a, "", 0, &got, &size), 0);
	assert_int_equal(size, 0);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(a_rewritten_file_keeps_its_lines_and_loses_what_sallyport_sets),
		cmocka_unit_test(a_file_with_nothing_to_leave_out_stays_as_it_is),
	};
	struct CMUnitTest tests[ARRAY_LEN(bad_ovpn) + ARRAY_LEN(good_ovpn) + ARRAY_LEN(others)];
	size_t n = add_bad(tests, bad_ovpn, ARRAY_LEN(bad_ovpn), refuse_ovpn);

	for (size_t i = 0; i < ARRAY_LEN(good_ovpn); i++)
		tests[n++] = (struct CMUnitTest){ .name = good_ovpn[i].name,
						  .test_func = understand,
						  .initial_state = (void *)&good_ovpn[i] };
	memcpy(tests + n, others, sizeof(others));
	return cmocka_run_group_tests_name("ovpnconf", tests, NULL, NULL);
}
