# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions under a guard while VPNs of all sorts come, come again and go: a line
each 5 ms and its echo, not one lost, never a gap of 250 ms. In a long check each
sort does so 20 times."""
import os
import signal
import time

import pytest

from lab import host as hosts
from lab import probe
from lab.guard import Guard, Sessions, tables
from lab.host import PATIENCE, join, until
from lab.ssh import SshServer
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient, wg_quick
from lab.world import A4, A6, MALLORY4
from test_pushes import PUSHES as COMMON

LONG = bool(os.environ.get('SALLYPORT_LONG'))
CYCLES = int(os.environ.get('SALLYPORT_CYCLES') or (20 if LONG else 1))

SECOND4, SECOND6 = '172.16.5.12', 'fd00:16:5::12'
ANNEX4 = '172.16.88.20'  # behind a router of its own

# What tests/world/test_guard.py has not.
PUSHES = {
    'nothing': (),
    'the prefix of the LAN': ('route 172.16.5.0 255.255.255.0',
                              'route-ipv6 fd00:16:5::/64'),
    "the prefix of the clients' LAN": ('route 172.16.9.0 255.255.255.0',
                                       'route-ipv6 fd00:16:9::/64'),
    'a half of the LAN, with its router': ('route 172.16.5.0 255.255.255.128',),
    'a quarter of the LAN, with the host': ('route 172.16.5.0 255.255.255.192',
                                            'route-ipv6 fd00:16:5::/66'),
    'the LAN router alone': ('route 172.16.5.1 255.255.255.255',
                             'route-ipv6 fd00:16:5::1/128'),
    'the host alone': ('route 172.16.5.10 255.255.255.255',
                       'route 172.16.5.12 255.255.255.255',
                       'route-ipv6 fd00:16:5::10/128'),
    'the laptop alone': ('route 172.16.9.20 255.255.255.255',
                         'route-ipv6 fd00:16:9::20/128'),
    'a neighbour': ('route 172.16.5.66 255.255.255.255',
                    'route-ipv6 fd00:16:5::66/128'),
    'the other router and what is behind it': (
        'route 172.16.5.2 255.255.255.255', 'route 172.16.88.0 255.255.255.0'),
    'the metric of the LAN': ('route 172.16.5.0 255.255.255.0 vpn_gateway 0',
                              'route 172.16.0.0 255.240.0.0 vpn_gateway 1'),
    'IPv6 alone': ('route-ipv6 fd00::/8', 'route-ipv6 2000::/3'),
    'IPv4 alone': ('route 0.0.0.0 128.0.0.0', 'route 128.0.0.0 128.0.0.0'),
    'quarters of everything': (
        'route 0.0.0.0 192.0.0.0', 'route 64.0.0.0 192.0.0.0',
        'route 128.0.0.0 192.0.0.0', 'route 192.0.0.0 192.0.0.0'),
    'everything at once': (
        'redirect-gateway def1 ipv6', 'route 172.16.0.0 255.240.0.0',
        'route 172.16.5.0 255.255.255.0', 'route 172.16.5.1 255.255.255.255',
        'route 172.16.9.20 255.255.255.255', 'route-ipv6 fd00:16::/32',
        'route-ipv6 fd00:16:9::20/128'),
}

# Without a guard somebody is cut off by each of the others: a route for the host
# itself counts for nothing, one for the router is not asked to reach it.
HARMLESS = ('nothing', 'the prefix of the LAN', 'the host alone',
            'a quarter of the LAN, with the host', 'the LAN router alone',
            'the LAN router and the host', 'the way to the VPN server')

# All that a short check has time for; in a long one there are all, and those of
# tests/world/test_guard.py once more.
SHORT = ('nothing', 'a half of the LAN, with its router', 'the host alone',
         'the other router and what is behind it', 'IPv6 alone',
         'everything at once')
SORTS = {**PUSHES, **COMMON} if LONG else {p: PUSHES[p] for p in SHORT}


def annex(world):
    """Another router on Server A's LAN, and a laptop behind it."""
    router, laptop = world.host('annex'), world.host('laptop4')
    router.router()
    join(world.core, 'annex', router, 'lan')
    world.core.ip('link set annex master br5',
                  'route add 172.16.88.0/24 via 172.16.5.2')
    join(router, 'in', laptop, 'eth0')
    router.ip('addr add 172.16.5.2/24 dev lan', 'addr add 172.16.88.1/24 dev in',
              'route add default via 172.16.5.1')
    laptop.ip(f'addr add {ANNEX4}/24 dev eth0',
              'route add default via 172.16.88.1')
    world.servera.ip('route add 172.16.88.0/24 via 172.16.5.2')


