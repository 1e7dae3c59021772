# SPDX-License-Identifier: GPL-2.0-or-later
"""Closed before open: nothing of a room leaves by the lan door."""
import os
import signal

import pytest

from lab import probe
from lab.host import stopped, until
from lab.leak import AIMS, Ear, Talker
from lab.sniff import ICMP, ICMPV6, TCP, Sniffer
from lab.vpn import OpenVpnServer
from lab.world import (A4, B_INET4, B_VPN4, B_VPN6, LAPTOP2_4, LAPTOP2_6,
                       LAPTOP4, wrong_answers)

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''
EVERYTHING = ('redirect-gateway def1 ipv6',)


@pytest.fixture(autouse=True)
def plain_pushes_afterwards(world):
    yield
    world.openvpn.give_a()


@pytest.fixture
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        yield gate


@pytest.fixture
def talker(gate):
    with gate.room() as room:
        talker = Talker(room)
        yield talker
        talker.stop()


def test_control_a_room_that_may_is_heard(world, sallyport, ear):
    """default = lan: the ear hears a talker, so silence means something."""
    conf = '[room]\ndefault = lan\n'
    with sallyport.up('open', conf) as gate, gate.room() as room:
        talker = Talker(room)
        talker.said()
        for aim in AIMS:  # neighbours are asked for first, and that takes time
            assert ear.wait_for(lambda p: p.dport == 4444 and p.dst == aim)
        talker.connect_all()
        for proto in TCP, ICMP, ICMPV6:
            for aim in AIMS:
                if proto == TCP or (proto == ICMPV6) == (':' in aim):
                    assert ear.wait_for(lambda p: p.proto == proto and p.dst == aim)
        talker.stop()
        heard = ear.seen(lambda p: p.dport == 4444)
    assert {p.dst for p in heard} == set(AIMS)
    assert {p.src for p in heard} == {A4, 'fd00:16:5::10'}


@pytest.mark.parametrize('push', [OpenVpnServer.PUSH, EVERYTHING, ()],
                         ids=['the range', 'everything', 'nothing'])
def test_nothing_leaks_while_the_tunnel_is_up(world, sallyport, ear, push):
    world.openvpn.give_a(push)
    with sallyport.up('main', CONF.format(office=world.office)) as gate, \
            gate.room() as room, Sniffer(world.vpnsrv, 'tun0') as tun:
        talker = Talker(room)
        talker.said()
        talker.connect_all()
        talker.stop()
        assert ear.heard() == []
        # It is not merely dropped: what the VPN claims goes there.
        if push:
            assert tun.wait_for(lambda p: p.dst == B_VPN4 and p.dport == 4444)
            assert tun.wait_for(lambda p: p.dst == B_VPN6 and p.dport == 4444)
        else:
            assert tun.wait_for(lambda p: p.dst == B_INET4), 'default = vpn'


def can_be_entered(gate):
    """Its name is there a moment before it."""
    try:
        with gate.room() as room, room.inside():
            return True
    except OSError:
        return False


def test_nothing_leaks_from_before_the_client_starts_until_it_is_up(
        world, sallyport, ear):
    world.openvpn.close()
    gate = sallyport.up('main', CONF.format(office=world.office), ready=False)
    with gate:
        until(lambda: can_be_entered(gate), 'the room is there')
        with gate.room() as room:
            talker = Talker(room)
            talker.said()
            talker.connect_all()
            world.openvpn_again()
            gate.wait_ready()
            talker.said()
            talker.connect_all()
            talker.stop()
    assert ear.heard() == []


@pytest.mark.parametrize('sig', ['SIGUSR1', 'SIGHUP', 'SIGTERM', 'SIGKILL'])
@pytest.mark.parametrize('push', [OpenVpnServer.PUSH, EVERYTHING],
                         ids=['the range', 'everything'])
def test_nothing_leaks_while_the_client_is_hit(world, sallyport, ear, sig, push):
    world.openvpn.give_a(push)
    with sallyport.up('main', CONF.format(office=world.office)) as gate, \
            gate.room() as room:
        talker = Talker(room)
        since = len(gate.log.text())
        os.kill(gate.vpn_pid(), signal.Signals[sig])
        talker.said(20)
        talker.connect_all()
        gate.wait_log('Initialization Sequence Completed', since=since)
        talker.said(20)
        talker.stop()
    assert ear.heard() == []


def test_nothing_leaks_after_kill_9_of_sallyport_and_of_the_client(
        world, gate, talker, ear):
    client = gate.vpn_pid()
    gate.kill9()
    talker.said()
    talker.connect_all()
    if os.path.exists(f'/proc/{client}'):
        try:
            os.kill(client, signal.SIGKILL)
        except ProcessLookupError:
            pass
    talker.said()
    talker.connect_all()
    gate.down()
    talker.said()
    assert ear.heard() == []


@pytest.mark.parametrize('how', ['down', 'SIGTERM', 'SIGINT'])
def test_nothing_leaks_while_the_gate_is_taken_away(world, gate, talker, ear,
                                                    how):
    if how == 'down':
        assert gate.down().returncode == 0
    else:
        gate.stop(signal.Signals[how])
    talker.said()
    assert ear.heard() == []


