# SPDX-License-Identifier: GPL-2.0-or-later
"""A guard on a host with several LANs, while a VPN claims all of them: one with a
router, one with a router for some only, and one whose range is another's, too."""
import errno
import socket

import pytest

from lab import probe
from lab.guard import Guard, quiet_session
from lab.host import PATIENCE, Host, join, until
from lab.world import A4, A6, LAPTOP4, MALLORY4

B4, C4 = '192.168.50.10', '192.168.50.11'
NEAR4, FAR4 = '192.168.50.1', '192.168.60.20'
PUSH = ('redirect-gateway def1 ipv6', 'route 172.16.0.0 255.240.0.0',
        'route 192.168.50.0 255.255.255.128', 'route 192.168.60.0 255.255.255.128')


@pytest.fixture(scope='module')
def net(world):
    """A LAN on eth1 with a router, whom main knows for what is behind it only."""
    a, world.near, world.far = world.servera, Host('near'), Host('far')
    join(a, 'eth1', world.near, 'eth0')
    join(world.near, 'eth1', world.far, 'eth0')
    world.near.router()
    world.near.ip(f'addr add {NEAR4}/24 dev eth0', 'addr add 192.168.60.1/24 dev eth1',
                  f'route add default via {B4}')
    world.far.ip(f'addr add {FAR4}/24 dev eth0', 'route add default via 192.168.60.1')
    a.ip(f'addr add {B4}/24 dev eth1',
         f'route add 192.168.60.0/24 via {NEAR4} dev eth1')
    world.core.ip(f'route add {B4}/32 via {A4}')
    world.openvpn.give_a(PUSH)
    child = world.serve(a, 'host', 80)
    yield world
    child.kill()
    world.openvpn.give_a()
    world.core.ip(f'route del {B4}/32')
    a.ip('link del eth1')
    world.far.close()
    world.near.close()


def guarded(program, net):
    return Guard(program, net.servera, net.dir, ['openvpn', '--config', net.office])


def connected(guard):
    guard.connected()
    until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
          'the tunnel is a door', PATIENCE)


def answers(s):
    s.sendall(b'still there?\n')
    return probe.line(s).endswith(' still there?\n')


def test_connections_that_are_older_go_on(program, net):
    """By the address that was asked: neighbours on any LAN, then what the door's
    own routes lead to, then by the gateway of another door."""
    asks = {host: probe.connect(host, B4, 80) for host in (net.near, net.far, net.laptop)}
    for s in asks.values():
        assert probe.line(s)
    with guarded(program, net) as guard:
        connected(guard)
        for host, s in asks.items():
            assert answers(s), host.name
    for s in asks.values():
        s.close()


@pytest.fixture(scope='module')
def guard(program, net):
    with guarded(program, net) as guard:
        connected(guard)
        yield guard


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_each_is_answered_by_the_lan_that_it_came_by(net, guard, proto):
    for host, dst, saw in ((net.near, B4, NEAR4), (net.far, B4, FAR4),
                           (net.laptop, B4, LAPTOP4)):
        got = probe.ask(host, proto, dst, 80)
        assert (got.how, got.saw, got.source) == (probe.How.ANSWERED, saw, dst), host.name


def test_neighbours_of_one_address_on_two_lans_of_one_range(net, guard):
    same = Host('same')
    join(net.servera, 'eth2', same, 'eth0')
    same.ip(f'addr add {NEAR4}/24 dev eth0')
    net.servera.ip(f'addr add {C4}/24 dev eth2')
    until(lambda: 'eth2' in [d['name'] for d in guard.status()['doors']],
          'eth2 is a door', PATIENCE)
    for proto in 'tcp', 'udp':
        for host, dst in ((net.near, B4), (same, C4)) * 2:
            got = probe.ask_until_answered(host, proto, dst, 80)
            assert (got.saw, got.source) == (NEAR4, dst), (proto, host.name)
    # From one port, too: who asked last is answered.
    for host, dst in ((net.near, B4), (same, C4)) * 2:
        got = probe.ask(host, 'udp', dst, 80, sport=7000)
        assert (got.saw, got.source) == (NEAR4, dst), host.name
    for host, dst in ((net.near, B4), (same, C4)) * 2:
        assert probe.ping(host, dst), host.name
    net.servera.ip('link del eth2')
    same.close()
    assert guard.stop() == 0


