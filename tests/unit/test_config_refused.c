/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bad_input.h"

#include "base/text.h"
#include "wire/config.h"

/* What sallyport.conf must not say, and files that are no VPN's. */

static const struct bad bad_config[] = {
	BAD("a file without a room",
	    "[door lan]\n"
	    "publish = none\n",
	    "office.conf:1:1: no room; write [room] and the ports of its "
	    "services, such as publish = 80"),
	BAD("an empty file", "",
	    "office.conf:1:1: no room; write [room] and the ports of its "
	    "services, such as publish = 80"),
	BAD("a key before any section",
	    "publish = 80\n"
	    "[room]\n",
	    "office.conf:1:1: \"publish\" before any section; write [room] "
	    "above it"),
	BAD("an unknown section",
	    "[room]\n"
	    "[dor lan]\n",
	    "office.conf:2:2: unknown section [dor lan]; did you mean "
	    "\"door\"? write [room], [room NAME], [door lan] or [door NAME]"),
	BAD("a section of another program",
	    "[room]\n"
	    "[Interface]\n",
	    "office.conf:2:2: unknown section [Interface]; write [room], "
	    "[room NAME], [door lan] or [door NAME]"),
	BAD("a section without its bracket",
	    "[room\n"
	    "publish = 80\n",
	    "office.conf:1:6: the section has no \"]\"; write [SECTION]"),
	BAD("a section without a name", "[]\n",
	    "office.conf:1:1: the section has no name; write [SECTION]"),
	BAD("text after a section", "[room] publish = 80\n",
	    "office.conf:1:7: text after \"]\"; write it on a line of its "
	    "own"),
	BAD("a door without a name",
	    "[room]\n"
	    "[door]\n",
	    "office.conf:2:2: the door has no name; write [door lan] or "
	    "[door NAME]"),
	BAD("a line without an equals sign",
	    "[room]\n"
	    "publish 80\n",
	    "office.conf:2:1: \"publish\" is not followed by \"=\"; write "
	    "KEY = VALUE"),
	BAD("a line without a key",
	    "[room]\n"
	    "  = 80\n",
	    "office.conf:2:3: no key before \"=\"; write KEY = VALUE"),
	BAD("a key without a value",
	    "[room]\n"
	    "publish = # nothing\n",
	    "office.conf:2:1: \"publish\" has no value; write publish = 80 "
	    "443 53/udp, or take it out"),
	BAD("a list of nothing but commas",
	    "[room]\n"
	    "reach = , ,\n",
	    "office.conf:2:1: \"reach\" has no value; write reach = "
	    "172.16.5.0/24, or take it out"),
	BAD("a misspelt key",
	    "[room]\n"
	    "publsh = 80\n",
	    "office.conf:2:1: unknown key \"publsh\"; did you mean "
	    "\"publish\"? [room] knows publish, default, reach"),
	BAD("a key in capitals",
	    "[room]\n"
	    "Publish = 80\n",
	    "office.conf:2:1: unknown key \"Publish\"; did you mean "
	    "\"publish\"? [room] knows publish, default, reach"),
	BAD("an unknown key",
	    "[room]\n"
	    "  memory = 1G\n",
	    "office.conf:2:3: unknown key \"memory\"; [room] knows "
	    "publish, default, reach"),
	BAD("a key of a room in the lan door",
	    "[room]\n"
	    "[door lan]\n"
	    "reach = 10.0.0.0/8\n",
	    "office.conf:3:1: \"reach\" belongs to [room]; [door lan] "
	    "knows publish, listen"),
	BAD("a key of a VPN door in the lan door",
	    "[room]\n"
	    "[door lan]\n"
	    "vpn = /etc/x.ovpn\n",
	    "office.conf:3:1: \"vpn\" belongs to the section of a VPN "
	    "door; [door lan] knows publish, listen"),
	BAD("a key of the lan door in a VPN door",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = /x.ovpn\n"
	    "listen = 10.0.0.1\n",
	    "office.conf:4:1: \"listen\" belongs to [door lan]; [door "
	    "office] knows publish, vpn, command, interface, server, mss"),
	BAD("a repeated key",
	    "[room]\n"
	    "publish = 80\n"
	    "\n"
	    "publish = 443\n",
	    "office.conf:4:1: \"publish\" stands in line 2 already; keep "
	    "one of them"),
	BAD("a repeated room",
	    "[room]\n"
	    "[room web]\n"
	    "[room web]\n",
	    "office.conf:3:2: [room web] stands in line 2 already; put "
	    "everything there, or choose another name"),
	BAD("a repeated unnamed room",
	    "[room]\n"
	    "[room]\n",
	    "office.conf:2:2: [room] stands in line 1 already; put "
	    "everything there, or choose another name"),
	BAD("a repeated lan door",
	    "[room]\n"
	    "[door lan]\n"
	    "[door lan]\n",
	    "office.conf:3:2: [door lan] stands in line 2 already; put "
	    "everything there, or choose another name"),
	BAD("a repeated VPN door",
	    "[room]\n"
	    "[door a]\n"
	    "vpn = x\n"
	    "[door a]\n"
	    "vpn = y\n",
	    "office.conf:4:2: [door a] stands in line 2 already; put "
	    "everything there, or choose another name"),
	BAD("a VPN door without a VPN",
	    "[room]\n"
	    "[door office]\n"
	    "mss = 1360\n",
	    "office.conf:2:2: [door office] has no way to connect; write "
	    "vpn = FILE or command = COMMAND"),
	BAD("a VPN door without a VPN before another section",
	    "[door office]\n"
	    "[room]\n",
	    "office.conf:1:2: [door office] has no way to connect; write "
	    "vpn = FILE or command = COMMAND"),
	BAD("a VPN door with a file and a command",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = x.ovpn\n"
	    "command = y\n",
	    "office.conf:4:1: \"command\" beside \"vpn\" in line 3; a door "
	    "has one of them"),
	BAD("a VPN door with a command and a file",
	    "[room]\n"
	    "[door office]\n"
	    "command = y\n"
	    "vpn = x.ovpn\n",
	    "office.conf:4:1: \"vpn\" beside \"command\" in line 3; a door "
	    "has one of them"),
	BAD("an interface beside a file",
	    "[room]\n"
	    "[door office]\n"
	    "interface = tun0\n"
	    "vpn = x.ovpn\n",
	    "office.conf:3:1: \"interface\" is for a door with command; "
	    "the file of vpn tells it, take it out"),
	BAD("a server beside a file",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = x.ovpn\n"
	    "server = a:1\n",
	    "office.conf:4:1: \"server\" is for a door with command; the "
	    "file of vpn tells it, take it out"),
	BAD("a door with a slash in its name",
	    "[room]\n"
	    "[door a/b]\n",
	    "office.conf:2:7: door name \"a/b\" has a \"/\"; use letters, "
	    "digits, \"-\" and \"_\""),
	BAD("a door with a dot in its name",
	    "[room]\n"
	    "[door a.b]\n",
	    "office.conf:2:7: door name \"a.b\" has a \".\"; use letters, "
	    "digits, \"-\" and \"_\""),
	BAD("a door with a blank in its name",
	    "[room]\n"
	    "[door my office]\n",
	    "office.conf:2:7: door name \"my office\" has a \" \"; use "
	    "letters, digits, \"-\" and \"_\""),
	BAD("a door with a foreign letter in its name",
	    "[room]\n"
	    "[door b\303\274ro]\n",
	    "office.conf:2:7: door name \"b\303\274ro\" has more than letters, "
	    "digits, \"-\" and \"_\"; use only these"),
	BAD("a door that begins with a dash",
	    "[room]\n"
	    "[door -x]\n",
	    "office.conf:2:7: door name \"-x\" begins with \"-\"; begin with "
	    "a letter or a digit"),
	BAD("a door with a name too long for an interface",
	    "[room]\n"
	    "[door abcdefghijklmnop]\n",
	    "office.conf:2:7: door name \"abcdefghijklmnop\" has 16 "
	    "characters; use at most 15"),
	BAD("a door called as the loopback",
	    "[room]\n"
	    "[door lo]\n",
	    "office.conf:2:7: a VPN door cannot be called \"lo\": "
	    "sallyport needs the name itself; choose another"),
	BAD("a door called all",
	    "[room]\n"
	    "[door all]\n",
	    "office.conf:2:7: a VPN door cannot be called \"all\": "
	    "sallyport needs the name itself; choose another"),
	BAD("a door called default",
	    "[room]\n"
	    "[door default]\n",
	    "office.conf:2:7: a VPN door cannot be called \"default\": "
	    "sallyport needs the name itself; choose another"),
	BAD("a door called none",
	    "[room]\n"
	    "[door none]\n",
	    "office.conf:2:7: a VPN door cannot be called \"none\": "
	    "sallyport needs the name itself; choose another"),
	BAD("a door called eth0",
	    "[room]\n"
	    "[door eth0]\n",
	    "office.conf:2:7: a VPN door cannot be called \"eth0\": "
	    "sallyport needs the name itself; choose another"),
	BAD("a door called as a link to a room",
	    "[room]\n"
	    "[door room-x]\n",
	    "office.conf:2:7: a door cannot be called \"room-x\": names "
	    "that begin with \"room\" are the links to the rooms; choose "
	    "another"),
	BAD("a room with a slash in its name", "[room ../x]\n",
	    "office.conf:1:7: room name \"../x\" has a \".\"; use letters, "
	    "digits, \"-\" and \"_\""),
	BAD("a room with a name too long for its link", "[room abcdefghijk]\n",
	    "office.conf:1:7: room name \"abcdefghijk\" has 11 characters; "
	    "use at most 10"),
	BAD("a room called gate", "[room gate]\n",
	    "office.conf:1:7: a room cannot be called \"gate\": its "
	    "namespace would have the gate's own name; choose another"),
	BAD("port 0",
	    "[room]\n"
	    "publish = 80 0\n",
	    "office.conf:2:14: port 0 does not exist; write one from 1 "
	    "to 65535"),
	BAD("port 65536",
	    "[room]\n"
	    "publish = 65536\n",
	    "office.conf:2:11: port 65536 does not exist; write one from "
	    "1 to 65535"),
	BAD("room port 0",
	    "[room]\n"
	    "publish = 80:0\n",
	    "office.conf:2:11: port 0 does not exist; write one from 1 "
	    "to 65535"),
	BAD("room port 65536",
	    "[room]\n"
	    "publish = 80:65536/udp\n",
	    "office.conf:2:11: port 65536 does not exist; write one from "
	    "1 to 65535"),
	BAD("a port that is a word",
	    "[room]\n"
	    "publish = 80, http\n",
	    "office.conf:2:15: \"http\" is not a port to publish; write "
	    "door-port[:room-port][/tcp or /udp], such as 80, 8080:80 or "
	    "53/udp"),
	BAD("a port with a sign",
	    "[room]\n"
	    "publish = +80\n",
	    "office.conf:2:11: \"+80\" is not a port to publish; write "
	    "door-port[:room-port][/tcp or /udp], such as 80, 8080:80 or "
	    "53/udp"),
	BAD("a port with letters behind",
	    "[room]\n"
	    "publish = 80x\n",
	    "office.conf:2:11: \"80x\" is not a port to publish; write "
	    "door-port[:room-port][/tcp or /udp], such as 80, 8080:80 or "
	    "53/udp"),
	BAD("an address where a port belongs",
	    "[room]\n"
	    "publish = 127.0.0.1:80:80\n",
	    "office.conf:2:11: \"127.0.0.1:80:80\" is not a port to "
	    "publish; write door-port[:room-port][/tcp or /udp], such as "
	    "80, 8080:80 or 53/udp"),
	BAD("a room port that is missing",
	    "[room]\n"
	    "publish = 80:\n",
	    "office.conf:2:11: \"80:\" is not a port to publish; write "
	    "door-port[:room-port][/tcp or /udp], such as 80, 8080:80 or "
	    "53/udp"),
	BAD("an unknown protocol",
	    "[room]\n"
	    "publish = 80/sctp\n",
	    "office.conf:2:11: \"/sctp\" in \"80/sctp\" is no protocol that "
	    "has ports; write /tcp or /udp"),
	BAD("a missing protocol",
	    "[room]\n"
	    "publish = 80/\n",
	    "office.conf:2:11: \"/\" in \"80/\" is no protocol that has "
	    "ports; write /tcp or /udp"),
	BAD("a port twice in one list",
	    "[room]\n"
	    "publish = 80 443 80/tcp\n",
	    "office.conf:2:18: 80/tcp is published already by line 2; "
	    "take one out"),
	BAD("the first of two repeated ports",
	    "[room]\npublish = 9 9 8 8\n[room web]\npublish = 7 7\n",
	    "office.conf:2:13: 9/tcp is published already by line 2; take one out"),
	BAD("a port of two rooms",
	    "[room]\n"
	    "publish = 80\n"
	    "[room web]\n"
	    "publish = 443 80:8080\n",
	    "office.conf:4:15: 80/tcp is published already by [room] in "
	    "line 2; give this room another door port, such as 8080:8080"),
	BAD("a high port of two rooms",
	    "[room web]\n"
	    "publish = 60000\n"
	    "[room db]\n"
	    "publish = 60000\n",
	    "office.conf:4:11: 60000/tcp is published already by [room "
	    "web] in line 2; give this room another door port, such as "
	    "52000:60000"),
	BAD("a narrowed port that no room publishes",
	    "[room]\n"
	    "publish = 80\n"
	    "[door lan]\n"
	    "publish = 80 81\n",
	    "office.conf:4:14: no room publishes 81/tcp; add it to "
	    "publish of a [room] or take it out here"),
	BAD("a narrowed port of the other protocol",
	    "[room]\n"
	    "publish = 53/udp\n"
	    "[door lan]\n"
	    "publish = 53\n",
	    "office.conf:4:11: no room publishes 53/tcp; write 53/udp, "
	    "which one does"),
	BAD("a narrowed port twice",
	    "[room]\n"
	    "publish = 80\n"
	    "[door lan]\n"
	    "publish = 80 80\n",
	    "office.conf:4:14: 80/tcp stands in line 4 already; take one "
	    "out"),
	BAD("a narrowed port with a room's port",
	    "[room]\n"
	    "publish = 80\n"
	    "[door lan]\n"
	    "publish = 80:80\n",
	    "office.conf:4:11: \"80:80\" names a port of the room, which "
	    "only [room] can choose; write 80 here"),
	BAD("a prefix with host bits",
	    "[room]\n"
	    "reach = 10.0.0.0/8 172.16.5.10/24\n",
	    "office.conf:2:20: prefix \"172.16.5.10/24\" has bits beyond "
	    "its length; write 172.16.5.0/24"),
	BAD("an IPv6 prefix with host bits",
	    "[room]\n"
	    "reach = fd00:5::1/64\n",
	    "office.conf:2:9: prefix \"fd00:5::1/64\" has bits beyond its "
	    "length; write fd00:5::/64"),
	BAD("a prefix too long",
	    "[room]\n"
	    "reach = 10.0.0.0/33\n",
	    "office.conf:2:9: \"10.0.0.0/33\" is not a prefix; write "
	    "ADDRESS/LENGTH, such as 172.16.5.0/24 or fd00:5::/64"),
	BAD("a prefix of loopback",
	    "[room]\n"
	    "reach = 127.0.0.1\n",
	    "office.conf:2:9: 127.0.0.1 is a host's own loopback; take it out"),
	BAD("a prefix of multicast",
	    "[room]\n"
	    "reach = 10.0.0.0/8 239.1.0.0/16\n",
	    "office.conf:2:20: 239.1.0.0/16 is multicast, which is not passed on; take it out"),
	BAD("a link-local prefix",
	    "[room]\n"
	    "reach = fe80::1\n",
	    "office.conf:2:9: fe80::1 is link-local, and never leaves its link; take it out"),
	BAD("a prefix that is a name",
	    "[room]\n"
	    "reach = fileserver\n",
	    "office.conf:2:9: \"fileserver\" is not a prefix, and there is "
	    "no other room; write ADDRESS/LENGTH, such as 172.16.5.0/24 or "
	    "fd00:5::/64"),
	BAD("a room that is not there",
	    "[room web]\n"
	    "reach = 10.0.0.0/8 bd\n"
	    "[room db]\n",
	    "office.conf:2:20: \"bd\" is neither a prefix nor a room; "
	    "reach knows db"),
	BAD("a room that reaches itself",
	    "[room web]\n"
	    "reach = web\n",
	    "office.conf:2:9: a room reaches itself already; take \"web\" out"),
	BAD("the unnamed room that reaches itself by the gate's name",
	    "[room]\n"
	    "reach = office\n",
	    "office.conf:2:9: a room reaches itself already; take \"office\" out"),
	BAD("a room that is reached twice",
	    "[room web]\n"
	    "reach = db office db\n"
	    "[room]\n"
	    "[room db]\n",
	    "office.conf:2:19: room \"db\" is given twice; take one out"),
	BAD("a prefix twice",
	    "[room]\n"
	    "reach = 10.1.0.0/16 10.1.0.0/16\n",
	    "office.conf:2:21: 10.1.0.0/16 is given twice; take one out"),
	BAD("a prefix inside another",
	    "[room]\n"
	    "reach = 10.0.0.0/8 10.1.0.0/16\n",
	    "office.conf:2:20: 10.1.0.0/16 lies inside 10.0.0.0/8, which "
	    "is given too; take 10.1.0.0/16 out"),
	BAD("a prefix around another",
	    "[room]\n"
	    "reach = 10.1.0.0/16 10.0.0.0/8\n",
	    "office.conf:2:21: 10.1.0.0/16 lies inside 10.0.0.0/8, which "
	    "is given too; take 10.1.0.0/16 out"),
	BAD("listening on a name",
	    "[room]\n"
	    "[door lan]\n"
	    "listen = localhost\n",
	    "office.conf:3:10: \"localhost\" is not an address; write one "
	    "of this host, such as 172.16.5.10"),
	BAD("listening on a prefix",
	    "[room]\n"
	    "[door lan]\n"
	    "listen = 172.16.5.10/24\n",
	    "office.conf:3:10: \"172.16.5.10/24\" is a prefix; write an "
	    "address of this host, without a length"),
	BAD("listening on multicast",
	    "[room]\n"
	    "[door lan]\n"
	    "listen = 127.0.0.1 224.0.0.1\n",
	    "office.conf:3:20: 224.0.0.1 is multicast, which is not passed on; take it out"),
	BAD("listening on every address",
	    "[room]\n"
	    "[door lan]\n"
	    "listen = 0.0.0.0\n",
	    "office.conf:3:10: 0.0.0.0 is every address, which is so "
	    "without listen; take it out"),
	BAD("listening on an address twice",
	    "[room]\n"
	    "[door lan]\n"
	    "listen = fd00::1 fd00:0::1\n",
	    "office.conf:3:18: fd00:0::1 is given twice; take one out"),
	BAD("a default that is no door",
	    "[room]\n"
	    "default = ofice\n"
	    "[door office]\n"
	    "vpn = x\n",
	    "office.conf:2:11: no door is called \"ofice\"; did you mean "
	    "\"office\"? default knows vpn, none, lan, office"),
	BAD("a default of two words",
	    "[room]\n"
	    "default = vpn lan\n",
	    "office.conf:2:11: default is one word; write vpn, lan, none "
	    "or the name of a door"),
	BAD("a quoted VPN file",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = \"x.ovpn\"\n",
	    "office.conf:3:7: the file begins with \", which means "
	    "nothing here; write the path as it is"),
	BAD("a VPN file in a home directory",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = ~/x.ovpn\n",
	    "office.conf:3:7: the file begins with ~, which means "
	    "nothing here; write the path as it is"),
	BAD("a segment size that is a word",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = x\n"
	    "mss = auto\n",
	    "office.conf:4:7: \"auto\" is not a TCP segment size; write "
	    "bytes from 536 to 8960, such as 1360"),
	BAD("a segment size too small",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = x\n"
	    "mss = 535\n",
	    "office.conf:4:7: \"535\" is not a TCP segment size; write "
	    "bytes from 536 to 8960, such as 1360"),
	BAD("a segment size too large",
	    "[room]\n"
	    "[door office]\n"
	    "vpn = x\n"
	    "mss = 8961\n",
	    "office.conf:4:7: \"8961\" is not a TCP segment size; write "
	    "bytes from 536 to 8960, such as 1360"),
	BAD("an interface name too long",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "interface = abcdefghijklmnop\n",
	    "office.conf:4:13: interface \"abcdefghijklmnop\" has 16 "
	    "characters; an interface has at most 15"),
	BAD("an interface name with a slash",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "interface = a/b\n",
	    "office.conf:4:13: \"a/b\" is not the name of an interface; "
	    "write one, such as tun0"),
	BAD("an interface of the gate",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "interface = lan\n",
	    "office.conf:4:13: interface \"lan\" is one of the gate's own; "
	    "write the one that the command makes, such as tun0"),
	BAD("an interface of another door",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "interface = tun0\n"
	    "[door b]\n"
	    "command = y\n"
	    "interface = tun0\n",
	    "office.conf:7:13: interface \"tun0\" is that of [door a] in "
	    "line 2 already; each door has its own"),
	BAD("a server with a bad host",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "server = a_b:443 c*d\n",
	    "office.conf:4:18: \"c*d\" is not a server; write "
	    "HOST[:PORT][/tcp or /udp], such as vpn.example.com:443/tcp"),
	BAD("a server with a bad port",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "server = host:65536\n",
	    "office.conf:4:10: \"host:65536\" has no port from 1 to 65535; "
	    "write HOST[:PORT][/tcp or /udp], such as "
	    "vpn.example.com:443/tcp"),
	BAD("a server with a bad protocol",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "server = host:443/esp\n",
	    "office.conf:4:10: \"host:443/esp\" has no such protocol; "
	    "write HOST[:PORT][/tcp or /udp], such as "
	    "vpn.example.com:443/tcp"),
	BAD("a server with an open bracket",
	    "[room]\n"
	    "[door a]\n"
	    "command = x\n"
	    "server = [fd00::1\n",
	    "office.conf:4:10: \"[fd00::1\" is not a server; write "
	    "HOST[:PORT][/tcp or /udp], such as vpn.example.com:443/tcp"),
	BAD("a NUL byte",
	    "[room]\n"
	    "pub\000lish = 80\n",
	    "office.conf:2:4: a NUL byte; save the file as plain text "
	    "(UTF-8)"),
	BAD("a control byte",
	    "[room]\n"
	    "publish = 80 \033[2J\n",
	    "office.conf:2:14: a control byte 0x1b; take it out"),
	BAD("a carriage return inside a line", "[room]\rpublish = 80\r",
	    "office.conf:1:7: a control byte 0x0d; take it out"),
	BAD("UTF-16", "\377\376[\000r\000",
	    "office.conf:1:1: the file is UTF-16; save it as UTF-8"),
	BAD("an error behind a byte order mark and CRLF",
	    "\357\273\277[room]\r\n"
	    "publsh = 80\r\n",
	    "office.conf:2:1: unknown key \"publsh\"; did you mean "
	    "\"publish\"? [room] knows publish, default, reach"),
};

