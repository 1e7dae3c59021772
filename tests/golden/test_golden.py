# SPDX-License-Identifier: GPL-2.0-or-later
"""What sallyport prints, to the letter, as it stands in tests/golden/expected.

Whoever changes a text on purpose runs this once with GOLDEN_REWRITE=1 and
reads what git says has changed.

Programs run in a network of their own (an ordinary user's is in a user
namespace, too), in which a gate called anything gets the same slot each time.
"""

import functools
import glob
import os
import shlex
import subprocess

import golden
import pytest
from golden import HERE, ROOT, SALLYPORT

CASES = f"{HERE}/cases"
expect = functools.partial(golden.expect, f"{HERE}/expected")
PRINT = f"{ROOT}/build/golden-print"
GATES = sorted(os.path.basename(f)[:-5] for f in glob.glob(f"{CASES}/*.conf"))

# Users who are not root may not see sbin.
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "Asia/Tokyo"}

UNSHARE = ["unshare", "-n" if os.geteuid() == 0 else "-Urn"]
# An interface with an address of each family, so that the host has to forward.
NETWORK = [*UNSHARE, "sh", "-ec",
           "ip link add eth0 type veth peer name far0;"
           "ip address add 192.0.2.9/24 dev eth0;"
           "ip address add 2001:db8::9/64 dev eth0 nodad;"
           'exec "$@"', "sh"]


