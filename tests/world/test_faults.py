# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that nobody means ill by."""
import ipaddress
import os
import signal
import socket
import struct

import pytest

from lab import probe
from lab.host import PATIENCE, flood_of_nft, stop, stopped, until
from lab.leak import SECRET, Ear, Talker
from lab.sniff import Sniffer, minus
from lab.vpn import OpenVpnServer
from lab.world import (A4, A6, A_VPN4, A_VPN6, LAPTOP4, LAPTOP6, VPN_GW4, VPN_GW6,
                       wrong_answers)

CONF = '''
[room]
publish = 80 80/udp 81/udp
[door office]
vpn = {office}
'''


@pytest.fixture
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate
    world.openvpn.give_a()


def reconnect(gate):
    since = len(gate.log.text())
    os.kill(gate.vpn_pid(), signal.SIGUSR1)
    gate.wait_log('Initialization Sequence Completed', since=since)
    return since


def test_f14_the_vpn_gives_us_the_laptops_own_address(gate, world):
    """The gate asks who came in by which door before it takes it for itself."""
    world.openvpn.give('servera', LAPTOP4, LAPTOP6)
    reconnect(gate)
    until(lambda: sorted(gate.door('office')['addresses']) == [LAPTOP4, LAPTOP6],
          'it is ours')
    for asked in A4, A6:
        for proto in 'tcp', 'udp':
            until(lambda: probe.ask(world.laptop, proto, asked, 80, seconds=1).saw
                  in (LAPTOP4, LAPTOP6), f'{proto} of {asked} is answered')
        # Nobody serves that: an ICMP error says so.
        until(lambda: probe.ask(world.laptop, 'udp', asked, 81, seconds=1).how
              is probe.How.REFUSED, f'{asked} refuses')
    with gate.inner as inner:  # what has no door's mark means the gate itself
        for own in LAPTOP4, LAPTOP6:
            assert inner.out('ip', 'route', 'get', own).startswith('local')
    other = probe.ask(world.laptop2, 'tcp', A4, 80)
    assert other.answered
    six = probe.ask(world.laptop, 'tcp', A6, 80)
    assert six.saw == LAPTOP6
    until(lambda: gate.door('office')['addresses'], 'the door has addresses')
    # TCP does not pass the gate, where the address is its own now.
    assert probe.ask(world.laptop, 'tcp', A4, 80).saw == LAPTOP4


@pytest.mark.parametrize('family', [4, 6])
@pytest.mark.parametrize('which', ['gate', 'host', 'room'])
def test_f15_the_vpn_gives_us_an_address_of_our_own_links(gate, world, which, family):
    own = minus(gate.address(family=family), {'room': 0, 'gate': 1, 'host': 2}[which])
    given = {4: A_VPN4, 6: A_VPN6, family: own}
    world.openvpn.give('servera', given[4], given[6])
    since = reconnect(gate)
    # Of some of them the lan would be answered even if they stayed.
    gate.wait_log('a VPN took an address of our links: they move to', since=since)
    until(lambda: wrong_answers(world, doors=('lan', 'self'), seconds=0.5)
          == [], lambda: 'the lan door answers\n' + gate.log.text())


def test_the_vpns_subnet_holds_our_links(gate, world, sallyport):
    """Renumbered at the next start at the latest; the lan answers always."""
    nets = [ipaddress.ip_interface(f'{gate.address(family=f)}/{size}').network
            for f, size in ((4, 26), (6, 64))]
    world.openvpn.give_a((*OpenVpnServer.PUSH,
                          f'route {nets[0].network_address} 255.255.255.192',
                          f'route-ipv6 {nets[1]}'))
    reconnect(gate)
    assert wrong_answers(world) == []
    gate.stop()
    with sallyport.up('main') as again:
        again.serve('room', 80)
        assert wrong_answers(world) == []


@pytest.fixture
def second(world):
    """Another VPN, which gives the same addresses as the first, as defaults do."""
    host = world.more_internet('vpn2', '203.0.113.98', '2001:db8:203::98')
    server = OpenVpnServer(host, world.keys, world.dir, address='203.0.113.98', port=1195)
    yield server
    server.close()


def test_two_vpns_give_the_same_addresses(world, sallyport, second):
    """And their peers, too, have those of the others."""
    profile = second.profile(f'{world.dir}/second.ovpn', 'servera')
    with sallyport.up('main', CONF.format(office=world.office) +
                      f'[door second]\nvpn = {profile}\n') as gate:
        gate.serve('room', 80)
        for peer in world.vpnsrv, second.host, world.vpnsrv:
            for asked, saw in (A_VPN4, VPN_GW4), (A_VPN6, VPN_GW6):
                assert probe.ping(peer, asked)
                assert probe.ask(peer, 'tcp', asked, 81).how is probe.How.REFUSED
                for proto in 'tcp', 'udp':
                    got = probe.ask(peer, proto, asked, 80)
                    assert (got.by, got.saw) == ('room', saw), (peer.name, asked, proto)
        assert wrong_answers(world) == []
        with gate.inner as inner:
            rules = inner.out('ip', 'rule').splitlines()
            assert len(rules) == len(set(rules)), rules