_Static_assert(sizeof(struct gate) <= BAD_RET_SIZE, "room for a gate");

static int read_office(struct arena *a, const char *text, size_t size, void *ret, struct err *e)
{
	return config_read(a, "office", "office.conf", text, size, ret, e);
}

static void refuse_config(void **state)
{
	refuse(*state, read_office);
}

static const struct bad bad_kind[] = {
	BAD("a page of a web server",
	    "<!DOCTYPE html>\n"
	    "<html>\n",
	    "f:1:1: neither OpenVPN (a line \"remote HOST\") nor WireGuard "
	    "(a section [Interface]); for another VPN write command = in "
	    "sallyport.conf"),
	BAD("an empty file", "",
	    "f:1:1: neither OpenVPN (a line \"remote HOST\") nor WireGuard "
	    "(a section [Interface]); for another VPN write command = in "
	    "sallyport.conf"),
	BAD("a sallyport.conf",
	    "[room]\n"
	    "publish = 80\n",
	    "f:1:1: neither OpenVPN (a line \"remote HOST\") nor WireGuard "
	    "(a section [Interface]); for another VPN write command = in "
	    "sallyport.conf"),
	BAD("a NUL byte",
	    "client\n"
	    "\000",
	    "f:2:1: a NUL byte; save the file as plain text (UTF-8)"),
};