def test_nothing_leaks_while_the_gate_stands_without_any_vpn(world, sallyport,
                                                             ear):
    with sallyport.up('main', '[room]\npublish = 80\n') as gate, \
            gate.room() as room:
        talker = Talker(room)
        talker.said()
        talker.connect_all()
        talker.stop()
    assert ear.heard() == []


def test_established_connections_of_the_tunnel_do_not_move_to_the_lan(
        world, gate, ear):
    """Finding 9: a guard that says "established" leaks here."""
    gate.serve('room', 80)
    flow = probe.Flow(world.twin, '172.20.0.10', 80, patience=2)
    until(lambda: flow.count > 20, 'the conversation goes on')
    ear.forget()
    with gate.inner as inner:
        inner.run('ip', 'link', 'set', 'office', 'down', ok=False)
    until(lambda: flow.socket and probe.ask(
        world.laptop, 'tcp', A4, 80).answered, 'the lan door answers')
    flow.stop()
    # Nothing of that conversation: to the laptop's address only from port 80
    # of conversations that the laptop itself began.
    port = int(flow.greeting.split()[2])
    assert ear.seen(lambda p: p.dport == port and p.dst == LAPTOP4) == []


def nothing_is_heard(ear, room, talker):
    """Of what is said already, and of what begins."""
    late = Talker(room, port=4445)
    for talks in talker, late:
        talks.said()
        talks.connect_all()
    late.stop()
    assert ear.heard(4444) == ear.heard(4445) == []


def test_nothing_leaks_when_the_vpns_routes_are_withdrawn(world, gate, talker,
                                                         ear):
    """F3: the tunnel stays, and what main says of its range is the LAN's now. What
    was said before has its door's mark; who begins to talk now has none. Nobody puts
    the routes back meanwhile."""
    with gate.inner as inner, gate.room() as room, stopped(gate.child.pid), \
            Sniffer(world.vpnsrv, 'tun0') as tun:
        for family in '-4', '-6':
            inner.run('ip', family, 'route', 'flush', 'dev', 'office', 'table', 'main')
        for aim in B_VPN4, B_VPN6:
            assert 'dev lan' in inner.out('ip', 'route', 'get', aim)
        nothing_is_heard(ear, room, talker)
        for aim in B_VPN4, B_VPN6:  # by default = vpn
            assert tun.wait_for(lambda p: p.dst == aim and p.dport == 4445)


@pytest.mark.parametrize('fault', ['link set office down', 'link del office',
                                   'link set office name elsewhere'])
def test_nothing_leaks_when_the_tunnel_itself_goes(world, gate, talker, ear, fault):
    """F1, F2, with nobody to repair it: neither what is said already nor what begins."""
    talker.said()
    ear.forget()
    with gate.inner as inner, gate.room() as room, stopped(gate.child.pid):
        inner.run('ip', *fault.split(), ok='name' not in fault)
        nothing_is_heard(ear, room, talker)


def test_reach_lets_out_what_it_names_and_no_more(world, sallyport, ear):
    conf = CONF.format(office=world.office).replace(
        '[room]', f'[room]\nreach = {LAPTOP2_4} {LAPTOP2_6}/128')
    with sallyport.up('main', conf) as gate, gate.room() as room:
        talker = Talker(room)
        talker.said()
        talker.connect_all()
        talker.stop()
        heard = ear.seen(lambda p: p.dport == 4444)
    assert {p.dst for p in heard} == {LAPTOP2_4, LAPTOP2_6}


def test_an_ipv4_only_vpn_does_not_leak_ipv6(world, sallyport, ear):
    """A13."""
    world.openvpn.give('servera', '172.20.0.10', None,
                       ('redirect-gateway def1',))
    conf = CONF.format(office=world.office)
    with sallyport.up('main', conf) as gate, gate.room() as room:
        talker = Talker(room)
        talker.said()
        talker.connect_all()
        talker.stop()
        gate.serve('room', 80)
        assert wrong_answers(world, families=(4,)) == []
        assert wrong_answers(world, families=(6,), doors=('lan', 'self')) == []
    assert ear.heard() == []


def test_a_vpn_server_that_is_never_there_leaks_nothing(world, sallyport, ear):
    """F20: the service runs long before there is a tunnel."""
    path = world.openvpn.profile(f'{world.dir}/dead.ovpn', 'servera',
                                 ['198.51.100.99 1194 udp'])
    conf = CONF.format(office=path)
    gate = sallyport.up('main', conf, ready=False)
    with gate:
        gate.wait_log('lan door answers')
        gate.serve('room', 80)
        with gate.room() as room:
            talker = Talker(room)
            talker.said()
            talker.connect_all()
            talker.stop()
        assert wrong_answers(world, doors=('lan', 'self')) == []
        assert ear.heard() == []


# WireGuard --------------------------------------------------------------