def test_conntrack_is_flushed_under_a_running_conversation(gate, world):
    flows = [probe.Flow(world.laptop, A4, 80), probe.Flow(world.twin, A_VPN4,
                                                          80)]
    with gate.inner as inner:
        inner.run('conntrack', '-F')
    for flow in flows:
        count = flow.count
        until(lambda: flow.count > count + 20 or flow.error,
              'the conversation goes on')
        assert flow.stop().error is None
    assert wrong_answers(world) == []


# Accepts one client, and speaks first when it is told to.
SPEAKS = ('import socket; l = socket.create_server(("", 82)); print("ready", flush=True); '
          's, _ = l.accept(); print("accepted", flush=True); input(); '
          's.sendall(b"said by the room\\n"); s.recv(9)')


@pytest.mark.parametrize('asker, dst', [('laptop', A4), ('twin', A_VPN4)])
def test_a_connection_that_conntrack_forgot_takes_no_other_door(
        world, sallyport, asker, dst):
    """Its next segment is the room's, which could only leave by another door.
    It waits for the client's."""
    conf = CONF.format(office=world.office).replace('80 80/udp', '82')
    with sallyport.up('main', conf) as gate, gate.inner as inner, \
            Sniffer(world.vpnsrv, 'tun0') as tun, Ear(world) as ear:
        child = world.servera.popen(
            [sallyport.program, 'exec', 'main', '--', '/usr/bin/python3', '-I',
             '-c', SPEAKS], stdin=-1, stdout=-1)
        assert child.stdout.readline() == 'ready\n'
        with probe.connect(world.hosts[asker], dst, 82) as s:
            assert child.stdout.readline() == 'accepted\n'
            # TCP of the lan door is the host's alone to remember.
            where = world.servera if asker == 'laptop' else inner
            where.run('conntrack', '-D', '-p', 'tcp', '--dport', '82')
            child.stdin.write('\n')
            child.stdin.flush()
            with pytest.raises(TimeoutError):
                probe.line(s, probe.SILENCE)
            for wire in tun, ear:
                assert [str(p) for p in wire.seen(
                    lambda p: b'said by the room' in p.payload)] == []
            s.sendall(b'there?')
            assert probe.line(s) == 'said by the room\n'
        stop(child)


def test_f10_the_hosts_own_link_flaps(gate, world):
    """The host's routes are the host's to put back; ours are ours."""
    a = world.servera
    a.ip('link set eth0 down')
    a.ip('link set eth0 up', 'addr replace fd00:16:5::10/64 dev eth0 nodad',
         'route replace default via 172.16.5.1',
         'route replace default via fd00:16:5::1')
    until(lambda: wrong_answers(world, seconds=0.5) == [],
          lambda: 'everybody is answered\n' + gate.log.text())


@pytest.fixture
def bridged(world):
    """Server A's interface becomes a port of a bridge, as for virtual machines; its
    default route of IPv6 is left behind."""
    a = world.servera

    def move(old, new):
        a.ip(f'addr flush dev {old}', f'addr add {A4}/24 dev {new}',
             f'addr add {A6}/64 dev {new} nodad', 'route add default via 172.16.5.1',
             f'route add default via fd00:16:5::1 dev {new} metric 10')

    mac = a.out('cat', '/sys/class/net/eth0/address').strip()
    a.ip(f'link add br0 address {mac} type bridge', 'link set br0 up',
         'link set eth0 master br0')
    move('eth0', 'br0')
    yield
    a.ip('route del default via fd00:16:5::1 dev br0')
    a.ip('link set eth0 nomaster')
    a.run('ip', '-6', 'route', 'flush', 'default')
    move('br0', 'eth0')
    a.ip('link del br0', 'route del default via fd00:16:5::1 dev eth0 metric 10',
         'route add default via fd00:16:5::1')


def test_a_route_that_was_left_behind_on_a_bridges_port(world, sallyport, bridged):
    """The kernel takes no other one like it, as the bridge leads to that router now."""
    routes = world.servera.out('ip', '-6', 'route', 'show', 'default')
    assert 'dev eth0' in routes and 'dev br0' in routes, routes
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        assert wrong_answers(world) == []


def test_the_host_gets_another_address(gate, world):
    world.servera.ip('addr add 172.16.5.13/24 dev eth0')
    try:
        assert probe.ask(world.laptop, 'tcp', '172.16.5.13', 80).saw == LAPTOP4
    finally:
        world.servera.ip('addr del 172.16.5.13/24 dev eth0')


