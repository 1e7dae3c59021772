# SPDX-License-Identifier: GPL-2.0-or-later
"""The short link: TCP of the lan door goes past the gate, straight to the room.

What the gate would have kept in or out must stay so: whoever is root in the room
may send on that link what he likes, so here it is injected. The rooms are of the
most permissive kind, with default = lan. Negative controls: from a plain
namespace the same goes through, and by the gate what may go is heard.
"""
import os
import re
import socket
import struct

import pytest

from lab import probe
from lab.host import until
from lab.leak import SECRET
from lab.probe import How
from lab.sniff import (Sniffer, forged, icmp_packet, inject, mac, minus, tcp_packet,
                       told, udp_packet)
from lab.world import (A4, A6, A_VPN4, B_INET4, B_INET6, B_VPN4, B_VPN6, LAPTOP2_4,
                       LAPTOP2_6, LAPTOP4, LAPTOP6, MALLORY4, MALLORY6,
                       wrong_answers)

SYN, SYN_FIN, ACK, RST = 0x02, 0x03, 0x10, 0x04

CONF = '''
[room]
default = lan
publish = 80 80/udp 85
[room other]
publish = 8080:80
[room quiet]
publish = 53/udp
[door office]
vpn = {office}
'''
FAMILIES = pytest.mark.parametrize('family', [4, 6])
AIMS = {4: (LAPTOP2_4, MALLORY4, B_VPN4, B_INET4),
        6: (LAPTOP2_6, MALLORY6, B_VPN6, B_INET6)}


def of_interface(where, link, family):
    """The address on @link that is not link-local."""
    shown = where.out('ip', '-o', f'-{family}', 'addr', 'show', 'dev', link)
    return next(w.split('/')[0] for l in shown.splitlines()
                for w in l.split()[3:4] if not w.startswith('fe80'))


@pytest.fixture(scope='module')
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80, 90)
        gate.serve('other', 80, room='other')
        with gate.room() as room:
            gate.own = {f: of_interface(room, 'eth0', f) for f in (4, 6)}
            gate.short = {f: of_interface(room, 'lan0', f) for f in (4, 6)}
        gate.host_end = short_links(world)[0]
        yield gate


@pytest.fixture
def room(gate):
    with gate.room() as room:
        yield room


def short_links(world):
    shown = world.servera.out('ip', '-o', 'link').splitlines()
    return sorted(l.split(':')[1].split('@')[0].strip() for l in shown if ' sp-' in l and
                  '.' in l.split(':')[1])


def packets(where, link):
    """In and out."""
    line = next(l for l in where.out('cat', '/proc/net/dev').splitlines()
                if l.split(':')[0].strip() == link).split(':')[1].split()
    return int(line[1]), int(line[9])


# What it is for -----------------------------------------------------------------

@pytest.mark.parametrize('dst, saw', [(A4, LAPTOP4), (A6, LAPTOP6)], ids=['ipv4', 'ipv6'])
def test_tcp_of_the_lan_door_does_not_pass_the_gate(gate, world, room, dst, saw):
    with gate.inner as inner:
        before, by_gate = packets(room, 'lan0'), packets(inner, 'lan')
        counted = gate.door('lan')['packets_in']
        flow = probe.Flow(world.laptop, dst, 80)
        until(lambda: flow.count > 300 or flow.error, 'the conversation goes on')
        flow.stop()
        assert flow.error is None and flow.greeting.split()[1] == saw
        after = packets(room, 'lan0')
        assert min(after[i] - before[i] for i in (0, 1)) > 300
        # The VPN client's own packets do.
        assert packets(inner, 'lan')[0] - by_gate[0] < 300
        assert gate.door('lan')['packets_in'] - counted > 300


def test_udp_of_the_lan_door_passes_the_gate(gate, world):
    """A wildcard-bound socket answers from where its route leads."""
    with gate.inner as inner:
        before = packets(inner, 'lan')
        for _ in range(20):
            assert probe.udp(world.laptop, A4, 80).answered
        assert packets(inner, 'lan')[0] - before[0] >= 20


def test_every_room_with_a_tcp_port_has_its_own(gate, world):
    assert len(short_links(world)) == 2
    assert probe.ask(world.laptop, 'tcp', A4, 8080).by == 'other'
    with gate.room('quiet') as quiet:
        assert 'lan0@' not in quiet.out('ip', 'link')


@pytest.mark.parametrize('dst', [A4, A6], ids=['ipv4', 'ipv6'])
@pytest.mark.parametrize('asker', ['laptop', 'mallory', 'servera'])
def test_a_published_port_where_nobody_listens_is_refused(gate, world, asker, dst):
    assert probe.ask(world.hosts[asker], 'tcp', dst, 85).how is How.REFUSED