def test_a_lan_that_gets_a_gateway_is_answered_by_it(program, net):
    """Older connections by the address that was asked, others by the mark of the
    LAN that they came in by: the other gateway is the better one for both."""
    net.servera.ip(f'route del 192.168.60.0/24 via {NEAR4}',
                   f'route add default via {NEAR4} dev eth1 metric 5000')
    net.servera.ip(f'route add {FAR4}/32 via {NEAR4}')  # else main answers nobody
    with probe.connect(net.far, B4, 80) as older:
        assert probe.line(older)
        net.servera.ip(f'route del {FAR4}/32 via {NEAR4}')
        with guarded(program, net) as guard:
            connected(guard)
            assert answers(older)
            for proto in 'tcp', 'udp':
                assert probe.ask(net.far, proto, B4, 80).saw == FAR4
            # It asks the other LAN's address.
            net.near.ip(f'route add {A4}/32 via {B4}')
            assert probe.ask(net.far, 'tcp', A4, 80).saw == FAR4
    net.servera.ip(f'route del default via {NEAR4} dev eth1')


def test_what_came_by_a_lan_is_answered_there_when_ipsec_is_first_spoken(program, net):
    """The host speaks first, and the address that was asked is the other LAN's."""
    policy = 'src 192.0.2.1 dst 192.0.2.2 dir out'
    net.servera.run('ip', 'route', 'del', '192.168.60.0/24', ok=False)
    net.servera.ip(f'route add default via {NEAR4} dev eth1 metric 5000')
    net.near.ip(f'route replace {A4}/32 via {B4}')
    with guarded(program, net) as guard:
        connected(guard)
        with quiet_session(net.servera, A4, net.far) as (here, there):
            net.servera.ip(f'xfrm policy add {policy} tmpl src {A4} dst 192.0.2.9 '
                           'proto esp reqid 1 mode tunnel')
            guard.wait_log('IPsec is at work here')
            assert 'leave_xfrm' in net.servera.out('nft', 'list', 'table', 'inet',
                                                   'sallyport-guard')
            here.sendall(b'first\n')
            assert probe.line(there) == 'first\n'
        net.servera.ip(f'xfrm policy delete {policy}')  # or the guard stands on
    net.servera.ip(f'route del default via {NEAR4} dev eth1')


GUEST4 = '10.55.0.2'


@pytest.fixture
def guest(net):
    """By a link of which only a route tells, as Calico makes them: it is no door."""
    guest = Host('guest')
    join(net.servera, 'cali0', guest, 'eth0')
    net.servera.router()
    net.servera.sysctl('net/ipv4/conf/cali0/proxy_arp', 1)
    net.servera.ip(f'route add {GUEST4}/32 dev cali0')
    guest.ip(f'addr add {GUEST4}/32 dev eth0', 'route add 169.254.1.1/32 dev eth0',
             'route add default via 169.254.1.1')
    net.mallory.ip(f'route add {GUEST4}/32 via {A4}')
    child = net.serve(net.mallory, 'mallory', 8000)
    yield guest
    child.kill()
    net.mallory.ip(f'route del {GUEST4}/32 via {A4}')
    net.servera.ip('link del cali0')
    for s in 'net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding':
        net.servera.sysctl(s, 0)
    guest.close()


def test_a_guest_whose_link_has_no_address_gets_its_answers(program, net, guest):
    """Marks are in force as soon as there is a VPN that could lead answers away."""
    assert probe.ask(guest, 'tcp', MALLORY4, 8000).saw == GUEST4
    with guarded(program, net) as guard:
        connected(guard)
        for proto in 'tcp', 'udp':
            assert probe.ask(guest, proto, MALLORY4, 8000).saw == GUEST4
            assert probe.ask(guest, proto, A4, 80).saw == GUEST4  # of the host


def test_what_no_door_leads_to_goes_into_no_tunnel(program, net):
    """IPv6 without a router: who speaks in the name of the LAN's address."""
    net.servera.run('ip', '-6', 'route', 'del', 'default')
    with guarded(program, net) as guard:
        connected(guard)
        with net.servera.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.bind((A6, 0))
            with pytest.raises(OSError) as refused:
                s.connect(('2001:db8:77::1', 53))
            assert refused.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
            # A socket that is bound to none goes by the VPN.
        with net.servera.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.connect(('2001:db8:77::1', 53))
    net.servera.run('ip', '-6', 'route', 'add', 'default', 'via', 'fd00:16:5::1')
