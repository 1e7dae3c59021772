# SPDX-License-Identifier: GPL-2.0-or-later
"""Rooms of one gate: apart unless the file says which of them reaches which."""
import os
import signal

import pytest

from lab import host as hosts
from lab import probe
from lab.host import PATIENCE, until
from lab.leak import Ear
from lab.probe import How
from lab.sniff import Sniffer, inject, mac, tcp_packet, udp_packet

CONF = '''
[room web]
publish = 80
reach   = {reach}
[room db]
publish = 5432
[room other]
publish = 8080
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def conf(world):
    return lambda reach: CONF.format(reach=reach, office=world.office)


@pytest.fixture(scope='module')
def gate(sallyport, conf):
    with sallyport.up('shop', conf('172.16.9.21 db')) as gate:
        gate.serve('web', 80, room='web')
        gate.serve('db', 5432, room='db')
        gate.serve('other', 8080, room='other')
        yield gate


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('family', [4, 6])
def test_a_room_reaches_the_one_it_names(gate, family, proto):
    with gate.room('web') as web:
        got = probe.ask(web, proto, gate.address('db', family), 5432)
    assert (got.how, got.by, got.saw) == (How.ANSWERED, 'db',
                                          gate.address('web', family))


@pytest.mark.parametrize('family', [4, 6])
def test_a_ping_and_a_refusal_come_back_as_well(gate, family):
    with gate.room('web') as web:
        assert probe.ping(web, gate.address('db', family))
        for proto in ('tcp', 'udp'):
            got = probe.ask(web, proto, gate.address('db', family), 9)
            assert got.how is How.REFUSED


@pytest.mark.parametrize('who, whom, port', [
    ('db', 'web', 80), ('other', 'db', 5432), ('web', 'other', 8080)])
@pytest.mark.parametrize('family', [4, 6])
def test_no_other_room_reaches_another(gate, family, who, whom, port):
    """Not the other way round either."""
    with gate.room(who) as where:
        got = probe.ask(where, 'tcp', gate.address(whom, family), port)
    assert got.how is How.UNREACHABLE


def test_who_is_reached_does_not_begin_under_cover_of_a_conversation(gate):
    """From the port that it answers on, to the port that asked."""
    with gate.room('web') as web, gate.room('db') as db, gate.inner as inner:
        flow = probe.Flow(web, gate.address('db'), 5432)
        port = flow.socket.getsockname()[1]
        with Sniffer(inner, 'room-web') as seen:
            for dport in (port + 1, 80):
                inject(db, 'eth0', mac(inner, 'room-db'), tcp_packet(
                    gate.address('db'), 5432, gate.address('web'), dport))
            begun = flow.count
            until(lambda: flow.count > begun + 20, 'the conversation goes on')
            assert seen.seen(lambda p: p.flags == 2) == []
        assert flow.stop().error is None


@pytest.mark.parametrize('family', [4, 6])
def test_a_room_does_not_say_anothers_address_to_a_third(gate, family):
    """The one that may not reach it speaks in the name of the one that may."""
    own, db = gate.address('web', family), gate.address('db', family)
    with gate.room('web') as web, gate.room('other') as other, \
            gate.inner as inner, Sniffer(inner, 'room-db') as seen:
        inject(other, 'eth0', mac(inner, 'room-other'),
               udp_packet(own, 4301, db, 5432))
        inject(web, 'eth0', mac(inner, 'room-web'),
               udp_packet(own, 4300, db, 5432))
        assert seen.wait_for(lambda p: p.sport == 4300)
        assert seen.seen(lambda p: p.sport == 4301) == []


def test_it_is_called_by_its_name(gate, world):
    """Both addresses; the host's own names stay."""
    def names(room, name):
        return gate.exec('getent', 'ahosts', name, room=room).stdout
    said = names('web', 'db')
    assert gate.address('db') in said and gate.address('db', 6) in said
    assert '127.0.0.1' in names('web', 'localhost')
    assert names('db', 'web') == '' == names('web', 'other')


def test_a_running_service_keeps_the_names_when_the_host_gets_others(gate,
                                                                   world):
    """As an editor does, that renames the new file over the old one."""
    path = world.servera.path('/etc/hosts')
    before = open(path).read() if os.path.exists(path) else None
    child = gate.host.popen(
        [gate.tool.program, 'exec', 'shop.web', '--', 'sh', '-c',
         'while read x; do getent ahosts db | grep -c . ; '
         'getent ahosts fresh | grep -c .; done'], stdin=-1, stdout=-1)

    def known():
        child.stdin.write('\n')
        child.stdin.flush()
        return [int(child.stdout.readline()) > 0 for _ in range(2)]
    assert known() == [True, False]
    hosts.keep(path + '.new', '127.0.0.1 localhost\n192.0.2.7 fresh\n')
    os.rename(path + '.new', path)
    try:
        until(lambda: known() == [True, True], 'both are known')
    finally:
        child.stdin.close()
        child.wait(PATIENCE)
        os.unlink(path)
        if before is not None:
            hosts.keep(path, before)


def test_the_lan_hears_nothing_of_it(gate, world):
    with Ear(world) as ear, gate.room('web') as web:
        assert probe.ask(web, 'tcp', gate.address('db'), 5432).by == 'db'
        assert ear.seen(lambda p: gate.address('db') in (p.src, p.dst)) == []


def test_what_the_file_no_longer_allows_ends(sallyport, conf, gate):
    """Also a conversation that is going on."""
    with gate.room('web') as web:
        flow = probe.Flow(web, gate.address('db'), 5432, patience=2)
        gate.kill9()
        with sallyport.up('shop', conf('172.16.9.21')) as again:
            got = probe.ask(web, 'tcp', again.address('db'), 5432)
            assert got.how is How.UNREACHABLE
            until(lambda: not flow.is_alive(), 'the conversation has ended')
            assert flow.error is not None
            assert again.exec('getent', 'hosts', 'db', room='web').stdout == ''
            again.stop(signal.SIGTERM)