def run(*argv, text=None):
    return subprocess.run(argv, cwd=CASES, env=ENV, text=True, input=text,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def output(*argv):
    done = run(*argv)
    assert done.returncode == 0, done.stdout
    return done.stdout


def transcript(*commands):
    """As a terminal would show it, with the exit status where it is not 0."""
    shown = []
    for words in commands:
        done = run(*NETWORK, SALLYPORT, *words)
        shown.append(f"$ {shlex.join(['sallyport', *words])}\n{done.stdout}")
        if done.returncode:
            shown.append(f"[{done.returncode}]\n")
    return "".join(shown)


@pytest.mark.parametrize("side", ["host", "gate"])
@pytest.mark.parametrize("gate", GATES)
def test_nft_text_is_as_expected(gate, side):
    expect(f"{gate}.{side}.nft", output(PRINT, f"nft-{side}", f"{gate}.conf"))


@pytest.mark.parametrize("side", ["host", "gate"])
@pytest.mark.parametrize("gate", GATES)
def test_nft_takes_the_text(gate, side, tmp_path):
    """Checked, loaded, loaded over itself, and listed with every chain and set of it."""
    text = output(PRINT, f"nft-{side}", f"{gate}.conf")
    file = tmp_path / "text"
    file.write_text(text)
    listed = output(*UNSHARE, "sh", "-ec",
                    'nft -c -f "$1"; nft -f "$1"; nft -f "$1"; nft list ruleset',
                    "sh", str(file))

    def blocks(of):
        lines = [words for words in map(str.split, of.splitlines()) if words]
        return {words[1] for words in lines if words[0] in ("chain", "set", "map")} | {
            words[4] for words in lines if words[0] == "add" and words[1] in ("chain", "set", "map")}

    assert blocks(text)
    assert blocks(listed) == blocks(text)
    table = "sallyport" if side == "host" else "sallyport-office"
    assert listed.count(f"table inet {table} {{") == 1


def test_nft_refuses_what_is_no_rule(tmp_path):
    """That the check above can fail."""
    file = tmp_path / "text"
    file.write_text(output(PRINT, "nft-gate", "one-room.conf").replace("counter", "conter", 1))
    done = run(*UNSHARE, "nft", "-c", "-f", str(file))
    assert done.returncode != 0


@pytest.mark.parametrize("gate", GATES)
def test_the_plan_is_as_expected(gate):
    done = run(*NETWORK, SALLYPORT, "up", "--dry-run", f"{gate}.conf")
    assert done.returncode == 0, done.stdout
    expect(f"{gate}.plan", done.stdout)


def test_the_plan_of_run_is_as_expected():
    expect("run.plan", output(*NETWORK, SALLYPORT, "run", "--name", "web", "-p", "80", "-p",
                              "5353:53/udp", "--vpn", "partner.wg", "--reach", "10.0.0.0/8",
                              "--dry-run", "--", "nginx"))


def test_the_plan_of_a_guard_is_as_expected_and_can_be_typed():
    # A service that is bound to no address, and a host that forwards.
    service = ("import os, socket, sys; s = socket.socket(2, 2); s.bind(('', 53));"
               "s.set_inheritable(True); os.execvp(sys.argv[1], sys.argv[1:])")
    # Its link-local address by hand: the kernel's comes some time after the link is up.
    lan = ("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.eth0.addr_gen_mode=1;"
           "ip link set eth0 up; ip link set far0 up; ip address add fe80::9/64 dev eth0 nodad;"
           "ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1\n")
    plan = output(*NETWORK, "sh", "-ec", f"{lan} exec \"$@\"", "sh", "/usr/bin/python3",
                  "-c", service, SALLYPORT, "guard", "--lan", "10.0.0.0/8", "--lan",
                  "fd00::/8", "--dry-run")
    expect("guard.plan", plan)
    typed = run(*NETWORK, "sh", "-ec", f"{lan}{plan} ip rule; nft list ruleset")
    assert typed.returncode == 0, typed.stdout
    assert typed.stdout.count("from 192.0.2.9 ") == 3
    assert "chain arrive" in typed.stdout


@pytest.mark.parametrize("state", ["status", "nothing"])
def test_the_table_of_status_is_as_expected(state):
    expect(f"{state}.txt", output(PRINT, "status", f"{state}.json"))


def test_help_is_as_expected():
    expect("help.txt", transcript(["help"]))
    for word in ("--help", "-h"):
        assert output(SALLYPORT, word) == output(SALLYPORT, "help")


def test_wrong_usage_is_told_as_expected():
    expect("usage.txt", transcript(
        [], ["stauts"], ["up"], ["up", "a", "b"], ["up", "--force", "office"], ["run"],
        ["run", "-p", "80"], ["run", "--vpn"], ["down"], ["down", "a", "b"], ["exec"],
        ["exec", "office"], ["exec", "office", "--"], ["status", "a", "b"],
        ["status", "--jsn"]))


def test_wrong_flags_of_run_are_told_as_expected():
    def dry(*words):
        return ["run", *words, "--dry-run", "--", "true"]

    expect("flags.txt", transcript(
        dry("-p", "80x"), dry("-p", "0"), dry("-p", "80/sctp"), dry("-p", "80", "-p", "80:81"),
        dry("--vpn", "absent.ovpn"), dry("--vpn", "secret.txt"), dry("--reach", "10.0.0.1/8"),
        dry("--default", "vpm"), dry("--name", "a/b"), dry("--name", "much-too-long-a-name"),
        dry("--user=nobody-of-this-name"), dry("-p", ""), dry("--reach", " ,")))


@pytest.mark.parametrize("words", [
    ["run", "-p", "\x1b[2J80", "--", "true"], ["\x1b[2J"], ["rehearse", "--routes", "\x1b[2J"],
    ["explain", "10.0.0.1", "\x1b[2J"]])
def test_what_was_typed_does_not_come_back_as_an_order_to_the_terminal(words):
    done = run(SALLYPORT, *words)
    assert done.returncode == 2
    assert "\\x1b[2J" in done.stdout and "\x1b" not in done.stdout


def test_wrong_flags_of_the_other_commands_are_told_as_expected():
    """None is taken for another one, or for none: an empty --server would be no
    kill switch, and a relative --engine Docker's usual one."""
    expect("flags-others.txt", transcript(
        ["guard", "--status", "--off"], ["guard", "--off", "--lan", "10.0.0.0/8"],
        ["guard", "--json"], ["guard", "--status", "true"], ["guard", "--lan", "10"],
        ["guard", "--confirm", "4", "true"], ["guard", "--confirm", "60"],
        ["guard", "--probe", "10.0.0.1", "true"],
        ["rehearse", "--timeout", "0", "x"], ["rehearse", "a", "b"], ["rehearse", "--routes", ""],
        ["rehearse", "--routes", "10.0.0.0/8", "--routes", "ten"],
        ["rehearse", *["--from-snapshot", "x"] * 17, "--routes", "10.0.0.0/8"],
        ["attach", "--engine", "docker.sock", "vpn"], ["attach", "--mss", "1", "vpn"],
        ["detach", "--watch", "vpn"], ["watch", "vpn"], ["watch", "--engine", ""],
        ["driver", "--socket", "plugins"], ["driver", "--engine", "tcp://x"], ["driver", "x"],
        ["oci-runtime", "--server", "", "--", "start", "x"],
        ["oci-runtime", "--udp", "both", "--", "start", "x"],
        ["oci-runtime", "--reach", "ten", "--", "start", "x"], ["snapshot", "host.json"],
        ["help", "stauts"]))


def test_errors_of_configuration_are_told_as_expected():
    files = sorted(os.path.basename(f) for f in glob.glob(f"{CASES}/bad/*.conf"))
    assert files
    expect("errors.txt", transcript(
        *(["up", "--dry-run", f"bad/{file}"] for file in files),
        ["up", "--dry-run", "bad/absent.conf"], ["up", "--dry-run", "no-such-gate"]))