@pytest.mark.parametrize('dst, client', [(A4, LAPTOP4), (A6, LAPTOP6)], ids=['ipv4', 'ipv6'])
def test_a_narrow_path_behind_the_lan_is_heard_of(gate, world, room, dst, client):
    world.core.ip('link set br9 mtu 1280')
    try:
        assert probe.fetch(world.laptop, dst, 80, 1 << 20) == 1 << 20
        family = 6 if ':' in dst else 4
        assert 'mtu 1280' in room.out('ip', 'route', 'get', client, 'from',
                                      gate.short[family])
    finally:
        world.core.ip('link set br9 mtu 1500')
        room.run('ip', 'route', 'flush', 'cache')
        room.run('ip', '-6', 'route', 'flush', 'cache')


# Nothing begins on it -------------------------------------------------------------

def speaks(room, src, aims, port=4444):
    """A program that asks for the address @src."""
    family = probe.family_of(aims[0])
    icmp = socket.IPPROTO_ICMPV6 if ':' in src else socket.IPPROTO_ICMP
    for aim in aims:
        for kind, proto in ((socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, 0),
                            (socket.SOCK_DGRAM, icmp)):
            with room.socket(family, kind, proto) as s:
                s.bind((src, 0))
                try:
                    s.connect((aim, port))
                    s.send(struct.pack('!BBHHH', 128 if ':' in src else 8, 0, 0, 1, 1) + SECRET)
                except OSError:
                    pass


def said(p):
    return SECRET in p.payload or p.dport == 4444


@FAMILIES
def test_control_by_the_gate_a_room_is_heard_that_may_reach_the_lan(gate, world, room, ear,
                                                                    family):
    def heard():
        speaks(room, gate.own[family], AIMS[family])
        return ear.seen(lambda p: said(p) and p.dst in (B_INET4, B_INET6))
    assert until(heard, 'the room is heard')


@FAMILIES
def test_a_program_that_asks_for_that_address_reaches_nobody(gate, world, room, ear, family):
    with Sniffer(world.vpnsrv, 'tun0') as tun:
        for _ in range(3):
            speaks(room, gate.short[family], AIMS[family])
        assert wrong_answers(world) == []  # all is through
        assert [str(p) for p in ear.seen(said)] == []
        assert [str(p) for p in tun.seen(said)] == []


@FAMILIES
def test_nothing_that_is_put_on_the_link_leaves_the_host(gate, world, room, ear, family):
    to = mac(world.servera, gate.host_end)
    own, short = gate.own[family], gate.short[family]
    neighbour = {4: LAPTOP4, 6: LAPTOP6}[family]
    head, sep, last = own.rpartition('.' if family == 4 else ':')
    base = int(last) if family == 4 else int(last, 16)
    slot = [f'{head}{sep}{base + n:x}' if family == 6 else f'{head}{sep}{base + n}'
            for n in (-2, -1, 1, 31)]  # host, gate, another room, its other address
    for src in (short, own, neighbour, *slot):
        for dst in AIMS[family]:
            for flags in (SYN, ACK, RST, SYN_FIN):
                inject(room, 'lan0', to, tcp_packet(src, 80, dst, 4444, flags))
            inject(room, 'lan0', to, udp_packet(src, 4443, dst, 4444, SECRET))
            inject(room, 'lan0', to, icmp_packet(
                src, dst, 128 if family == 6 else 8, 0, bytes(4), SECRET))
    assert probe.ask(world.laptop, 'tcp', A4, 80).answered  # all is through
    assert [str(p) for p in ear.seen(said)] == []


# Nor comes in by it -----------------------------------------------------------------

def test_control_a_plain_room_speaks_for_a_neighbour(world, plain):
    assert forged(world, plain.room, 'eth0', mac(world.servera, 'plain0'), A4, LAPTOP2_4)


def test_a_room_does_not_speak_for_a_neighbour(gate, world, room):
    assert not forged(world, room, 'lan0', mac(world.servera, gate.host_end), A4, LAPTOP2_4)


def too_big(world, where, link, to, src):
    """@where tells the host that a path is narrow which it has no part in. Is it
    believed? About UDP: for TCP the kernel asks for the right sequence number."""
    child = world.serve(world.servera, 'host', 9393)
    try:
        assert probe.udp(world.laptop2, A4, 9393, sport=4501).answered
        quoted = udp_packet(A4, 9393, LAPTOP2_4, 4501, bytes(1400))[:28]
        inject(where, link, to, icmp_packet(src, A4, 3, 4, struct.pack('!HH', 0, 900), quoted))
        assert probe.udp(world.laptop2, A4, 9393, sport=4501).answered
        return 'mtu 900' in world.servera.out('ip', 'route', 'get', LAPTOP2_4)
    finally:
        child.kill()
        world.servera.run('ip', 'route', 'flush', 'cache')


def test_control_a_plain_room_narrows_the_hosts_paths(world, plain):
    assert too_big(world, plain.room, 'eth0', mac(world.servera, 'plain0'), '10.200.0.2')


def test_a_room_does_not_narrow_the_hosts_paths(gate, world, room):
    to = mac(world.servera, gate.host_end)
    for src in (gate.short[4], gate.own[4], LAPTOP2_4):
        assert not too_big(world, room, 'lan0', to, src)


