# SPDX-License-Identifier: GPL-2.0-or-later
"""UDP clients who go on asking from one port find a service that has moved.

conntrack(8) keeps to the address where their first datagram was led, as long as
more of them come.
"""
import pytest

from lab import probe
from lab.host import until
from lab.world import A4, A6, askers

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''
PORT = 30053


@pytest.fixture
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate


def answers(world):
    """Who is answered, each from the same port each time."""
    return {(door, host.name, dst):
            probe.udp(host, dst, 80, sport=PORT, seconds=3).by
            for door, host, dst, _ in askers(world, (4, 6)) if door != 'self'}


def check(world):
    last = {}

    def all_answered():
        last.update(answers(world))
        return set(last.values()) == {'room'}
    until(all_answered, lambda: f'everybody is answered: {last}')


def test_links_that_had_to_move(world, gate):
    check(world)
    before = gate.address()
    with gate.inner as inner:
        inner.ip(f'addr add {before}/32 dev office')
    gate.wait_log('they move')
    check(world)
    assert gate.address() != before


def test_a_gate_that_comes_again_with_rooms_in_another_order(world, sallyport):
    text = '[room a]\n{}[room b]\n{}'
    ports = 'publish = 80/udp\n'
    for order in ((ports, ''), ('', ports)):
        with sallyport.up('main', text.format(*order)) as gate:
            room = 'a' if order[0] else 'b'
            gate.serve('room', 80, room=room)
            until(lambda: probe.udp(world.laptop, '172.16.5.10', 80, sport=PORT,
                                    seconds=3).by == 'room',
                  f'room {room} answers')


def test_who_asked_before_there_was_a_gate(world, sallyport):
    """Nobody answered, there is no pause in the asking, and another gate has
    the host track connections."""
    def ask(seconds):
        return probe.udp(world.laptop, '172.16.5.10', 80, sport=PORT,
                         seconds=seconds).by
    with sallyport.up('other', '[room]\npublish = 81\n'):
        assert not ask(0.5)
        with sallyport.up('main', '[room]\npublish = 80/udp\n') as gate:
            gate.serve('room', 80)
            until(lambda: ask(3) == 'room', 'it answers')


@pytest.mark.parametrize('dst', [A4, A6])
def test_who_was_answered_by_a_program_of_the_host_before(world, sallyport, dst):
    """From one port, without a pause, while another gate has the host track
    connections."""
    def ask():
        return probe.udp(world.laptop, dst, 80, sport=PORT, seconds=3).by
    with sallyport.up('other', '[room]\npublish = 81\n'):
        before = world.serve(world.servera, 'before', 80)
        until(lambda: ask() == 'before', 'the program answers')
        before.kill()
        before.wait()
        with sallyport.up('main', '[room]\npublish = 80/udp\n') as gate:
            gate.serve('room', 80)
            until(lambda: ask() == 'room', 'the room answers')
