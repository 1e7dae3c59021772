# SPDX-License-Identifier: GPL-2.0-or-later
"""A guard on hosts that are connected otherwise than by an address with its range:
as clouds and DHCPv6 do it, where routes alone say who is a neighbour, by a link of
whose gateway somebody else is told later, and from link-local addresses."""
import re
import socket

import pytest

from lab import probe
from lab.guard import guarded
from lab.host import PATIENCE, until
from lab.sniff import Sniffer
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import A4, A6, LAPTOP3_4, LAPTOP4, MALLORY4, wrong_answers

CLAIMED = ('redirect-gateway def1 ipv6', 'route 172.16.0.0 255.240.0.0',
           'route 172.16.5.1 255.255.255.255', 'route-ipv6 fd00:16::/32',
           'route-ipv6 fd00:16:5::/65')


@pytest.fixture(scope='module')
def net(world):
    world.openvpn.give_a(CLAIMED)
    child = world.serve(world.servera, 'host', 80)
    yield world
    child.kill()
    world.openvpn.give_a()


def connected(guard):
    guard.connected()
    until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
          'the tunnel is a door', PATIENCE)


ROUTES = (f'route add 172.16.5.1 dev eth0 proto dhcp scope link src {A4}',
          f'route add default via 172.16.5.1 dev eth0 proto dhcp src {A4}')
ROUTES6 = ('route add fd00:16:5::/64 dev eth0 proto kernel metric 256',
           'route replace default via fd00:16:5::1 dev eth0')


@pytest.fixture
def cloud(net):
    """Addresses that have no neighbours, and routes that tell of some."""
    a = net.servera
    a.ip(f'addr del {A4}/24 dev eth0', f'addr del {A6}/64 dev eth0',
         f'addr add {A4}/32 dev eth0', f'addr add {A6}/128 dev eth0 nodad',
         *ROUTES, *ROUTES6)
    yield
    a.ip(f'addr del {A4}/32 dev eth0', f'addr del {A6}/128 dev eth0',
         f'addr add {A4}/24 dev eth0', f'addr add {A6}/64 dev eth0 nodad',
         'route replace default via 172.16.5.1 dev eth0', ROUTES6[1])
    a.run('ip', '-6', 'route', 'del', 'fd00:16:5::/64', 'dev', 'eth0', 'metric', '1024',
          ok=False)


def test_a_gateway_that_only_a_route_calls_a_neighbour_answers(program, net, cloud):
    """And goes on to, when the link has lost those routes."""
    a = net.servera
    before = hoststate(a)
    with guarded(program, net) as guard:
        connected(guard)
        assert wrong_answers(net, by='host') == []
        a.ip('link set eth0 down', 'link set eth0 up', f'addr add {A6}/128 dev eth0 nodad')
        until(lambda: probe.ask(net.laptop, 'tcp', A4, 80, seconds=1).answered and
              probe.ask(net.laptop, 'tcp', A6, 80, seconds=1).answered,
              lambda: a.out('ip', 'route', 'show', 'table', 'all') + guard.log.text())
        assert wrong_answers(net, by='host', doors=('lan',)) == []
        assert guard.stop() == 0
    a.ip(*ROUTES, *ROUTES6)
    assert difference(before, hoststate(a)) == ''


def link_local(host):
    text = host.out('ip', '-6', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'link')
    return re.search(r'inet6 (fe80\S+)/', text).group(1)


@pytest.mark.parametrize('kind', ['tcp', 'udp', 'ping'])
def test_who_asks_from_a_link_local_address_is_a_neighbour(program, net, kind):
    """The router would have to send on what no router may."""
    address = link_local(net.servera)
    with net.mallory.inside():
        end = (address, 80, 0, socket.if_nametoindex('eth0'))
    with guarded(program, net) as guard, Sniffer(net.mallory, 'eth0') as near:
        connected(guard)
        if kind == 'ping':
            assert probe.ping(net.mallory, f'{address}%eth0')
        else:
            with net.mallory.socket(socket.AF_INET6, getattr(
                    socket, 'SOCK_STREAM' if kind == 'tcp' else 'SOCK_DGRAM')) as s:
                s.settimeout(PATIENCE)
                s.connect(end)
                s.send(b'x\n')
                assert s.recv(100).startswith(b'host fe80')
        assert near.wait_for(lambda p: p.src == address and p.ttl in (64, 63)).ttl == 64


def test_the_host_reaches_itself_where_the_rule_of_table_local_was_moved(program, net):
    """As the kernel's documentation has it for VRFs."""
    a = net.servera
    for v in '-4', '-6':
        a.run('ip', v, 'rule', 'add', 'pref', '32765', 'lookup', 'local')
        a.run('ip', v, 'rule', 'del', 'pref', '0')
    before = hoststate(a)
    try:
        with guarded(program, net) as guard:
            connected(guard)
            assert wrong_answers(net, by='host') == []
            assert guard.stop() == 0
        assert difference(before, hoststate(a)) == ''
    finally:
        for v in '-4', '-6':
            a.run('ip', v, 'rule', 'add', 'pref', '0', 'lookup', 'local')
            a.run('ip', v, 'rule', 'del', 'pref', '32765')