def test_a_flood_of_foreign_routes_loses_nothing(gate, world):
    """10,000 routes overflow a netlink socket: a removal among them is still
    put right."""
    with gate.inner as inner:
        rule = next(l for l in inner.out('ip', '-4', 'rule').splitlines()
                    if l.startswith('0:') and 'fwmark' in l)
        selector = rule.split(':', 1)[1]
        nets = [f'10.{i >> 8}.{i & 255}.0/24' for i in range(10000)]
        inner.ip(*[f'route add {n} dev office' for n in nets[:5000]],
                 f'rule del pref 0 {selector}',
                 *[f'route add {n} dev office' for n in nets[5000:]])
        until(lambda: selector.strip() in inner.out('ip', '-4', 'rule'),
              'the rule is back')
    assert wrong_answers(world) == []


@pytest.mark.parametrize('where', ['gate', 'host'])
def test_that_news_was_lost_is_enough_to_look_anew(gate, world, where):
    """Nothing that is heard says that our nft table is gone."""
    with gate.inner as inner:
        host, table = {'gate': (inner, 'sallyport-main'),
                       'host': (world.servera, 'sallyport')}[where]
        since = len(gate.log.text())
        with stopped(gate.child.pid):
            flood_of_nft(host, lambda: host.run('nft', 'delete', 'table', 'inet', table))
        gate.wait_log('repaired:', f'nft table inet {table}', since=since)
        until(lambda: wrong_answers(world, seconds=1) == [], gate.log.text)
        host.run('nft', 'delete', 'table', 'inet', 'flood')


def test_the_service_restarts_and_nothing_else(gate, world):
    service = gate.children.pop()
    service.kill()
    service.wait()
    assert probe.ask(world.laptop, 'tcp', A4, 80).how is probe.How.REFUSED
    gate.serve('again', 80)
    assert wrong_answers(world, by='again') == []


def test_pings_of_the_lan_client_by_both_doors_at_once(gate, world):
    for host, dst in ((world.laptop, A4), (world.twin, A_VPN4)) * 3:
        assert probe.ping(host, dst)


def test_only_the_supervisor_speaks_to_the_service_manager(world, sallyport):
    """READY=1 of a VPN client would be believed too early."""
    sallyport.write('said', CONF.format(office=world.office).replace(
        '80 80/udp', '8055'))
    gate = sallyport.up('said', ready=False)
    with gate:
        gate.notify.socket.setsockopt(socket.SOL_SOCKET, 16, 1)  # PASSCRED
        gate.notify.socket.settimeout(PATIENCE)
        said = {}
        while not any('READY=1' in text for text in said):
            data, control, _, _ = gate.notify.socket.recvmsg(4096, 256)
            said[data.decode()] = struct.unpack('iii', control[0][2])[0]
        assert set(said.values()) == {gate.child.pid}
        pid = gate.vpn_pid()
        with open(f'/proc/{pid}/environ') as f:
            assert 'NOTIFY_SOCKET' not in f.read()
        gate.stop()
        gate.notify.socket.settimeout(PATIENCE)
        while gate.notify.socket.recv(4096) != b'STOPPING=1':
            pass


def test_it_is_not_ready_before_every_door_answers(world, sallyport):
    world.openvpn.close()
    gate = sallyport.up('later', CONF.format(office=world.office).replace(
        '80 80/udp', '8056'), ready=False)
    with gate:
        gate.wait_log('lan door answers')
        gate.wait_door('office', 'connecting')
        gate.notify.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            gate.notify.socket.recv(4096)
        gate.notify.socket.setblocking(True)
        world.openvpn_again()
        gate.wait_ready()
        assert gate.door('office')['state'] == 'up'


def test_a_room_that_floods_does_not_leak_while_rules_are_flapped(gate, world):
    """F9 under load: our rules are deleted again and again."""
    with gate.inner as inner, gate.room() as room, Ear(world) as ear, \
            Sniffer(inner, 'lan') as lan:
        talker = Talker(room)
        rules = {family: [l.split(':', 1)[1].replace('[detached]', '') for l in
                          inner.out('ip', family, 'rule').splitlines()
                          if l.startswith('0:') and 'local' not in l]
                 for family in ('-4', '-6')}
        assert len(rules['-4']) > 3 and len(rules['-6']) > 3
        gone = 0
        for _ in range(10):
            for family, lines in rules.items():
                for line in lines:
                    gone += not inner.run('ip', family, 'rule', 'del', 'pref', '0',
                                          *line.split(), ok=False).returncode
        assert gone > 20
        with stopped(gate.child.pid):  # and once none of them is put back
            for family, lines in rules.items():
                for line in lines:
                    inner.run('ip', family, 'rule', 'del', 'pref', '0', *line.split(), ok=False)
            talker.said(20)
            talker.connect_all()
        talker.stop()
        assert ear.heard() == []
        # The host would drop it, too.
        assert [str(p) for p in lan.seen(lambda p: SECRET in p.payload)] == []
    until(lambda: wrong_answers(world, seconds=0.5) == [], 'all is right')