@FAMILIES
def test_a_room_does_not_reach_the_host_by_it(gate, world, room, family):
    child = world.serve(world.servera, 'host', 9494)
    try:
        short = world.servera.out('ip', '-6', '-o', 'addr', 'show', 'dev', gate.host_end)
        upper = re.search(r'inet6 (fe80:[^/]+)', short).group(1)
        for dst in {4: (A4, '127.0.0.1'), 6: (A6, f'{upper}%lan0')}[family]:
            got = probe.tcp(room, dst, 9494, src=gate.short[family], seconds=probe.SILENCE)
            assert got.how in (How.SILENT, How.UNREACHABLE, How.REFUSED), (dst, got)
            assert got.by != 'host'
        if family == 4:
            assert probe.tcp(room, minus(gate.own[4], 2), 9494).by == 'host'  # by the gate
    finally:
        child.kill()


def test_a_room_does_not_reach_another_one_by_it(gate, world, room):
    with gate.room('other') as other:
        for family in (4, 6):
            for dst in (of_interface(other, 'lan0', family), of_interface(other, 'eth0', family)):
                got = probe.tcp(room, dst, 80, src=gate.short[family], seconds=probe.SILENCE)
                assert got.how in (How.SILENT, How.UNREACHABLE), (dst, got)


@pytest.mark.parametrize('port', [80, 90])
@FAMILIES
def test_a_neighbour_does_not_route_to_it(gate, world, family, port):
    dst, via = gate.short[family], {4: A4, 6: A6}[family]
    world.mallory.ip(f'route add {dst} via {via}')
    try:
        got = probe.tcp(world.mallory, dst, port, seconds=probe.SILENCE)
    finally:
        world.mallory.ip(f'route del {dst} via {via}')
    assert got.how in (How.SILENT, How.UNREACHABLE)


def test_no_vpn_peer_knows_its_address(gate, world):
    world.vpnsrv.ip(f'route add {gate.short[4]} via {A_VPN4} dev tun0')
    try:
        assert probe.tcp(world.vpnsrv, gate.short[4], 80,
                         seconds=probe.SILENCE).how is not How.ANSWERED
    finally:
        world.vpnsrv.ip(f'route del {gate.short[4]} via {A_VPN4} dev tun0')


def test_a_room_learns_no_address_of_the_host_by_it(gate, world, room):
    assert told(room, 'lan0', gate.short[4], minus(gate.own[4], 2))
    assert not told(room, 'lan0', gate.short[4], A4)


# It comes and goes with what is asked for ---------------------------------------------

def answered(world, port=80):
    return [probe.tcp(world.laptop, dst, port, seconds=1).how for dst in (A4, A6)] == \
        [How.ANSWERED] * 2


@pytest.mark.parametrize('place, argv', [
    ('host', 'link del {link}'), ('host', 'link set {link} down'),
    ('host', 'addr flush dev {link}'), ('host', 'link set {link} alias nobody'),
    ('room', 'link del lan0'), ('room', 'link set lan0 down'), ('room', 'addr flush dev lan0'),
    ('room', 'rule del from {short4} pref 0'), ('room', '-6 rule del from {short6} pref 0'),
    ('room', 'route flush table 5901'), ('room', '-6 route flush table 5901'),
])
def test_what_is_removed_of_it_comes_back(gate, world, room, place, argv):
    where = {'host': world.servera, 'room': room}[place]
    since = len(gate.log.text())
    where.run('ip', *argv.format(link=gate.host_end, short4=gate.short[4],
                                   short6=gate.short[6]).split())
    until(lambda: gate.log.text()[since:].strip(), 'the log says so')
    until(lambda: answered(world), lambda: 'all are answered\n' + gate.log.text()[since:])
    assert wrong_answers(world) == []


def test_conversations_outlive_the_supervisor(gate, world):
    flow = probe.Flow(world.laptop, A4, 80)
    gate.kill9()
    before = flow.count
    until(lambda: flow.count > before + 50 or flow.error, 'the conversation goes on')
    assert answered(world)
    flow.stop()
    assert flow.error is None
    assert gate.down().returncode == 0
    assert short_links(world) == []


def test_a_gate_taken_over_has_those_that_it_needs_now(world, sallyport):
    both = '[room]\npublish = 80\n[room b]\npublish = 81:80\n'
    with sallyport.up('main', both) as gate:
        assert len(short_links(world)) == 2
        gate.kill9()
        with sallyport.up('main', '[room]\npublish = 80/udp\n[room b]\npublish = 81:80\n') as gate:
            gate.serve('b', 80, room='b')
            assert [l[-2:] for l in short_links(world)] == ['.1']
            assert probe.ask(world.laptop, 'tcp', A4, 81).by == 'b'
            with gate.room() as room:
                assert 'lan0@' not in room.out('ip', 'link')
    assert short_links(world) == []
    assert not os.path.exists(world.servera.path('/run/netns/main'))
