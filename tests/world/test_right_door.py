# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever comes in by a door is answered by that door."""
import socket
import time

import pytest

from lab import probe
from lab.host import PATIENCE, until
from lab.probe import How
from lab.sniff import Sniffer, minus
from lab.world import (A4, A6, A_VPN4, A_VPN6, LAPTOP4, LAPTOP6,
                       VPN_GW4, VPN_GW6, wrong_answers)

CONF = '''
[room]
publish = 80 80/udp 82 82/udp
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module', params=['strict', 'loose', 'off'])
def gate(request, world, sallyport):
    """With every rp_filter setting that the host can have. In the gate strict
    is the program's own choice."""
    value = {'off': 0, 'strict': 1, 'loose': 2}[request.param]
    for where in ('all', 'default', 'eth0'):
        world.servera.sysctl(f'net/ipv4/conf/{where}/rp_filter', value)
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        with gate.inner as inner:
            inner.sysctl('net/ipv4/conf/all/rp_filter', 1)
        gate.serve('room', 80)
        yield gate


def test_tcp_and_wildcard_udp_ipv4_and_ipv6(gate, world):
    assert wrong_answers(world) == []


def forget(*ends):
    """Nobody knows any longer which hardware address his neighbour has."""
    for host, link in ends:
        host.run('ip', 'neigh', 'flush', 'dev', link)


def test_the_host_asks_who_has_the_gate_as_its_end_of_the_link(gate, world):
    """Not as the address that its packet says: a VPN claims that one, and to a
    question of it a strict gate says nothing."""
    with gate.inner as inner, \
            Sniffer(inner, 'lan', (world.servera, 'sp-main')) as lan:
        forget((world.servera, 'sp-main'), (inner, 'lan'))
        assert probe.ask(world.servera, 'udp', A4, 80).saw == A4
        lan.seen()
        senders = {socket.inet_ntoa(arp[14:18]) for arp in lan.arps}
    ends = {minus(gate.address(), 1), minus(gate.address(), 2)}
    assert senders and senders <= ends


@pytest.mark.parametrize('dst', [VPN_GW4, VPN_GW6])
def test_a_room_asks_who_has_the_gate_first_of_all(gate, dst):
    with gate.inner as inner, gate.room() as room:
        forget((room, 'eth0'), (inner, 'room'))
        assert probe.ping(room, dst)


@pytest.mark.parametrize('asker, dst', [
    ('laptop', A4), ('laptop', A6), ('serverb', A_VPN4), ('serverb', A_VPN6),
    ('twin', A_VPN4), ('twin', A_VPN6)])
def test_echo_is_answered(gate, world, asker, dst):
    assert probe.ping(world.hosts[asker], dst)


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('asker, dst', [
    ('laptop', A4), ('laptop', A6), ('serverb', A_VPN4), ('serverb', A_VPN6),
    ('twin', A_VPN4), ('twin', A_VPN6)])
def test_a_closed_port_refuses_at_once_by_the_right_door(gate, world, asker,
                                                         dst, proto):
    """Published, but nobody listens: the RST or ICMP error must find home."""
    assert probe.ask(world.hosts[asker], proto, dst, 82).how is How.REFUSED


@pytest.mark.parametrize('asker, dst', [('serverb', A_VPN4), ('twin', A_VPN6)])
def test_a_port_that_is_not_published_is_refused_by_the_vpn_door(
        gate, world, asker, dst):
    assert probe.ask(world.hosts[asker], 'tcp', dst, 83).how is How.REFUSED


@pytest.mark.parametrize('mine, theirs', [(A4, A_VPN4), (A6, A_VPN6)],
                         ids=['ipv4', 'ipv6'])
def test_same_address_and_port_on_both_doors_tcp(gate, world, mine, theirs):
    saw = LAPTOP6 if ':' in mine else LAPTOP4
    flows = [probe.Flow(world.laptop, mine, 80, sport=40001),
             probe.Flow(world.twin, theirs, 80, sport=40001)]
    until(lambda: min(f.count for f in flows) >= 50 or
          any(f.error for f in flows), 'both conversations go on')
    for flow in flows:
        flow.stop()
        assert flow.error is None and flow.count >= 50
        assert flow.greeting.split()[1] == saw
        # The doors lead to two addresses of the room, so both keep their port.
        assert flow.greeting.split()[2] == '40001'


@pytest.mark.parametrize('mine, theirs', [(A4, A_VPN4), (A6, A_VPN6)],
                         ids=['ipv4', 'ipv6'])
def test_same_address_and_port_on_both_doors_udp_pipelined(gate, world, mine,
                                                           theirs):
    """All questions are under way before the first answer is read; each side
    must get its own answers, from the address that it asked."""
    asked = {}
    for host, dst in ((world.laptop, mine), (world.twin, theirs)):
        s = probe._socket(host, dst, probe.socket.SOCK_DGRAM, '', 40002)
        asked[host.name] = (s, dst)
    for i in range(50):
        for name, (s, dst) in asked.items():
            s.sendto(f'{name}-{i}'.encode(), (dst, 80))
    for name, (s, dst) in asked.items():
        got = set()
        end = time.monotonic() + PATIENCE
        while len(got) < 50 and probe._wait(s, probe.select.POLLIN, end):
            data, addr = s.recvfrom(2048)
            assert addr[0] == dst
            got.add(data.decode().split()[-1])
        s.close()
        assert got == {f'{name}-{i}' for i in range(50)}


@pytest.mark.parametrize('dst', [A4, A6])
def test_a_narrow_hop_on_the_lan_is_found(gate, world, dst):
    """ICMP "too big" of a router behind the lan door reaches the service."""
    world.core.ip('link set laptop3 mtu 1280')
    try:
        assert probe.fetch(world.laptop3, dst, 80, 300000) == 300000
    finally:
        world.core.ip('link set laptop3 mtu 1500', 'link set br77 mtu 1500')


@pytest.mark.parametrize('dst', [A_VPN4, A_VPN6])
def test_a_narrow_hop_behind_the_vpn_is_found(gate, world, dst):
    world.vpnsrv.ip('link set twin mtu 1280')
    try:
        assert probe.fetch(world.twin, dst, 80, 300000) == 300000
    finally:
        world.vpnsrv.ip('link set twin mtu 1500')


@pytest.mark.parametrize('asker, dst', [
    ('laptop', A4), ('laptop', A6), ('serverb', A_VPN4), ('serverb', A_VPN6)])
def test_big_answers_arrive_whole(gate, world, asker, dst):
    assert probe.fetch(world.hosts[asker], dst, 80, 3000000) == 3000000


@pytest.mark.parametrize('size', [100, 1400, 1500, 3000, 8000])
@pytest.mark.parametrize('asker, dst', [
    ('laptop', A4), ('laptop', A6), ('serverb', A_VPN4), ('serverb', A_VPN6)])
def test_datagrams_of_every_size_are_answered(gate, world, asker, dst, size):
    got = probe.udp(world.hosts[asker], dst, 80, payload='x' * size)
    assert got.answered and got.source == dst