static int read_kind(struct arena *a, const char *text, size_t size, void *ret, struct err *e)
{
	(void)a;
	return config_vpn_kind("f", text, size, ret, e);
}

static void refuse_kind(void **state)
{
	refuse(*state, read_kind);
}

/* Reads @t and expects @error. */
static void refuse_text(const struct text *t, const char *error)
{
	struct bad bad = { "", text_str(t), t->len, error };

	refuse(&bad, read_office);
}

static void thirty_one_rooms_are_one_too_many(void **state)
{
	CLEANUP_TEXT struct text t = { 0 };

	(void)state;
	for (int i = 1; i <= GATE_ROOMS_MAX + 1; i++)
		text_addf(&t, "[room r%d]\n", i);
	refuse_text(&t, "office.conf:31:7: room \"r31\" is one too many; a gate has at "
			"most 30 rooms, make a second gate");
}

static void thirty_two_vpn_doors_are_one_too_many(void **state)
{
	CLEANUP_TEXT struct text t = { 0 };

	(void)state;
	text_add(&t, "[room]\n");
	for (int i = 1; i <= GATE_DOORS_MAX; i++)
		text_addf(&t, "[door d%d]\nvpn = x\n", i);
	refuse_text(&t, "office.conf:64:7: door \"d32\" is one too many; a gate has at most 32 "
			"doors with the lan door, make a second gate");
}

