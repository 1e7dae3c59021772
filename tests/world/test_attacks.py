# SPDX-License-Identifier: GPL-2.0-or-later
"""Attacks that must fail, each with its negative control: the same attack
succeeds on a bare host or against a plain namespace behind DNAT."""
import os
import signal
import socket
import struct

import pytest

from lab import probe
from lab.host import PATIENCE, until
from lab.leak import SECRET, Talker
from lab.probe import How
from lab.sniff import (ETH_P_ARP, ICMP, ICMPV6, TCP, UDP, Sniffer, icmp_packet,
                       inject, inject_tun, ip_packet, mac, minus, pton, tcp_packet,
                       udp_packet)
from lab.vpn import OpenVpnClient
from lab.world import (A4, A6, A_VPN4, A_VPN6, B_INET4, B_INET6, B_VPN4, B_VPN6,
                       LAPTOP2_4, LAPTOP2_6, LAPTOP4, LAPTOP6, MALLORY4, MALLORY6,
                       wrong_answers)

SYN, SYN_ACK = 0x02, 0x12
VPN_SERVER4, VPN_SERVER6 = '198.51.100.2', '2001:db8:198::2'
OTHER_INET4, OTHER_INET6 = '192.0.2.10', '2001:db8:99::10'  # nobody's

CONF = '''
[room]
publish = 80 80/udp
reach   = {laptop2}/32 {laptop2_6}/128
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(
            office=world.office, laptop2=LAPTOP2_4, laptop2_6=LAPTOP2_6)) as gate:
        gate.serve('room', 80, 90)  # 90 is not published
        gate.r4, gate.r6 = gate.address(), gate.address(family=6)
        yield gate


@pytest.fixture
def bare_vpn(program, world):
    """The bare host with the same VPN and the same service. Run these first:
    the gate of this module is not there yet."""
    child = world.serve(world.servera, 'host', 80)
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    yield client
    client.close()
    child.kill()


def routed(host, prefix, via):
    """@host sends @prefix to @via: a neighbour who uses us as a router."""
    class Route:
        def __enter__(self):
            host.ip(f'route add {prefix} via {via}')

        def __exit__(self, *_):
            host.ip(f'route del {prefix} via {via}')
    return Route()


def arp_answers(world, target):
    """Does Server A answer a neighbour's ARP for @target?"""
    me = bytes.fromhex(mac(world.mallory, 'eth0').replace(':', ''))
    with Sniffer(world.mallory, 'eth0', (world.core, 'mallory')) as sniffer:
        with world.mallory.inside():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.bind(('eth0', 0))
        request = struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 1, me,
                              pton(MALLORY4), bytes(6), pton(target))
        with s:
            for _ in range(3):
                s.send(b'\xff' * 6 + me + struct.pack('!H', ETH_P_ARP) +
                       request)
        probe.tcp(world.mallory, A4, 80)  # time for an answer
        sniffer.prove()
        return any(a[6:8] == b'\0\2' and a[14:18] == pton(target)
                   for a in sniffer.arps)


# The controls: all of these succeed without us ----------------------------

def test_control_a4_a6_a_neighbour_reaches_the_tunnel_address(world, bare_vpn):
    assert arp_answers(world, A_VPN4)
    with routed(world.mallory, A_VPN4, A4):
        got = probe.ask(world.mallory, 'tcp', A_VPN4, 80, src=MALLORY4)
    assert got.answered
    with routed(world.mallory, A_VPN6, A6):
        got = probe.ask(world.mallory, 'tcp', A_VPN6, 80, src=MALLORY6)
    assert got.answered


def rogue(world):
    """A VPN server that delivers whatever it likes to Server A."""
    world.openvpn.give_a(extra='iroute 172.16.5.0 255.255.255.0\n'
                         'iroute 198.18.0.0 255.254.0.0\n'
                         f'iroute {B_INET4} 255.255.255.255\n'
                         f'iroute {LAPTOP2_4} 255.255.255.255\n'
                         'iroute-ipv6 fd00:16:5::/64\niroute-ipv6 fc00::/8\n'
                         'iroute-ipv6 fd00::/9\niroute-ipv6 2000::/3')


@pytest.fixture
def rogue_vpn(world, request):
    rogue(world)
    yield request.getfixturevalue('bare_vpn')
    world.openvpn.give_a()


FAMILIES = pytest.mark.parametrize('family', [4, 6])


@FAMILIES
def test_control_a5_a_rogue_vpn_server_reflects_into_the_lan(world, rogue_vpn, family):
    src, a = ((MALLORY4, A4), (MALLORY6, A6))[family == 6]
    with Sniffer(world.mallory, 'eth0', (world.core, 'mallory')) as victim:
        probe.tcp(world.mallory, a, 80)  # warm neighbours
        inject_tun(world.vpnsrv, 'tun0', tcp_packet(src, 4000, a, 80, SYN))
        assert victim.wait_for(
            lambda p: p.src == a and p.flags == SYN_ACK and p.dport == 4000)


def too_big(family, quoted_src, sport, outer, mtu):
    """What a router behind the tunnel would say of an answer to the laptop."""
    laptop, router = ((LAPTOP4, '172.20.0.1'), (LAPTOP6, 'fd00:16:20::1'))[family == 6]
    quoted = udp_packet(quoted_src, 80, laptop, sport, bytes(1400))
    if family == 6:
        return icmp_packet(router, outer, 2, 0, struct.pack('!I', mtu), quoted[:48])
    return icmp_packet(router, outer, 3, 4, struct.pack('!HH', 0, mtu), quoted[:28])


@FAMILIES
def test_control_a7_a_forged_too_big_by_the_tunnel_narrows_the_way_to_the_laptop(
        world, rogue_vpn, family):
    """The known cure lets the laptop in, and no more."""
    a, a_vpn, laptop, via = ((A4, A_VPN4, LAPTOP4, '172.16.5.1'),
                             (A6, A_VPN6, LAPTOP6, 'fd00:16:5::1'))[family == 6]
    def cure(verb):
        for what in ('rule', 'from', a, 'lookup'), ('route', 'default', 'via', via, 'table'):
            world.servera.run('ip', f'-{family}', what[0], verb, *what[1:], '100')

    cure('add')
    try:
        inject_tun(world.vpnsrv, 'tun0', too_big(family, a, 40009, a_vpn, 1290))
        until(lambda: 'mtu 1290' in world.servera.out(
            'ip', 'route', 'get', laptop, 'from', a), 'it is believed')
    finally:
        cure('del')


@FAMILIES
def test_control_a8_a_bare_router_forwards_for_vpn_peers(world, rogue_vpn, ear, family):
    key, src, dst = (('net/ipv4/ip_forward', B_VPN4, B_INET4),
                     ('net/ipv6/conf/all/forwarding', B_VPN6, B_INET6))[family == 6]
    world.servera.sysctl(key, 1)
    try:
        inject_tun(world.vpnsrv, 'tun0', udp_packet(src, 4000, dst, 4001))
        assert ear.wait_for(lambda p: p.dport == 4001)
    finally:
        world.servera.sysctl(key, 0)


@pytest.fixture
def all_by_vpn(program, world):
    """The bare host, whose VPN takes everything."""
    world.openvpn.give_a(('redirect-gateway def1 ipv6',))
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    yield world.servera
    client.close()
    world.openvpn.give_a()


@pytest.fixture
def numbered_lan(world):
    """The rogue LAN is numbered like the victim, and answers for it."""
    world.servera.ip('addr add 203.0.113.9/24 dev eth0',
                     'addr add 2001:db8:203::9/64 dev eth0 nodad')
    world.mallory.ip(f'addr add {B_INET4}/32 dev eth0',
                     f'addr add {B_INET6}/128 dev eth0 nodad')
    yield
    world.mallory.ip(f'addr del {B_INET4}/32 dev eth0', f'addr del {B_INET6}/128 dev eth0')
    world.servera.ip('addr del 203.0.113.9/24 dev eth0',
                     'addr del 2001:db8:203::9/64 dev eth0')


def heard_in_clear(ear, host, aim, other):
    """Of what @host says to both, that to @aim and no more: the tunnel has the rest."""
    talker = Talker(host, (aim, other))
    said = ear.wait_for(lambda p: SECRET in p.payload and p.dst == aim)
    talker.said()
    talker.stop()
    return said and not ear.seen(lambda p: p.dst == other)


def test_control_a9_a_bare_host_speaks_to_the_vpn_server_in_clear(all_by_vpn,
                                                                  ear):
    """OpenVPN pins the way to its server in the family that it uses."""
    assert heard_in_clear(ear, all_by_vpn, VPN_SERVER4, B_INET4)


@pytest.mark.parametrize('aim, other', [(B_INET4, OTHER_INET4), (B_INET6, OTHER_INET6)],
                         ids=['ipv4', 'ipv6'])
def test_control_a10_a_bare_host_believes_a_lan_that_claims_public_addresses(
        all_by_vpn, numbered_lan, ear, aim, other):
    assert heard_in_clear(ear, all_by_vpn, aim, other)


def test_control_a11_a_route_from_a_rogue_dhcp_server_cuts_a_plain_room_off(
        world, plain):
    assert probe.ask(world.laptop, 'tcp', A4, 80).by == 'plain'
    route = f'10.200.0.2/32 via {MALLORY4}'
    world.servera.ip(f'route add {route}')
    try:
        got = probe.ask(world.laptop, 'tcp', A4, 80, seconds=probe.SILENCE)
        assert not got.answered
    finally:
        world.servera.ip(f'route del {route}')


def test_control_a14_a_plain_room_is_reached_past_its_published_ports(world,
                                                                     plain):
    with routed(world.mallory, '10.200.0.0/24', A4):
        assert probe.ask(world.mallory, 'tcp', '10.200.0.2', 90).by == 'plain'


def test_control_a15_a_crafted_frame_reaches_127_0_0_1(world, plain):
    assert crafted_loopback(world, 9090)


def crafted_loopback(world, port, seconds=PATIENCE):
    probe.tcp(world.mallory, A4, port)  # warm neighbours
    with Sniffer(world.mallory, 'eth0', (world.core, 'mallory')) as sniffer:
        inject(world.mallory, 'eth0', mac(world.servera, 'eth0'),
               tcp_packet(MALLORY4, 4567, '127.0.0.1', port, SYN))
        return sniffer.wait_for(lambda p: p.dport == 4567 and
                                p.flags == SYN_ACK, seconds)


class LocalnetRouted:
    """A service of the host, and 127.0.0.0/8 let in from the LAN, as kube-proxy
    and others do for ports of their own (CVE-2020-8558)."""

    def __init__(self, world, port):
        self.host, self.port = world.servera, port
        self.child = world.serve(self.host, 'host', port)
        self.host.sysctl('net/ipv4/conf/eth0/route_localnet', 1)

    def __enter__(self):
        return self.port

    def __exit__(self, *_):
        self.host.sysctl('net/ipv4/conf/eth0/route_localnet', 0)
        self.child.kill()


def test_control_a15_a_crafted_frame_reaches_a_service_of_the_host(world):
    with LocalnetRouted(world, 9191) as port:
        assert crafted_loopback(world, port)


MINE = b'mine now'


def shadow(world, room, family, port=51820):
    """A16: a room speaks from the port that a service of the host has; may
    it take that service's answers? Returns who answered the laptop."""
    kind, any_, a, laptop2 = ((socket.AF_INET, '0.0.0.0', A4, LAPTOP2_4),
                              (socket.AF_INET6, '::', A6, LAPTOP2_6))[family == 6]
    child = world.serve(world.servera, 'host', port)
    with room.socket(kind, socket.SOCK_DGRAM) as s, \
            Sniffer(world.laptop2, 'eth0') as far:
        s.bind((any_, port))
        s.sendto(MINE, (laptop2, 4444))
        assert far.wait_for(lambda p: p.payload == MINE and p.src == a), 'it speaks'
        got = probe.udp(world.laptop2, a, port, sport=4444,
                        seconds=probe.SILENCE)
    child.kill()
    return got


@FAMILIES
def test_control_a16_port_shadow_takes_the_hosts_clients(world, plain, family):
    got = shadow(world, plain.room, family)
    assert got.how is How.SILENT, 'the host should have lost this client'


# And with us ---------------------------------------------------------------

@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('dst, via, src', [
    (A_VPN4, A4, MALLORY4), (A_VPN6, A6, MALLORY6)])
def test_a4_a_neighbour_does_not_reach_the_tunnel_address(
        gate, world, dst, via, src, proto):
    with routed(world.mallory, dst, via):
        got = probe.ask(world.mallory, proto, dst, 80, src=src,
                        seconds=probe.SILENCE)
    assert got.how in (How.SILENT, How.UNREACHABLE)


def test_a6_arp_discloses_neither_tunnel_nor_slot(gate, world):
    assert arp_answers(world, A4), 'the question itself works'
    slot = gate.r4.rsplit('.', 1)
    for target in (A_VPN4, gate.r4, f'{slot[0]}.{int(slot[1]) - 1}'):
        assert not arp_answers(world, target), target


@pytest.fixture(scope='module')
def rogue_gate(gate, world):
    """The gate's VPN server turns rogue."""
    rogue(world)
    since = len(gate.log.text())
    os.kill(gate.vpn_pid(), signal.SIGUSR1)
    gate.wait_log('Initialization Sequence Completed', since=since)
    yield gate
    world.openvpn.give_a()


class Delivered:
    """That what the rogue server says has come out of the tunnel: else silence means
    nothing."""

    def __init__(self, gate):
        self.inner = gate.inner

    def __enter__(self):
        self.inner.__enter__()
        self.sniffer = Sniffer(self.inner, 'office')
        return self.sniffer

    def __exit__(self, *what):
        self.sniffer.close()
        self.inner.__exit__(*what)


@pytest.mark.parametrize('src', [LAPTOP2_4, MALLORY4, '198.18.0.1', LAPTOP2_6, MALLORY6])
def test_a5_a_rogue_vpn_server_reaches_no_other_address(rogue_gate, world, ear,
                                                        tun, src):
    a, room = (A6, rogue_gate.r6) if ':' in src else (A4, rogue_gate.r4)
    targets = [a, *(minus(room, n) for n in (0, 1, 2))]
    ports = range(4100, 4100 + len(targets))
    with Delivered(rogue_gate) as office:
        for sport, dst in zip(ports, targets):
            for port in (80, 90):
                inject_tun(world.vpnsrv, 'tun0', tcp_packet(src, sport, dst, port, SYN))
                inject_tun(world.vpnsrv, 'tun0', udp_packet(src, sport, dst, port))
        for sport in ports:
            assert office.wait_for(lambda p: p.sport == sport and p.dport == 90 and
                                   p.proto == UDP)
    assert probe.ask(world.twin, 'tcp', A_VPN4, 80).answered
    assert [str(p) for p in ear.seen(lambda p: p.dport in ports)] == []
    assert [str(p) for p in tun.seen(lambda p: p.dport in ports and
                                     not p.outgoing)] == []


@pytest.mark.parametrize('src, dst', [(LAPTOP2_4, A_VPN4), (LAPTOP2_6, A_VPN6)])
def test_a5_a_forged_source_is_answered_into_the_tunnel_only(rogue_gate, world,
                                                             ear, tun, src, dst):
    """To the right address: that is a peer like twin."""
    inject_tun(world.vpnsrv, 'tun0', tcp_packet(src, 4200, dst, 80, SYN))
    assert tun.wait_for(lambda p: p.dport == 4200 and p.flags == SYN_ACK)
    assert ear.seen(lambda p: p.dport == 4200) == []


@FAMILIES
def test_a7_a_forged_too_big_by_the_tunnel_does_not_touch_the_lan(
        rogue_gate, world, family):
    """About a UDP conversation: for TCP the kernel asks for the right
    sequence number, so a forged one proves little."""
    a, a_vpn, room_address, laptop = (
        (A4, A_VPN4, rogue_gate.r4, LAPTOP4), (A6, A_VPN6, rogue_gate.r6, LAPTOP6))[family == 6]
    assert probe.udp(world.laptop, a, 80, sport=40010).answered
    icmp = {4: ICMP, 6: ICMPV6}[family]
    with Delivered(rogue_gate) as office:
        for outer in (a_vpn, room_address, a):
            for quoted in (a, room_address):
                inject_tun(world.vpnsrv, 'tun0', too_big(family, quoted, 40010, outer, 1290))
            assert office.wait_for(lambda p: p.proto == icmp and p.dst == outer)
    assert probe.ask(world.twin, 'tcp', A_VPN4, 80).answered  # all is through
    with rogue_gate.room() as room, rogue_gate.inner as inner:
        for where in (room, inner, rogue_gate.host):
            assert 'mtu' not in where.out('ip', 'route', 'get', laptop)


def test_control_a7_a_true_too_big_by_the_lan_is_heard(gate, world):
    assert probe.udp(world.laptop2, A4, 80, sport=40011).answered
    quoted = udp_packet(A4, 80, LAPTOP2_4, 40011, bytes(1400))[:28]
    inject(world.core, 'br5', mac(world.servera, 'eth0'), icmp_packet(
        '172.16.5.1', A4, 3, 4, struct.pack('!HH', 0, 1000), quoted))
    assert probe.ask(world.laptop2, 'tcp', A4, 80).answered
    with gate.room() as room:
        assert 'mtu 1000' in room.out('ip', 'route', 'get', LAPTOP2_4)


@pytest.fixture(params=['as it is', 'room forwards'])
def router_room(rogue_gate, request):
    """F19: somebody in the room switches forwarding on."""
    with rogue_gate.room() as room:
        keys = ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']
        before = [room.sysctl(key) for key in keys]
        if request.param == 'room forwards':
            for key in keys:
                room.sysctl(key, 1)
        yield rogue_gate
        for key, value in zip(keys, before):
            room.sysctl(key, value)


@pytest.mark.parametrize('src, dst', [
    *((src, dst) for src in (B_VPN4, LAPTOP4) for dst in (B_INET4, LAPTOP2_4, MALLORY4)),
    *((src, dst) for src in (B_VPN6, LAPTOP6) for dst in (B_INET6, LAPTOP2_6, MALLORY6))])
def test_a8_neither_gate_nor_room_is_a_router_for_vpn_peers(router_room, world, ear, src,
                                                            dst):
    with Delivered(router_room) as office:
        inject_tun(world.vpnsrv, 'tun0', tcp_packet(src, 4300, dst, 4301, SYN))
        inject_tun(world.vpnsrv, 'tun0', udp_packet(src, 4300, dst, 4301))
        assert office.wait_for(lambda p: p.dport == 4301 and p.proto == UDP)
    assert probe.ask(world.twin, 'tcp', A_VPN4, 80).answered
    assert ear.seen(lambda p: p.dport == 4301) == []


@pytest.mark.parametrize('dst, via', [(B_VPN4, A4), (B_VPN6, A6)])
def test_a8_the_gate_is_no_router_for_neighbours(gate, world, tun, dst, via):
    with routed(world.mallory, dst, via):
        probe.ask(world.mallory, 'udp', dst, 4302, seconds=0.3)
    assert probe.ask(world.twin, 'tcp', A_VPN4, 80).answered
    assert tun.seen(lambda p: p.dport == 4302) == []


@pytest.mark.parametrize('port', [1194, 4444, 53])
def test_a9_a_room_does_not_reach_the_vpn_servers_address_in_clear(
        gate, world, ear, port):
    with gate.room() as room:
        talker = Talker(room, (VPN_SERVER4, VPN_SERVER6), port)
        talker.said()
        talker.connect_all()
        s = room.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(('0.0.0.0', 1194))
        try:
            s.sendto(SECRET, (VPN_SERVER4, port))
        except OSError:
            pass
        talker.stop()
        s.close()
    heard = ear.seen(lambda p: SECRET in p.payload or
                     (p.proto == TCP and p.dport == port))
    assert [str(p) for p in heard] == []


def test_a10_a_lan_that_claims_public_addresses_gets_nothing(gate, numbered_lan,
                                                             ear):
    """TunnelCrack LocalNet."""
    with gate.room() as room:
        talker = Talker(room, (B_INET4, B_INET6))
        talker.said()
        talker.connect_all()
        talker.stop()
    assert ear.heard() == []


def test_a11_routes_from_a_rogue_dhcp_server_change_nothing(gate, world):
    """TunnelVision (option 121): /32s for room, gate and VPN."""
    r = gate.r4.rsplit('.', 1)
    ends = [f'{r[0]}.{int(r[1]) - i}/32' for i in (0, 1, 2)]
    routes = [*ends, f'{B_VPN4}/32', '172.20.0.0/16', '198.18.0.0/15']
    world.servera.ip(*[f'route add {p} via {MALLORY4}' for p in routes],
                     f'route add {gate.r6}/128 via {MALLORY6}')
    try:
        assert wrong_answers(world) == []
    finally:
        world.servera.ip(*[f'route del {p} via {MALLORY4}' for p in routes],
                         f'route del {gate.r6}/128 via {MALLORY6}')


def test_a12_router_advertisements_change_nothing_inside(gate, world):
    world.servera.sysctl('net/ipv6/conf/eth0/accept_ra', 2)
    prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 86400, 14400, 0) + \
        pton('fd00:16:20::')
    packet = icmp_packet('fe80::1', 'ff02::1', 134, 0,
                         struct.pack('!BBHII', 64, 0, 1800, 0, 0)[:12], prefix)
    packet = packet[:7] + b'\xff' + packet[8:]  # hop limit 255
    try:
        inject(world.mallory, 'eth0', '33:33:00:00:00:01', packet)
        until(lambda: 'proto ra' in world.servera.out('ip', '-6', 'route'),
              'the host believes it')
        # A host does not hand it on: what if somebody says it on the gate's own link, where
        # a script asked for it? A room is test_forged.py's.
        with gate.inner as inner, Sniffer(inner, 'lan') as lan:
            inner.sysctl('net/ipv6/conf/lan/accept_ra', 2)
            inject(world.servera, 'sp-main', '33:33:00:00:00:01', packet)
            assert lan.wait_for(lambda p: p.proto == ICMPV6 and p.dst == 'ff02::1')
            assert probe.ask(world.laptop, 'udp', A6, 80).answered  # behind it
            assert 'proto ra' not in inner.out('ip', '-6', 'route')
            inner.sysctl('net/ipv6/conf/lan/accept_ra', 0)
        assert wrong_answers(world, doors=('vpn', 'lan')) == []
    finally:
        world.servera.sysctl('net/ipv6/conf/eth0/accept_ra', 0)
        world.servera.run('ip', '-6', 'addr', 'flush', 'dev', 'eth0',
                          'dynamic', ok=False)
        world.servera.run('ip', '-6', 'route', 'flush', 'proto', 'ra', ok=False)
        world.servera.run('ip', '-6', 'route', 'flush', 'root', 'fd00:16:20::/64',
                          ok=False)


@pytest.mark.parametrize('port', [80, 90])
@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('family', [4, 6])
def test_a14_a_neighbour_does_not_route_to_the_room(gate, world, family, proto,
                                                    port):
    dst, via = ((gate.r4, A4), (gate.r6, A6))[family == 6]
    with routed(world.mallory, dst, via):
        got = probe.ask(world.mallory, proto, dst, port,
                        seconds=probe.SILENCE)
    assert got.how in (How.SILENT, How.UNREACHABLE)


def test_a15_a_crafted_frame_does_not_reach_127_0_0_1(gate, world):
    assert not crafted_loopback(world, 80, probe.SILENCE)
    with LocalnetRouted(world, 9191) as port:
        assert probe.ask(world.mallory, 'tcp', A4, port).by == 'host'
        assert not crafted_loopback(world, port, probe.SILENCE)


@FAMILIES
@pytest.mark.parametrize('port', [51820, 1024, 40000])
def test_a16_no_room_takes_a_port_of_the_host(gate, world, port, family):
    with gate.room() as room:
        got = shadow(world, room, family, port)
    assert (got.how, got.by) == (How.ANSWERED, 'host')


def clients(world, host, dst, count):
    """So many of them ask by UDP; who answered them."""
    sockets = [world.hosts[host].socket(probe.family_of(dst), socket.SOCK_DGRAM)
               for _ in range(count)]  # at one time, so that no two have the same port
    answers = set()
    for s in sockets:
        s.settimeout(PATIENCE)
        s.sendto(b'one of many', (dst, 80))
        answers.add(s.recvfrom(100)[1][0])
    for s in sockets:
        s.close()
    return answers


def test_a17_there_is_nothing_that_many_clients_could_fill(gate, world):
    """`attach` has to learn who asked where, and its memory has an end: for that see
    test_attach_attacks.py. A gate learns nobody: a connection's mark tells its door."""
    def tables():
        with gate.inner as inner:
            return [where.out('nft', '-s', 'list', 'table', 'inet', table) for where, table in
                    ((inner, 'sallyport-main'), (world.servera, 'sallyport'))]
    before = tables()
    for host, dst in (('laptop', A4), ('laptop', A6), ('twin', A_VPN4), ('twin', A_VPN6)):
        assert clients(world, host, dst, 300) == {dst}
    assert tables() == before
    assert not any(word in text for text in before for word in ('dynamic', 'flags timeout'))


def test_redirects_and_source_routes_are_not_believed(gate, world):
    redirect = icmp_packet('172.20.0.1', A_VPN4, 5, 1, pton(MALLORY4),
                           tcp_packet(A_VPN4, 80, B_VPN4, 1, 0x10)[:28])
    inject_tun(world.vpnsrv, 'tun0', redirect)
    assert wrong_answers(world, doors=('vpn',)) == []


@pytest.mark.parametrize('src, dst', [
    (LAPTOP2_4, B_VPN4), (MALLORY6, B_VPN6), ('neighbour', B_VPN6)])
def test_a_room_does_not_say_another_ones_address(gate, src, dst):
    """Strict rp_filter, which IPv6 has not. The VPN's server is not asked: it may
    refuse such a packet, or not."""
    with gate.room() as room, gate.inner as inner, \
            Sniffer(inner, 'office') as office:
        own = gate.r6 if ':' in dst else gate.r4
        if src == 'neighbour':
            src = own[:-1] + '4'
        gate_mac = mac(inner, 'room')
        for sport, said in ((4301, src), (4300, own)):
            inject(room, 'eth0', gate_mac, udp_packet(said, sport, dst, 4302))
        assert office.wait_for(lambda p: p.sport == 4300 and p.dport == 4302)
        assert office.seen(lambda p: p.sport == 4301 and p.dport == 4302) == []


def test_the_gates_own_unmarked_packets_do_not_leave_by_lan(gate, world, ear):
    """The VPN client's sockets are the gate's only ones, and marked; nothing
    else that runs there, nor a client that lost its mark, speaks to the LAN.
    To an address that the VPN does not claim: main leads there by lan."""
    transport = 0x170c0000
    for mark, port in ((0, 4311), (1, 4312), (transport, 4310)):
        with gate.inner as inner:
            s = inner.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            try:
                s.sendto(b'hello', (B_INET4, port))
            except PermissionError:
                assert mark != transport
    assert ear.wait_for(lambda p: p.dport == 4310)
    assert [str(p) for p in ear.seen(lambda p: p.dport in (4311, 4312))] == []


def test_unknown_protocols_are_not_forwarded(gate, world, ear, tun):
    """GRE to the published address, both ways."""
    inject_tun(world.vpnsrv, 'tun0', ip_packet(B_VPN4, A_VPN4, 47, bytes(40)))
    inject(world.mallory, 'eth0', mac(world.servera, 'eth0'),
           ip_packet(MALLORY4, A4, 47, bytes(40)))
    assert wrong_answers(world, families=(4,), protos=('tcp',)) == []
    assert ear.seen(lambda p: p.proto == 47 and p.src != MALLORY4) == []
