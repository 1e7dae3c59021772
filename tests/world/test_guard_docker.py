# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports that a real dockerd publishes keep answering while a VPN runs on the
host beside it."""
import fcntl
import os
import signal
import socket
import struct
import termios
from contextlib import contextmanager

import pytest

from lab import probe
from lab.container import Docker
from lab.guard import Guard
from lab.host import PATIENCE, Host, join, until
from lab.probe import How
from lab.sniff import inject, mac, udp_packet
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import A4, A_VPN4, B_VPN4, LAPTOP4, LAPTOP3_4, MALLORY4

PUSHES = {
    'the enclosing prefix': ('route 172.16.0.0 255.240.0.0',),
    'the containers, too': ('route 172.16.0.0 255.240.0.0',
                            'route 172.17.0.0 255.255.128.0'),
    'everything': ('redirect-gateway def1',),
}


@pytest.fixture(scope='module')
def docker(world):
    engine = Docker(world.servera, f'{world.dir}/docker')
    engine.service('web', 80, options=['-p', '80:80', '-p', '80:80/udp'],
                   by='web')
    yield engine
    engine.remove('web')
    engine.close()
    world.openvpn.give_a()


def clients(world):
    return [(world.laptop, LAPTOP4), (world.laptop3, LAPTOP3_4),
            (world.mallory, MALLORY4)]


def line(s):
    s.settimeout(PATIENCE)
    data = b''
    while not data.endswith(b'\n'):
        data += s.recv(4096)
    return data


def wrong(world):
    said = []
    for host, address in clients(world):
        for proto in ('tcp', 'udp'):
            got = probe.ask(host, proto, A4, 80, seconds=8)
            if (got.how, got.by, got.saw, got.source) != (
                    How.ANSWERED, 'web', address, A4):
                said.append(f'{host.name} {proto}: {got}')
    return said


def guarded(program, world):
    return Guard(program, world.servera, world.dir,
                 ['openvpn', '--config', world.office])


def answer_and_go_on(program, world, push):
    """Published ports while a VPN with @push comes, stays and goes."""
    world.openvpn.give_a(push)
    before = hoststate(world.servera)
    older = probe.Flow(world.laptop, A4, 80)
    with guarded(program, world) as guard:
        guard.connected()
        assert wrong(world) == []
        assert guard.stop() == 0
    assert older.stop().error is None
    assert difference(before, hoststate(world.servera)) == ''


def without_a_guard_they_do_not(world):
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    got = [probe.ask(world.laptop, proto, A4, 80, seconds=probe.SILENCE).how
           for proto in ('tcp', 'udp')]
    client.close()
    assert got == [How.SILENT, How.SILENT]


@pytest.mark.parametrize('push', list(PUSHES.values()), ids=list(PUSHES))
def test_published_ports_answer_and_a_flow_goes_on(program, world, docker,
                                                   push):
    answer_and_go_on(program, world, push)


def test_control_without_a_guard_they_do_not_answer(world, docker):
    without_a_guard_they_do_not(world)


def test_a_conversation_goes_on_beside_wg_quicks_rules(program, world, docker):
    """They give each UDP packet the mark of its connection, which is one of the
    guard's: for a request it would mean to go back where it came from."""
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    world.servera.nft('''table ip wg-quick-wgx { chain premangle {
        type filter hook prerouting priority -150;
        meta l4proto udp meta mark set ct mark; }; }''')
    try:
        with guarded(program, world) as guard:
            guard.connected()
            for _ in range(3):
                got = probe.udp(world.laptop, A4, 80, sport=40124)
                assert (got.how, got.by, got.saw) == (How.ANSWERED, 'web', LAPTOP4)
            assert guard.stop() == 0
    finally:
        world.servera.run('nft', 'delete', 'table', 'ip', 'wg-quick-wgx')


def test_a_neighbour_does_not_draw_a_vpn_peers_answers_out_of_the_tunnel(program, world,
                                                                         docker):
    """By the door that a flow began by all of it is answered, whoever speaks in the
    peer's name on the LAN."""
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    with guarded(program, world) as guard, \
            world.serverb.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        guard.connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              guard.log.text, PATIENCE)
        peer.settimeout(PATIENCE)
        peer.bind((B_VPN4, 40125))
        peer.sendto(b'its own', (A_VPN4, 80))
        assert peer.recv(4096).endswith(b'its own')
        inject(world.mallory, 'eth0', mac(world.servera, 'eth0'),
               udp_packet(B_VPN4, 40125, A_VPN4, 80, b'the forged one'))
        assert peer.recv(4096).endswith(b'the forged one')
        assert guard.stop() == 0


