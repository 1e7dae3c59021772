# SPDX-License-Identifier: GPL-2.0-or-later
"""Several rooms behind one gate, several VPN doors of different makes."""
import os
import signal

import pytest

from lab import probe
from lab.host import PATIENCE, keep, until
from lab.leak import Ear, Talker
from lab.probe import How
from lab.sniff import Sniffer, inject, mac, strays
from lab.world import (A4, A6, A_VPN4, A_VPN6, A_WG4, A_WG6, B_INET4, B_VPN4,
                       B_VPN6, CORP4, LAPTOP2_4, MALLORY4, MALLORY6,
                       PARTNER4, PARTNER6, wrong_answers)

CONF = '''
# Two named rooms, one without a name, three VPNs.
[room]
publish = 80 80/udp
reach   = {laptop2}/32

[room web]
publish = 8080:80 8443:443
default = lan

[room db]
publish = 5432
default = none

[room late]
reach   = {laptop2}/32

[door lan]
publish = 80 80/udp 8080 5432
listen  = {a4} {a6}

[door office]
vpn     = {office}
publish = 80 80/udp 8443

[door partner]
vpn     = {partner}
publish = 80 80/udp 5432

[door corp]
command   = {corp}
interface = tun7
server    = 203.0.113.99:443
publish   = 80 80/udp 8080
'''

# A vpnc-script of the plainest sort: it does what openconnect says.
VPNC = '''#!/bin/sh
case "$reason" in
connect)
	ip link set "$TUNDEV" mtu "${INTERNAL_IP4_MTU:-1400}" up
	ip addr add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
	i=0
	while [ "$i" -lt "${CISCO_SPLIT_INC:-0}" ]; do
		eval "ip route replace \\"\\$CISCO_SPLIT_INC_${i}_ADDR/\\$CISCO_SPLIT_INC_${i}_MASKLEN\\" dev $TUNDEV"
		i=$((i + 1))
	done
	;;
disconnect)
	ip addr flush dev "$TUNDEV"
	;;
esac
exit 0
'''


@pytest.fixture(scope='module')
def gate(wide_world, wide):
    w = wide_world
    keep(f'{w.dir}/vpnc-script', VPNC, 0o755)
    conf = CONF.format(a4=A4, a6=A6, office=w.office, partner=w.partner_conf,
                       laptop2=LAPTOP2_4,
                       corp=w.corp_server.command(f'{w.dir}/vpnc-script'))
    w.servera.ip('addr add 172.16.5.12/24 dev eth0')
    with wide.up('multi', conf) as gate:
        gate.serve('room', 80)
        gate.serve('web', 80, 443, room='web')
        gate.serve('db', 5432, room='db')
        yield gate
    w.servera.ip('addr del 172.16.5.12/24 dev eth0')


def corp_address(gate):
    return next(a.split('/')[0] for a in gate.door('corp')['addresses']
                if '.' in a)


def test_the_unnamed_room_answers_on_lan_and_openvpn(gate, wide_world):
    assert wrong_answers(wide_world) == []


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('dst, saw', [(A_WG4, PARTNER4), (A_WG6, PARTNER6)])
def test_the_unnamed_room_answers_on_wireguard(gate, wide_world, dst, saw,
                                               proto):
    got = probe.ask(wide_world.partner, proto, dst, 80)
    assert (got.how, got.by, got.saw, got.source) == (
        How.ANSWERED, 'room', saw, dst)


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_the_unnamed_room_answers_on_a_command_door(gate, wide_world, proto):
    dst = corp_address(gate)
    got = probe.ask(wide_world.corp, proto, dst, 80)
    assert (got.how, got.by, got.saw, got.source) == (
        How.ANSWERED, 'room', CORP4, dst)


# door -> {port: room that must answer}; every other port refuses or is silent
PORTS = {'lan': {80: 'room', 8080: 'web', 5432: 'db'},
         'office': {80: 'room', 8443: 'web'},
         'partner': {80: 'room', 5432: 'db'},
         'corp': {80: 'room', 8080: 'web'}}


@pytest.mark.parametrize('port', [80, 443, 8080, 8443, 5432])
@pytest.mark.parametrize('door', list(PORTS))
def test_each_door_answers_what_is_published_on_it(gate, wide_world, door,
                                                   port):
    w = wide_world
    host, dst = {'lan': (w.laptop, A4), 'office': (w.serverb, A_VPN4),
                 'partner': (w.partner, A_WG4),
                 'corp': (w.corp, None)}[door]
    by = PORTS[door].get(port)
    got = probe.ask(host, 'tcp', dst or corp_address(gate), port,
                    seconds=PATIENCE if by else probe.SILENCE)
    if by:
        assert (got.how, got.by) == (How.ANSWERED, by)
    else:
        assert got.how in (How.REFUSED, How.SILENT, How.UNREACHABLE)