def test_a_link_that_is_renamed_stays_the_same_door(program, net):
    """While the VPN has taken the default route away."""
    a = net.servera
    net.openvpn.give_a(('redirect-gateway', 'route 172.16.0.0 255.240.0.0'))
    with guarded(program, net) as guard:
        connected(guard)
        with probe.connect(net.laptop, A4, 80) as s:
            assert probe.line(s)
            for old, new in ('eth0', 'lan7'), ('lan7', 'eth0'):
                a.ip(f'link set {old} name {new}')
                s.sendall(b'still there?\n')
                assert probe.line(s).endswith(' still there?\n')
                until(lambda: new in [d['name'] for d in guard.status()['doors']],
                      guard.log.text, PATIENCE)
                for proto in 'tcp', 'udp':
                    assert probe.ask_until_answered(net.laptop2, proto, A4, 80).source == A4
    net.openvpn.give_a(CLAIMED)


def test_a_guard_that_begins_when_the_vpn_has_the_default_knows_the_gateway(program, net):
    """And when the VPN has gone, main says it again."""
    a = net.servera
    net.openvpn.give_a(('redirect-gateway', 'route 172.16.0.0 255.240.0.0'))
    client = OpenVpnClient(a, net.office, net.dir).wait()
    with guarded(program, net, []) as guard:
        guard.wait_stands()
        for proto in 'tcp', 'udp':
            assert probe.ask(net.laptop, proto, A4, 80).source == A4
        client.close()
        until(lambda: 'via 172.16.5.1 ' in a.out('ip', 'route', 'show', 'default'),
              'the client has put it back', PATIENCE)
        assert probe.ask_until_answered(net.laptop, 'tcp', A4, 80).source == A4
    net.openvpn.give_a(CLAIMED)


UNNUMBERED = '''
ip tuntap add dev tun9 mode tun; ip link set tun9 up
ip route add 172.16.0.0/13 dev tun9; ip -6 route add fd00:16::/31 dev tun9
ip rule add lookup 4242; ip -6 rule add lookup 4242
ip route add default dev tun9 table 4242; ip -6 route add default dev tun9 table 4242
echo all by the tunnel; trap 'exit 0' TERM; while :; do sleep 0.1; done
'''


def test_a_tunnel_without_an_address_does_not_lead_replies_away(program, net):
    """Its packets have the LAN's own address, so that nothing is to be put back."""
    a = net.servera
    with guarded(program, net, ['sh', '-c', UNNUMBERED]) as guard:
        guard.wait_log('all by the tunnel')
        until(lambda: 'tun9' in a.out('nft', 'list', 'ruleset'), guard.log.text, PATIENCE)
        assert wrong_answers(net, by='host', doors=('lan', 'self')) == []
        a.ip('link del tun9')
        guard.stop()
    for v in '-4', '-6':
        a.run('ip', v, 'rule', 'del', 'lookup', '4242', ok=False)


def way(net, dst):
    return net.servera.out('ip', 'route', 'get', dst, 'from', A4)


def test_what_the_owner_changes_while_there_is_no_vpn_is_believed(program, net):
    """The guard that stands always; and a client's word is not, which comes later."""
    a = net.servera
    with guarded(program, net, []) as guard:
        guard.wait_stands()
        a.ip(f'route replace default via {MALLORY4} dev eth0',
             'route add 172.16.77.0/24 via 172.16.5.1 dev eth0')
        try:
            until(lambda: MALLORY4 in way(net, '192.0.2.77') and
                  'via 172.16.5.1 ' in way(net, LAPTOP3_4),
                  lambda: a.out('ip', 'route', 'show', 'table', 'all'), PATIENCE)
        finally:
            a.ip('route del 172.16.77.0/24', 'route replace default via 172.16.5.1 dev eth0')


def test_a_way_that_is_narrower_than_its_link_stays_so(program, net):
    """Jumbo frames on the LAN, and a router that takes none."""
    a = net.servera
    a.ip('route replace default via 172.16.5.1 dev eth0 mtu 1400')
    try:
        with guarded(program, net) as guard:
            connected(guard)
            assert 'mtu 1400' in way(net, LAPTOP3_4)
            assert 'mtu' not in way(net, MALLORY4)
            with probe.connect(net.laptop3, A4, 80) as s:
                assert probe.line(s)
                assert 'pmtu:1400' in a.out('ss', '-tni', 'dport', f'= :{s.getsockname()[1]}')
    finally:
        a.ip('route replace default via 172.16.5.1 dev eth0')


def test_a_host_of_many_addresses_answers_from_each(program, net):
    """One client, from one port, in turns."""
    many = [f'172.16.5.{i}' for i in range(100, 250)]
    net.servera.ip(*[f'addr add {ip}/24 dev eth0' for ip in many])
    try:
        with guarded(program, net) as guard:
            connected(guard)
            for ip in (many[0], many[149], many[75], many[74], A4) * 2:
                got = probe.udp(net.laptop, ip, 80, src=LAPTOP4, sport=40124)
                assert (got.how, got.source) == (probe.How.ANSWERED, ip)
    finally:
        net.servera.ip(*[f'addr del {ip}/24 dev eth0' for ip in many])