LINKS = ('all', 'eth0', 'docker0')


def filters(world):
    return [world.servera.sysctl(f'net/ipv4/conf/{link}/rp_filter')
            for link in LINKS]


@pytest.fixture
def rp_filter(world):
    def set_filters(*values):
        for link, value in zip(LINKS, values):
            world.servera.sysctl(f'net/ipv4/conf/{link}/rp_filter', value)
    old = filters(world)
    yield set_filters
    set_filters(*old)


def test_with_loose_reverse_path_filters(program, world, docker, rp_filter):
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    rp_filter(2, 2, 2)
    before = hoststate(world.servera)
    with guarded(program, world) as guard:
        guard.connected()
        assert wrong(world) == []
    assert difference(before, hoststate(world.servera)) == ''


@pytest.mark.parametrize('own', [0, 1], ids=['by all', 'by its own'])
@pytest.mark.parametrize('push', list(PUSHES.values()), ids=list(PUSHES))
def test_with_strict_reverse_path_filters(program, world, docker, rp_filter,
                                          push, own):
    """The kernel asks by which way a container would answer, before anybody
    can say that it is a reply: the LAN's door is loose for the time."""
    world.openvpn.give_a(push)
    rp_filter(1, own, own)
    before = hoststate(world.servera)
    with guarded(program, world) as guard:
        guard.connected()
        assert wrong(world) == []
        # What comes out of containers is looked at as strictly as before.
        assert filters(world) == ['1', '2', str(own)]
        assert guard.stop() == 0, guard.log.text()
    assert difference(before, hoststate(world.servera)) == ''


def test_a_strict_filter_that_asks_by_marks_lets_in_what_the_host_asked_for(
        program, world, docker, rp_filter):
    """wg-quick makes it ask so. The tunnel has this filter from its first moment."""
    rp_filter(1, 1, 1)
    sysctls = {s: world.servera.sysctl(s) for s in (
        'net/ipv4/conf/default/rp_filter', 'net/ipv4/conf/all/src_valid_mark')}
    for s in sysctls:
        world.servera.sysctl(s, 1)
    with guarded(program, world) as guard:
        guard.connected()
        assert probe.ping(world.servera, '172.20.0.1')
        assert guard.stop() == 0, guard.log.text()
    for s, value in sysctls.items():
        world.servera.sysctl(s, value)


def test_a_strict_filter_is_known_to_the_next_guard_and_to_off(program, world,
                                                               docker,
                                                               rp_filter):
    rp_filter(0, 1, 0)
    before = hoststate(world.servera)
    with Guard(program, world.servera, world.dir, []) as guard:
        guard.wait_stands()
        guard.kill9()
        assert filters(world) == ['0', '2', '0']
        with Guard(program, world.servera, world.dir, []) as heir:
            heir.wait_stands()
            heir.kill9()
            heir.off()
    assert difference(before, hoststate(world.servera)) == ''


def test_a_filter_that_is_made_strict_again_becomes_loose_again(program, world,
                                                                docker,
                                                                rp_filter):
    """As sysctl --system does it; and the filter is remembered when the whole
    ruleset is flushed."""
    rp_filter(0, 1, 0)
    with Guard(program, world.servera, world.dir, []) as guard:
        guard.wait_stands()
        rp_filter(0, 1, 0)
        until(lambda: filters(world)[1] == '2', guard.log.text, PATIENCE)
        world.servera.run('nft', 'delete', 'table', 'inet', 'sallyport-guard')
        guard.wait_log('sallyport-guard was deleted')
        until(lambda: 'eth0' in world.servera.run(
            'nft', 'list', 'map', 'inet', 'sallyport-guard', 'sysctls',
            ok=False).stdout, guard.log.text, PATIENCE)
        guard.kill9()
        guard.off()
    assert filters(world)[1] == '1'