def test_listen_leaves_the_other_addresses_of_the_host_alone(gate, wide_world):
    child = wide_world.serve(wide_world.servera, 'host', 8081)
    assert probe.ask(wide_world.laptop, 'tcp', '172.16.5.12', 80).how is \
        How.REFUSED
    assert probe.ask(wide_world.laptop, 'tcp', '172.16.5.12', 8081).by == 'host'
    child.kill()


@pytest.mark.parametrize('a, src', [(A4, MALLORY4), (A6, MALLORY6)])
def test_stray_segments_to_an_address_that_is_listened_on(gate, wide_world, a,
                                                          src):
    """The host would reset what they belong to."""
    w = wide_world
    with probe.connect(w.mallory, a, 80) as s, \
            Sniffer(w.mallory, 'eth0', (w.core, 'mallory')) as far:
        probe.line(s)
        port = s.getsockname()[1]
        for packet in strays(src, port, a):
            inject(w.mallory, 'eth0', mac(w.servera, 'eth0'), packet)
        s.sendall(b'there?\n')
        assert probe.line(s).endswith('there?\n')
        assert far.seen(lambda p: p.flags & 4 and p.dport == port) == []


def talk(gate, world, room, aims):
    with gate.room(room) as where, Ear(world) as ear:
        talker = Talker(where, aims)
        talker.said()
        talker.connect_all()
        talker.stop()
        return {p.dst for p in ear.seen(lambda p: p.dport == 4444)}


ALL_AIMS = (LAPTOP2_4, '172.16.77.20', B_VPN4, B_VPN6, B_INET4, PARTNER4)


@pytest.mark.parametrize('room', [None, 'late'])
def test_default_vpn_and_reach(gate, wide_world, room):
    """Of the first room and of the last, though a VPN claims it."""
    assert talk(gate, wide_world, room, ALL_AIMS) == {LAPTOP2_4}


@pytest.mark.parametrize('room', [None, 'late'])
@pytest.mark.parametrize('dst', ['203.0.113.1', '2001:db8:203::1'])
def test_default_vpn_leads_into_the_first_tunnel(gate, wide_world, room, dst):
    """What no VPN claims."""
    with gate.room(room) as where, \
            Sniffer(wide_world.vpnsrv, 'tun0') as tun:
        probe.udp(where, dst, 4446, seconds=probe.SILENCE)
        assert tun.wait_for(lambda p: (p.dst, p.dport) == (dst, 4446))


def test_default_lan_still_goes_where_vpns_claim(gate, wide_world):
    assert talk(gate, wide_world, 'web', ALL_AIMS) == {B_INET4}


def test_default_none_goes_nowhere_but_where_vpns_claim(gate, wide_world):
    assert talk(gate, wide_world, 'db', ALL_AIMS) == set()


@pytest.mark.parametrize('room', [None, 'db'])
def test_rooms_reach_what_the_vpns_claim(gate, wide_world, room):
    child = wide_world.serve(wide_world.serverb, 'b', 7000)
    child2 = wide_world.serve(wide_world.partner, 'p', 7000)
    with gate.room(room) as where:
        got = probe.ask(where, 'tcp', B_VPN4, 7000)
        assert (got.by, got.saw) == ('b', A_VPN4)
        got = probe.ask(where, 'udp', B_VPN6, 7000)
        assert (got.by, got.saw) == ('b', A_VPN6)
        got = probe.ask(where, 'tcp', PARTNER4, 7000)
        assert (got.by, got.saw) == ('p', A_WG4)
    child.kill()
    child2.kill()


def test_reach_says_the_hosts_address(gate, wide_world):
    child = wide_world.serve(wide_world.laptop2, 'l2', 7000)
    with gate.room() as where:
        got = probe.ask(where, 'tcp', LAPTOP2_4, 7000)
    child.kill()
    assert (got.by, got.saw) == ('l2', A4)


@pytest.mark.parametrize('room, dst', [
    (None, LAPTOP2_4), ('web', '203.0.113.1'),
    ('web', '2001:db8:203::1')])
def test_a_refusal_by_the_lan_door_comes_back_to_the_room(gate, room, dst):
    """An ICMP error about what the room began, and nothing was published of."""
    with gate.room(room) as where:
        assert probe.ask(where, 'udp', dst, 9).how is How.REFUSED


def test_exec_goes_to_the_named_room(gate):
    for room in (None, 'web', 'db'):
        out = gate.exec('ip', '-br', 'addr', 'show', 'eth0', room=room,
                        ok=True).stdout
        assert gate.address(room or '') in out


@pytest.mark.parametrize('command, status', [
    (['true'], 0), (['sh', '-c', 'exit 9'], 9), (['/nowhere'], 127),
    (['/etc/passwd'], 126), (['sh', '-c', 'kill -KILL $$'], 137)])
