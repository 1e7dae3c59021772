# SPDX-License-Identifier: GPL-2.0-or-later
"""What `sallyport attach` would do to namespaces like those of containers."""

import subprocess

import pytest

from test_golden import CASES, ENV, SALLYPORT, UNSHARE, expect

# As Docker makes it.
BRIDGE = """
    eth 0 172.17.0.2/16 172.17.0.1; ip route add default via 172.17.0.1"""
IPV6 = """
    ip address add fd00:17::2/64 dev eth0 nodad
    ip -6 route add default via fd00:17::1"""
TUNNEL = """
    ip tuntap add tun0 mode tun
    ip address add 10.8.0.2/24 dev tun0; ip link set tun0 up
    ip route add 172.16.0.0/12 dev tun0"""
SECOND = """
    eth 1 172.18.0.2/16 172.18.0.1; ip address add 172.17.0.200/16 dev eth0"""

SCENES = {
    "before-its-tunnel": (BRIDGE, []),
    "with-its-tunnel": (BRIDGE + IPV6 + TUNNEL, []),
    "two-networks": (BRIDGE + SECOND, []),
    "closed": (BRIDGE + IPV6, ["--server", "198.51.100.2:1194/udp", "--server", "2001:db8::9",
                               "--reach", "192.168.0.0/16"]),
    "aliases": (BRIDGE + IPV6 + SECOND, ["--udp", "alias"]),
}

SCRIPT = """
eth() {
    ip link add eth$1 type veth peer name far$1
    ip address add $2 dev eth$1
    ip link set far$1 netns $far; ip link set eth$1 up
    nsenter --net=/proc/$far/ns/net ip link set far$1 up
}
unshare -n sleep 1000 & far=$!
while [ $(readlink /proc/$far/ns/net) = $(readlink /proc/self/ns/net) ]; do :; done
ip link set lo up
SCENE
trap 'kill $far' EXIT
exec 3</proc/self/ns/net
unshare -n "$@" /proc/$$/fd/3 | sed "s,/proc/$$/fd/3,/run/of/it,"
"""


@pytest.mark.parametrize("scene", list(SCENES))
def test_the_plan_is_as_expected(scene):
    commands, flags = SCENES[scene]
    done = subprocess.run([*UNSHARE, "sh", "-ec", SCRIPT.replace("SCENE", commands), "sh",
                           SALLYPORT, "attach", "--dry-run", *flags],
                          cwd=CASES, env=ENV, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    expect(f"attach-{scene}.plan", done.stdout)
