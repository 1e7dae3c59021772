# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gate, a room, the host and a tunnel cannot say to one another.

The gate runs a VPN client, which is somebody else's program with every right in
there: what it might send is injected on the gate's own links. Each attack has
its negative control: it succeeds from a plain namespace or on the bare host.
"""
import socket
import struct

import pytest

from lab import probe
from lab.host import until
from lab.probe import How
from lab.sniff import (TCP, Sniffer, forged, icmp_packet, inject, inject_tun, mac,
                       minus, pton, strays, tcp_packet, told, udp_packet)
from lab.vpn import OpenVpnClient
from lab.world import (A4, A6, A_VPN4, A_VPN6, B_VPN4, B_VPN6, LAPTOP2_4,
                       LAPTOP2_6, MALLORY4, MALLORY6, VPN_GW4)

RST, SYN_FIN = 0x04, 0x03

CONF = '''
[room]
publish = 80 80/udp
reach   = {laptop2}/32
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office,
                                          laptop2=LAPTOP2_4)) as gate:
        gate.serve('room', 80)
        gate.r4, gate.r6 = gate.address(), gate.address(family=6)
        yield gate


@pytest.fixture
def inner(gate):
    with gate.inner as inner:
        yield inner


def host_end(world):
    return mac(world.servera, 'sp-main')


# The controls with a plain namespace: the gate of this module is not there yet. --

def test_control_a_plain_namespace_speaks_for_a_neighbour(world, plain):
    assert forged(world, plain.room, 'eth0', mac(world.servera, 'plain0'), A4,
                  LAPTOP2_4)


def test_control_a_plain_namespace_leaves_with_its_own_address(world, plain,
                                                               ear):
    """What conntrack takes for invalid is not masqueraded."""
    inject(plain.room, 'eth0', mac(world.servera, 'plain0'),
           tcp_packet('10.200.0.2', 4600, '198.51.100.2', 4601, SYN_FIN))
    assert ear.wait_for(lambda p: p.dport == 4601 and p.src == '10.200.0.2')


def open_conversation(host, a):
    """A TCP conversation and its port at the client."""
    s = probe.connect(host, a, 80)
    probe.line(s)
    return s, s.getsockname()[1]


def test_control_a_plain_dnat_breaks_off_at_a_stray_segment(world, plain):
    """It is not translated, so it is for the host, which resets."""
    s, port = open_conversation(world.mallory, A4)
    with s, Sniffer(world.mallory, 'eth0', (world.core, 'mallory')) as far:
        for packet in strays(MALLORY4, port, A4):
            inject(world.mallory, 'eth0', mac(world.servera, 'eth0'), packet)
        assert far.wait_for(lambda p: p.flags & RST and p.dport == port)


def router_advertisement(dst, src='fe80::1'):
    prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 86400, 14400, 0) + \
        pton('fd00:16:99::')
    packet = icmp_packet(src, dst, 134, 0,
                         struct.pack('!BBHII', 64, 0, 1800, 0, 0), prefix)
    return packet[:7] + b'\xff' + packet[8:]  # hop limit 255


def test_control_a_plain_room_believes_router_advertisements(world, plain):
    plain.room.sysctl('net/ipv6/conf/eth0/accept_ra', 1)
    inject(world.servera, 'plain0', '33:33:00:00:00:01',
           router_advertisement('ff02::1'))
    until(lambda: 'proto ra' in plain.room.out('ip', '-6', 'route'),
          'the route of the advertisement')


# A namespace against its host -------------------------------------------------

@pytest.mark.parametrize('a, src', [(A4, LAPTOP2_4), (A6, LAPTOP2_6)],
                         ids=['ipv4', 'ipv6'])
def test_a_gate_does_not_speak_for_a_neighbour(gate, world, inner, a, src):
    """Into a conversation that the host has: "established" would let it in."""
    assert not forged(world, inner, 'lan', host_end(world), a, src)


def test_no_address_of_the_slot_leaves_the_host(gate, world, inner, ear):
    for src in (minus(gate.r4, 1), gate.r4):
        inject(inner, 'lan', host_end(world),
               tcp_packet(src, 4600, '198.51.100.2', 4601, SYN_FIN))
    assert probe.ask(world.laptop, 'tcp', A4, 80).answered  # all is through
    assert [str(p) for p in ear.seen(lambda p: p.dport == 4601)] == []


def test_the_host_asks_once_more_whom_a_room_may_reach(gate, world, inner, ear):
    """Should ever something in the gate let it out."""
    for dst, port in ((MALLORY4, 4611), (LAPTOP2_4, 4612)):
        inject(inner, 'lan', host_end(world),
               udp_packet(gate.r4, 4610, dst, port))
    assert ear.wait_for(lambda p: p.dport == 4612 and p.src == A4)
    assert [str(p) for p in ear.seen(lambda p: p.dport == 4611)] == []


def test_a_room_does_not_reach_the_host_by_a_gate_that_lets_it(gate, world,
                                                              inner):
    child = world.serve(world.servera, 'host', 9292)
    try:
        with Sniffer(inner, 'lan', (world.servera, 'sp-main')) as lan:
            for src, port in ((gate.r4, 4621), (minus(gate.r4, 1), 4622)):
                inject(inner, 'lan', host_end(world),
                       udp_packet(src, port, A4, 9292, b'let me in'))
            assert lan.wait_for(lambda p: p.dport == 4622)  # what a client may
            assert lan.seen(lambda p: p.dport == 4621) == []
    finally:
        child.kill()


def test_the_host_sees_which_room_asks(gate, world, inner):
    """Not masqueraded twice: the host's own check is by the room's address."""
    with gate.room() as room, \
            Sniffer(inner, 'lan', (world.servera, 'sp-main')) as lan:
        probe.udp(room, LAPTOP2_4, 4631, seconds=probe.SILENCE)
        assert {p.src for p in lan.seen(lambda p: p.dport == 4631)} == {gate.r4}


# The host against the gate ----------------------------------------------------

@pytest.mark.parametrize('dst, via', [(A_VPN4, 4), (A_VPN6, 6)],
                         ids=['ipv4', 'ipv6'])
def test_the_hosts_routes_do_not_lead_to_the_tunnels_address(gate, world, inner,
                                                             dst, via):
    """Whatever a DHCP server made it believe; the gate's own address answers. And
    the gate does not leave it to the host to drop what it would say."""
    own = minus(gate.r4, 1) if via == 4 else minus(gate.r6, 1)
    link = ['via', own] if via == 4 else ['via', 'fe80::2']
    assert probe.ping(world.servera, own)
    world.servera.run('ip', 'route', 'add', dst, *link, 'dev', 'sp-main')
    try:
        with Sniffer(world.servera, 'sp-main', (inner, 'lan')) as wire:
            assert not probe.ping(world.servera, dst, seconds=1)
            assert wire.wait_for(lambda p: p.dst == dst)
            assert probe.ping(world.servera, own)
            assert [str(p) for p in wire.seen(lambda p: p.src == dst)] == []
    finally:
        world.servera.run('ip', 'route', 'del', dst, *link, 'dev', 'sp-main')


def test_the_gate_itself_is_silent_towards_the_host(gate, world):
    got = probe.ask(world.servera, 'tcp', minus(gate.r4, 1), 22,
                    seconds=probe.SILENCE)
    assert got.how is How.SILENT


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_the_hosts_loopback_keeps_the_slots_host_address(gate, world, proto):
    """TCP takes the short link, UDP the gate's."""
    got = probe.ask(world.servera, proto, '127.0.0.1', 80)
    assert (got.by, got.saw) == ('room', minus(gate.r4, 2))