def test_containers_reach_the_vpn_and_each_other(program, world, docker):
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    child = world.serve(world.serverb, 'b', 8000)
    with guarded(program, world) as guard, docker.inside('web') as inside:
        guard.connected()
        got = probe.ask(inside, 'tcp', '172.20.0.30', 8000, seconds=8)
        assert (got.how, got.saw) == (How.ANSWERED, '172.20.0.10')
        # The host itself, by the containers' gateway and by its LAN address.
        assert probe.ask(world.servera, 'tcp', '172.17.0.2', 80,
                         seconds=8).answered
        assert probe.ask(world.servera, 'tcp', '172.17.0.2', 80,
                         src=A4, seconds=8).answered
    child.kill()


def test_a_network_that_is_made_later_answers_and_so_does_its_flow(program, world,
                                                                  docker):
    """Its bridge is a new interface, and the VPN claims its range as well."""
    world.openvpn.give_a((*PUSHES['the enclosing prefix'],
                          'route 10.89.7.0 255.255.255.128'))
    with guarded(program, world) as guard:
        guard.connected()
        docker('network', 'create', '--subnet', '10.89.7.0/24', 'later')
        docker.service('late', 80, options=['--network', 'later', '-p', '82:80',
                                            '-p', '82:80/udp'], by='late')
        until(lambda: probe.ask(world.laptop, 'tcp', A4, 82, seconds=2).answered,
              guard.log.text, PATIENCE)
        flow = probe.Flow(world.laptop, A4, 82)
        for host, address in clients(world):
            for proto in 'tcp', 'udp':
                got = probe.ask(host, proto, A4, 82, seconds=8)
                assert (got.how, got.by, got.saw) == (How.ANSWERED, 'late', address)
        assert wrong(world) == []
        flow.stop()
        assert not flow.error, flow.error
        docker.remove('late')
        docker('network', 'rm', 'later')


B4, FAR4 = '192.168.50.10', '192.168.60.20'


@contextmanager
def second_lan(world):
    """A client behind its gateway, which is no better than the first one's."""
    a, router, client = world.servera, Host('router2'), Host('far')
    join(a, 'eth1', router, 'eth0')
    join(router, 'eth1', client, 'eth0')
    router.router()
    router.ip('addr add 192.168.50.1/24 dev eth0', 'addr add 192.168.60.1/24 dev eth1')
    client.ip(f'addr add {FAR4}/24 dev eth0', 'route add default via 192.168.60.1')
    a.ip(f'addr add {B4}/24 dev eth1',
         'route add default via 192.168.50.1 dev eth1 metric 5000')
    world.openvpn.give_a((*PUSHES['the enclosing prefix'],
                          'route 192.168.50.0 255.255.255.128'))
    client.router2 = router
    yield client
    a.ip('link del eth1')
    client.close()
    router.close()


@pytest.fixture
def far(world, docker):
    with second_lan(world) as client:
        yield client


def another_gateway_answers(program, world, far):
    with guarded(program, world) as guard:
        guard.connected()
        for proto in 'tcp', 'udp':
            got = probe.ask(far, proto, B4, 80)
            assert (got.how, got.by, got.saw) == (How.ANSWERED, 'web', FAR4)
        assert wrong(world) == []


def test_who_comes_by_another_gateway_is_answered_by_it(program, world, far):
    another_gateway_answers(program, world, far)


def test_a_silent_flow_that_is_older_than_the_guard_is_answered(program, world, docker,
                                                                far):
    """The container speaks first after the VPN is up: nothing came in by any
    door since the guard stands. To a client behind the gateway, and to a
    neighbour."""
    flows = [probe.connect(world.laptop, A4, 80), probe.connect(far.router2, B4, 80)]
    service = docker.pid('web')
    for s in flows:
        line(s)
    os.kill(service, signal.SIGSTOP)
    try:
        for s in flows:
            s.sendall(b'still there?\n')
            until(lambda s=s: not struct.unpack(
                'i', fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0], 'it has it', PATIENCE)
        with guarded(program, world) as guard:
            guard.connected()
            os.kill(service, signal.SIGCONT)
            for s in flows:
                assert line(s).endswith(b' still there?\n')
                s.sendall(b'and now?\n')
                assert line(s).endswith(b' and now?\n')
    finally:
        os.kill(service, signal.SIGCONT)
        for s in flows:
            s.close()