@pytest.fixture(scope='module')
def net(wide_world):
    net = wide_world
    annex(net)
    net.servera.ip(f'addr add {SECOND4}/24 dev eth0',
                   f'addr add {SECOND6}/64 dev eth0 nodad')
    net.servera.sysctl('net/ipv4/conf/all/src_valid_mark', 1)  # wg-quick's own
    net.ssh = SshServer(net.servera, net.dir)
    net.beside = SshServer(net.mallory, net.dir)
    net.beside.address = MALLORY4
    yield net
    net.ssh.close()
    net.beside.close()


@pytest.fixture(autouse=True)
def plain_pushes_afterwards(net):
    yield
    net.openvpn.give_a()


def ends(net):
    return [(net.laptop, A4), (net.laptop, A6), (net.laptop2, SECOND4),
            (net.laptop3, SECOND6), (net.laptop4, A4), (net.mallory, A4)]


class Cycles:
    """One sort of VPN under one set of sessions, and what they felt."""

    def __init__(self, program, net, record):
        self.program, self.net, self.record = program, net, record

    def run(self, cycle, count=CYCLES):
        before = hoststate(self.net.servera)
        lines = Sessions(self.net.ssh, self.net.beside, ends(self.net))
        lines.wait_lines(5)
        for _ in range(count):
            cycle(lines)
        wrong = lines.wrong()
        self.record('sent', sum(len(l.sent) for l in lines.lines))
        self.record('lost', sum(l.lost for l in lines.lines))
        self.record('worst', f'{max(l.worst for l in lines.lines):.3f}')
        self.record('beside', f'{lines.control.worst:.3f}')
        assert wrong == []
        assert difference(before, hoststate(self.net.servera)) == ''

    def guard(self, argv):
        return Guard(self.program, self.net.servera, self.net.dir, argv)


@pytest.fixture
def cycles(program, net, record_property):
    return Cycles(program, net, record_property)


def openvpn(net):
    return ['openvpn', '--config', net.office, '--verb', '3']


@pytest.mark.parametrize('push', list(SORTS.values()), ids=list(SORTS))
def test_no_line_is_lost_while_openvpn_connects_and_reconnects(cycles, net,
                                                              push):
    net.openvpn.give_a(push)

    def cycle(lines):
        with cycles.guard(openvpn(net)) as guard:
            guard.connected()
            lines.wait_lines(10)
            since = len(guard.log.text())
            os.kill(guard.command_pid(), signal.SIGUSR1)
            guard.connected(since)
            lines.wait_lines(10)
            assert guard.stop() == 0, guard.log.text()
    cycles.run(cycle)


def control(net, push):
    """True when somebody's session has died of an unguarded VPN."""
    net.openvpn.give_a(push)
    lines = Sessions(net.ssh, net.beside, ends(net))
    lines.wait_lines(5)
    client = OpenVpnClient(net.servera, net.office, net.dir).wait()
    try:
        until(lambda: max(l.lost for l in lines.lines) > 100,
              lambda: f'{[(l.name, l.lost) for l in lines.lines]}', PATIENCE)
        return [w for w in lines.wrong(seconds=1) if 'lines lost' in w]
    finally:
        client.close()