@pytest.mark.parametrize('address', ['127.0.0.1', '::1'])
def test_the_hosts_loopback_is_left_alone(gate, world, address):
    child = world.serve(world.servera, 'host', 9393)
    try:
        for proto in 'tcp', 'udp':
            assert probe.ask(world.servera, proto, address, 9393).by == 'host'
    finally:
        child.kill()


# A tunnel against the gate ----------------------------------------------------

@pytest.fixture
def careless_gate(inner):
    """Somebody may switch the gate's rp_filter off."""
    keys = [f'net/ipv4/conf/{where}/rp_filter' for where in ('all', 'office')]
    before = [inner.sysctl(key) for key in keys]
    for key in keys:
        inner.sysctl(key, 0)
    yield inner
    for key, value in zip(keys, before):
        inner.sysctl(key, value)


@pytest.mark.parametrize('family', [4, 6])
def test_nobody_in_a_tunnel_says_an_address_of_the_slot(gate, world,
                                                        careless_gate, family):
    r, dst, peer = {4: (gate.r4, A_VPN4, B_VPN4),
                    6: (gate.r6, A_VPN6, B_VPN6)}[family]
    with gate.room() as room, \
            Sniffer(room, 'eth0', (careless_gate, 'room')) as eth0:
        for src in (minus(r, 2), minus(r, 1), minus(r, -1), peer):
            inject_tun(world.vpnsrv, 'tun0', udp_packet(src, 4640, dst, 80))
        assert eth0.wait_for(lambda p: p.sport == 4640 and p.src == peer)
        assert {p.src for p in eth0.seen(lambda p: p.sport == 4640 and
                                         p.dport == 80)} == {peer}


@pytest.mark.parametrize('a, src', [(A4, MALLORY4), (A6, MALLORY6)])
def test_a_stray_segment_does_not_break_off_one_of_the_lan(gate, world, a, src):
    s, port = open_conversation(world.mallory, a)
    with s, Sniffer(world.mallory, 'eth0', (world.core, 'mallory')) as far:
        for packet in strays(src, port, a):
            inject(world.mallory, 'eth0', mac(world.servera, 'eth0'), packet)
        s.sendall(b'there?\n')
        assert probe.line(s).endswith('there?\n')
        assert far.seen(lambda p: p.flags & RST and p.dport == port) == []