@pytest.fixture(scope='module')
def partner(wide_world):
    """Claims everything, so that all is told apart by the kill switch alone."""
    return wide_world.partner_server.conf(f'{wide_world.dir}/leak.conf',
                                          allowed='0.0.0.0/0, ::/0')


def test_nothing_leaks_by_wireguards_side_either(wide_world, wide, partner):
    """From before its client starts, while that and then sallyport are killed, until
    after it is gone."""
    gate = wide.up('main', CONF.format(office=partner), ready=False)
    with Ear(wide_world) as ear, gate:
        until(lambda: can_be_entered(gate), 'the room is there')
        with gate.room() as room:
            talker = Talker(room)
            talker.said()
            talker.connect_all()
            gate.wait_ready()
            for end in (lambda: os.kill(gate.vpn_pid('wireguard-go'), signal.SIGKILL),
                        gate.kill9, gate.down):
                end()
                talker.said()
                talker.connect_all()
            talker.stop()
        assert ear.heard() == []


# Names ------------------------------------------------------------------

LAN_RESOLVER = 'nameserver 172.16.5.1\n'


def ask_name():
    return ['/usr/bin/python3', '-I', '-c', 'import socket\n'
            'try: socket.getaddrinfo("secret.example", 1)\n'
            'except OSError as e: print(e)']


@pytest.fixture
def lan_resolver(world):
    path = world.servera.path('/etc/resolv.conf')
    with open(path, 'w') as f:
        f.write(LAN_RESOLVER + 'options timeout:1 attempts:1\n')
    yield
    os.unlink(path)


def test_control_the_host_asks_its_lan_resolver(world, lan_resolver, ear):
    world.servera.run(*ask_name())
    assert ear.seen(lambda p: p.dport == 53)


def test_a_room_asks_the_resolver_that_the_vpn_gave(world, sallyport, ear,
                                                    lan_resolver):
    world.openvpn.give_a((*OpenVpnServer.PUSH, 'dhcp-option DNS 172.20.0.1'))
    with sallyport.up('main', CONF.format(office=world.office)) as gate, \
            Sniffer(world.vpnsrv, 'tun0') as tun:
        text = gate.exec('cat', '/etc/resolv.conf', ok=True).stdout
        assert 'nameserver 172.20.0.1' in text and '172.16.5.1' not in text
        gate.exec(*ask_name())
        assert tun.wait_for(lambda p: p.dport == 53 and p.dst == '172.20.0.1')
    assert ear.seen(lambda p: p.dport == 53) == []
    with open(world.servera.path('/etc/resolv.conf')) as f:
        assert f.read().startswith(LAN_RESOLVER)


def test_a_room_never_asks_the_hosts_resolver(world, sallyport, ear,
                                              lan_resolver):
    """No DNS from the VPN: then no DNS at all, rather than the LAN's."""
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        text = gate.exec('cat', '/etc/resolv.conf', ok=True).stdout
        assert '172.16.5.1' not in text
        gate.exec(*ask_name())
    done = sallyport('run', '--vpn', world.office, '--', *ask_name())
    assert done.returncode == 0, done.stderr
    assert ear.seen(lambda p: p.dport == 53) == []


# By systemd-resolved, nscd, avahi and whatever else nss modules speak with.
SOCKETS = ['/run/systemd/resolve/io.systemd.Resolve', '/run/nscd/socket',
           '/run/avahi-daemon/socket', '/run/dbus/system_bus_socket']


@pytest.mark.parametrize('how', ['exec', 'run'])
def test_the_hosts_resolver_sockets_are_hidden(world, sallyport, gate, how):
    for path in SOCKETS:
        world.servera.run('mkdir', '-p', os.path.dirname(path))
        world.servera.run('/usr/bin/python3', '-c', 'import socket,sys; '
                          'socket.socket(1).bind(sys.argv[1])', path)
    seen = ['sh', '-c', 'for path; do ! test -S "$path" || echo "$path"; done', 'sh', *SOCKETS]
    try:
        assert world.servera.out(*seen).split() == SOCKETS, 'the control'
        done = gate.exec(*seen) if how == 'exec' else sallyport('run', '--', *seen)
        assert (done.returncode, done.stdout) == (0, ''), done.stderr
    finally:
        for path in SOCKETS:
            world.servera.run('rm', '-rf', os.path.dirname(path))


@pytest.mark.parametrize('how', ['exec', 'run'])
def test_names_are_looked_for_in_files_and_by_dns_alone(world, sallyport, gate, how):
    """A module of the host's nsswitch.conf may ask somebody else."""
    path = world.servera.path('/etc/nsswitch.conf')
    with open(path) as f:
        before = f.read()
    asks = ['sh', '-c', 'grep ^hosts: /etc/nsswitch.conf']
    try:
        with open(path, 'w') as f:
            f.write('passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] resolve dns\n')
        assert 'resolve' in world.servera.out(*asks), 'the control'
        done = gate.exec(*asks) if how == 'exec' else sallyport('run', '--', *asks)
        assert done.stdout.split() == ['hosts:', 'files', 'dns'], done.stdout + done.stderr
    finally:
        with open(path, 'w') as f:
            f.write(before)