LOST = [p for p in SORTS if p not in HARMLESS]


@pytest.mark.parametrize('push', [SORTS[p] for p in LOST[:None if LONG else 2]],
                         ids=LOST[:None if LONG else 2])
def test_control_without_a_guard_somebody_is_lost(net, push):
    assert control(net, push)


ALLOWED = {
    'everything': '0.0.0.0/0, ::/0',
    'halves': '0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1',
    'the LAN': '172.16.0.0/12, 172.16.5.0/25, 172.16.5.1/32, 172.16.9.20/32, '
               'fd00:16::/32, fd00:16:9::20/128, 10.66.0.0/24',
}


@pytest.mark.parametrize('allowed', list(ALLOWED.values()), ids=list(ALLOWED))
def test_no_line_is_lost_while_wg_quick_goes_up_and_down(cycles, net, allowed):
    conf = net.partner_server.conf(f'{net.dir}/wgm.conf', allowed=allowed)

    def cycle(lines):
        with cycles.guard(wg_quick('up', conf)) as guard:
            guard.wait_log('left wgm')
            until(lambda: probe.ping(net.servera, '10.66.0.1', seconds=1),
                  'the tunnel works', PATIENCE)
            lines.wait_lines(10)
            net.servera.run(*wg_quick('down', conf), timeout=PATIENCE)
            assert guard.child.wait(PATIENCE) == 0, guard.log.text()
    cycles.run(cycle)


SCRIPT = '''#!/bin/sh
/usr/share/vpnc-scripts/vpnc-script
case "$reason" in connect|reconnect)
	# What a corporation pushes: everything private, and the LAN's router.
	ip route replace 172.16.0.0/12 dev $TUNDEV
	ip route replace 172.16.5.1/32 dev $TUNDEV
	ip -6 route replace fd00:16::/32 dev $TUNDEV
	echo "routes are in" ;;
esac
'''


def test_no_line_is_lost_while_openconnect_connects_and_reconnects(cycles, net):
    script = hosts.keep(f'{net.dir}/vpnc-matrix', SCRIPT, 0o755)
    secret = hosts.keep(f'{net.dir}/secret-matrix', 'secret\n')
    server = net.corp_server
    argv = ['sh', '-c', 'exec openconnect --non-inter --passwd-on-stdin -u a '
            f'--interface tun7 --script {script} --servercert '
            f'pin-sha256:{server.pin} https://{server.address}/ < {secret}']

    def cycle(lines):
        with cycles.guard(argv) as guard:
            guard.wait_log('routes are in')
            lines.wait_lines(10)
            since = len(guard.log.text())
            os.kill(guard.command_pid(), signal.SIGUSR2)
            guard.wait_log('routes are in', since=since)
            lines.wait_lines(10)
            assert guard.stop(signal.SIGINT) in (0, 130, 2), guard.log.text()
    cycles.run(cycle)


def test_a_udp_service_that_comes_later_is_answered_for(program, net):
    """It is bound to no address; before there is one no packet passes a hook for
    it. Its first client makes the guard look."""
    with Guard(program, net.servera, net.dir, openvpn(net)) as guard:
        guard.connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              'the tunnel is a door', PATIENCE)
        # What else happens makes it look, too, and so does its first sweep.
        until(lambda: 'tentative' not in net.servera.out('ip', 'address') and
              time.time() > guard.status()['since'] + 3, 'all is quiet',
              PATIENCE)
        assert 'chain arrive' in tables(net.servera)
        assert 'chain answer' not in tables(net.servera)
        for dst, name, port in ((A4, 'four', 5300), (A6, 'six', 5301)):
            child = net.serve(net.servera, name, port)
            got = probe.udp(net.laptop, dst, port, seconds=10)
            assert (got.how, got.by, got.source) == (
                probe.How.ANSWERED, name, dst)
            hosts.stop(child)
        assert tables(net.servera).count('chain answer {') == 2