def test_a_stray_segment_does_not_break_off_a_conversation(gate, world, tun):
    s, port = open_conversation(world.serverb, A_VPN4)
    with s:
        for packet in strays(B_VPN4, port, A_VPN4):
            inject_tun(world.vpnsrv, 'tun0', packet)
        assert probe.ask(world.twin, 'tcp', A_VPN4, 80).answered  # delivered
        assert tun.seen(lambda p: p.flags & RST and p.dport == port) == []
        s.sendall(b'there?\n')
        assert probe.line(s).endswith('there?\n')


def redirected(world, where, dst, dev):
    """A socket of @where talks to @dst by the tunnel; its server says that
    another gateway is nearer. Is it believed?"""
    s = where.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, dev.encode())
        s.bind((A_VPN4, 4650))
        s.connect((dst, 4651))
        s.send(b'there?')
        quoted = udp_packet(A_VPN4, 4650, dst, 4651, b'there?')[:28]
        inject_tun(world.vpnsrv, 'tun0', icmp_packet(
            VPN_GW4, A_VPN4, 5, 1, pton('172.20.0.99'), quoted))
        # Both by the same tunnel: the redirect has arrived.
        assert probe.ping(world.vpnsrv, A_VPN4)
        return 'redirected' in where.out('ip', 'route', 'get', dst, 'oif', dev)


@pytest.fixture
def bare_vpn(program, world):
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    yield next(l.split(':')[1].strip() for l in world.servera.out(
        'ip', '-o', 'link').splitlines() if 'tun' in l)
    client.close()


FAR = '172.16.200.1'  # by the pushed range, of which nothing else knows


def advertised(world, where, dev):
    where.sysctl(f'net/ipv6/conf/{dev}/accept_ra', 2)
    inject_tun(world.vpnsrv, 'tun0', router_advertisement(A_VPN6))
    assert probe.ping(world.vpnsrv, A_VPN6)
    return 'proto ra' in where.out('ip', '-6', 'route')


def test_a_tunnels_redirects_are_not_believed(gate, world, inner):
    assert not redirected(world, inner, FAR, 'office')


def test_a_tunnels_router_advertisements_are_not_believed(gate, world, inner):
    """Not even where a client's script asked for them."""
    assert not advertised(world, inner, 'office')


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_a_port_that_is_not_published_is_refused(gate, world, proto):
    assert probe.ask(world.serverb, proto, A_VPN4, 83).how is How.REFUSED


def test_tcp_is_refused_as_by_any_host(gate, world, tun):
    assert probe.ask(world.serverb, 'tcp', A_VPN4, 83).how is How.REFUSED
    assert tun.wait_for(lambda p: p.proto == TCP and p.flags & RST)


# The gate, and a room against it -----------------------------------------------

def test_a_vpn_client_may_talk_to_itself(gate, inner):
    """By the address of its own interface, as those do that have a helper."""
    listener = inner.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.bind((A_VPN4, 4660))
        listener.listen()
        probe.connect(inner, A_VPN4, 4660).close()


def test_a_room_does_not_learn_the_tunnels_address(gate):
    with gate.room() as room:
        assert told(room, 'eth0', gate.r4, minus(gate.r4, 1))
        assert not told(room, 'eth0', gate.r4, A_VPN4)


def test_nor_when_the_gate_asks_who_it_is(gate, world, inner):
    """For the answer to a ping of that address."""
    with gate.room() as room, \
            Sniffer(room, 'eth0', (inner, 'room')) as eth0:
        own = minus(gate.r4, 1)  # known, so that only the gate has to ask
        room.run('ip', 'neigh', 'replace', own, 'lladdr', mac(inner, 'room'),
                 'dev', 'eth0', 'nud', 'permanent')
        inner.run('ip', 'neigh', 'flush', 'dev', 'room')
        assert probe.ping(room, A_VPN4)
        room.run('ip', 'neigh', 'del', own, 'dev', 'eth0')
        eth0.seen()
        said = {socket.inet_ntoa(arp[14:18]) for arp in eth0.arps}
    assert own in said and A_VPN4 not in said


def test_a_room_believes_no_router_but_its_gate(gate, inner):
    with gate.room() as room:
        # By whom the default route leads already, an advertisement is ignored whole.
        for src in 'fe80::1', 'fe80::99':
            inject(inner, 'room', '33:33:00:00:00:01',
                   router_advertisement('ff02::1', src))
        assert probe.ping(inner, gate.r6)
        routes = room.out('ip', '-6', 'route')
        assert 'proto ra' not in routes and 'fd00:16:99' not in routes


# The controls on the bare host come last: the gate's VPN client has to go. ------

def test_control_the_bare_host_believes_a_tunnels_redirects(gate, world,
                                                            request):
    gate.stop()
    dev = request.getfixturevalue('bare_vpn')
    assert redirected(world, world.servera, FAR, dev)


def test_control_the_bare_host_believes_router_advertisements(world, bare_vpn):
    assert until(lambda: advertised(world, world.servera, bare_vpn),
                 'the route of the advertisement')