def test_exec_passes_on_the_exit_status(gate, command, status):
    got = gate.exec(*command).returncode
    assert (128 - got if got < 0 else got) == status


def test_exec_in_a_room_that_is_not_there(gate):
    done = gate.exec('true', room='nope')
    assert done.returncode in (1, 2) and 'nope' in done.stderr


@pytest.mark.parametrize('family', [4, 6])
def test_rooms_do_not_reach_one_another_and_are_told_so(gate, family):
    with gate.room('db') as where:
        got = probe.ask(where, 'tcp', gate.address('web', family), 443)
    assert got.how is How.UNREACHABLE


@pytest.mark.parametrize('a', [A4, A6])
@pytest.mark.parametrize('listen', ['', f'listen = {A4} {A6}\n'],
                         ids=['all', 'one'])
def test_a_room_that_asks_the_hosts_address_gets_the_host(wide, listen, a):
    """Not itself: what is published is for those who come from outside."""
    conf = f'[door lan]\n{listen}[room]\npublish = 8091:80\ndefault = lan\n'
    with wide.up('open', conf) as gate, gate.room() as where:
        gate.serve('open', 80)
        assert probe.ask(where, 'tcp', a, 8091).how is How.REFUSED


def test_default_lan_is_for_pings_too(gate, wide_world):
    with gate.room('web') as where:
        assert probe.ping(where, '203.0.113.1')  # the Internet's router


@pytest.fixture
def corp_alone(gate, wide_world, wide):
    """The same client, but nobody said which servers it asks for."""
    w = wide_world

    def up(address):
        command = w.corp_server.command(f'{w.dir}/vpnc-script', 'tun8', address)
        return wide.up('alone', f'[room]\npublish = 8090:80\n[door corp]\n'
                       f'command = {command}\ninterface = tun8\n')
    return up


@pytest.mark.parametrize('server', ['203.0.113.99', '[2001:db8:203::99]'])
def test_a_command_door_may_ask_for_any_server(corp_alone, wide_world, server):
    with corp_alone(server) as gate:
        gate.serve('alone', 80)
        got = probe.ask(wide_world.corp, 'tcp', corp_address(gate), 8090)
    assert (got.by, got.saw) == ('alone', CORP4)


def test_a_wireguard_client_that_is_killed_comes_back(gate, wide_world):
    pid = gate.vpn_pid('wireguard-go')
    if pid is None:
        pytest.skip('the kernel does WireGuard itself')
    flow = probe.Flow(wide_world.laptop, A4, 80)
    os.kill(pid, signal.SIGKILL)
    until(lambda: gate.vpn_pid('wireguard-go') not in (None, pid),
          'wireguard-go runs again')
    got = probe.ask_until_answered(wide_world.partner, 'tcp', A_WG4, 80)
    assert flow.stop().error is None
    assert got.saw == PARTNER4


def test_down_from_another_terminal_ends_it_all(gate, wide_world):
    done = gate.down()
    assert done.returncode == 0, done.stderr
    assert gate.ended() == 0
    assert not os.path.exists(wide_world.servera.path('/run/netns/multi.gate'))
    again = gate.down()
    assert again.returncode == 1 and '"multi"' in again.stderr


def test_an_address_that_the_host_does_not_have_is_told_and_answers_when_it_comes(
        world, sallyport):
    """A slip of the pen, or one that comes later; what is the host's by a route is no slip."""
    a, later = world.servera, '192.0.2.80'
    conf = f'[room]\npublish = 8000:80\n[door lan]\nlisten = {A4} {later} 192.0.2.81\n'
    missing = 'to answer on {}, which is no address of this host'
    a.ip('route add local 192.0.2.81 dev lo')
    try:
        sallyport.write('main', conf)
        dry = sallyport('up', 'main', '--dry-run', ok=True)
        assert dry.stderr.count('which is no address') == 1
        assert missing.format(later) in dry.stderr
        with sallyport.up('main') as gate:
            gate.serve('room', 80)
            gate.wait_log(missing.format(later))
            a.ip(f'addr add {later}/32 dev eth0')
            gate.wait_log(f'{later} is an address of this host now')
            world.mallory.ip(f'route add {later}/32 via {A4}')
            assert probe.ask_until_answered(world.mallory, 'tcp', later, 8000).by == 'room'
            since = len(gate.log.text())
            a.ip(f'addr del {later}/32 dev eth0')
            gate.wait_log(missing.format(later), since=since)
            assert gate.log.text().count('which is no address') == 2
            assert '192.0.2.81, which' not in gate.log.text()
            world.mallory.ip(f'route del {later}/32 via {A4}')
    finally:
        a.ip('route del local 192.0.2.81 dev lo')