static void a_line_without_end_is_an_error(void **state)
{
	CLEANUP_TEXT struct text t = { 0 };

	(void)state;
	text_add(&t, "[room]\n#");
	for (int i = 0; i < 16 * 1024; i++)
		text_add(&t, "x");
	refuse_text(&t, "office.conf:2:16385: the line has 16385 bytes; break it into lines of "
			"at most 16384");
}

static void a_file_without_end_is_an_error(void **state)
{
	CLEANUP_TEXT struct text t = { 0 };

	(void)state;
	for (int i = 0; i < 1024 * 1024; i++)
		text_add(&t, "\n");
	text_add(&t, "\n");
	refuse_text(&t, "office.conf:1:1: the file has 1048577 bytes; a configuration has at most "
			"1048576");
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(thirty_one_rooms_are_one_too_many),
		cmocka_unit_test(thirty_two_vpn_doors_are_one_too_many),
		cmocka_unit_test(a_line_without_end_is_an_error),
		cmocka_unit_test(a_file_without_end_is_an_error),
	};
	struct CMUnitTest tests[ARRAY_LEN(bad_config) + ARRAY_LEN(bad_kind) + ARRAY_LEN(others)];
	size_t n = add_bad(tests, bad_config, ARRAY_LEN(bad_config), refuse_config);

	n += add_bad(tests + n, bad_kind, ARRAY_LEN(bad_kind), refuse_kind);
	memcpy(tests + n, others, sizeof(others));
	return cmocka_run_group_tests_name("config_refused", tests, NULL, NULL);
}
