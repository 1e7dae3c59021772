# SPDX-License-Identifier: GPL-2.0-or-later
"""A gate that is repaired and whose tunnel is restarted again and again does
not grow: not its memory, not its descriptors, not what it has put anywhere.

Rounds of 50 repairs and 10 restarts: 20 of them in a long run, else 3 short
ones; SALLYPORT_SOAK=N for N.
"""
import os
import signal

import pytest

from lab.host import until
from lab.state import difference, hoststate
from lab.world import wrong_answers

LONG = bool(os.environ.get('SALLYPORT_LONG'))
ROUNDS = int(os.environ.get('SALLYPORT_SOAK') or (20 if LONG else 3))
REPAIRS, RESTARTS = (50, 10) if ROUNDS > 3 else (10, 1)
GROWTH = 256  # KiB: what the allocator may keep for itself

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''


def anonymous(pid):
    """KiB of memory that is the process's own."""
    with open(f'/proc/{pid}/status') as f:
        return next(int(l.split()[1]) for l in f if l.startswith('RssAnon'))


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


@pytest.fixture(scope='module')
def gate(world, sallyport):
    before = hoststate(world.servera)
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        gate.first = None
        yield gate
    assert difference(before, hoststate(world.servera)) == ''


def repair(inner, line):
    """Takes a rule of the gate away and waits for it to be put back."""
    inner.run('ip', 'rule', 'del', 'pref', '0', *line.split())
    until(lambda: line in inner.out('ip', '-4', 'rule'), f'{line} is back')


def restart(gate):
    """As a flapping network: OpenVPN gives up its connection and makes it
    anew."""
    since = len(gate.log.text())
    os.kill(gate.vpn_pid(), signal.SIGUSR1)
    gate.wait_log('Initialization Sequence Completed', since=since)


@pytest.mark.parametrize('round', range(ROUNDS))
def test_does_not_grow(world, gate, round):
    with gate.inner as inner:
        line = next(l.split(':', 1)[1].strip()
                    for l in inner.out('ip', '-4', 'rule').splitlines()
                    if l.startswith('0:') and 'fwmark' in l)
        for _ in range(REPAIRS):
            repair(inner, line)
    for _ in range(RESTARTS):
        restart(gate)
    gate.wait_door('office')
    assert wrong_answers(world) == []
    gate.status()  # so that the answer's memory is in every round's figure
    now = anonymous(gate.child.pid), descriptors(gate.child.pid)
    print(f'{now[0]} KiB, {now[1]} descriptors')
    if round == 1:
        gate.first = now
    if gate.first:
        assert now[1] <= gate.first[1], f'{gate.first} then {now}'
        # What the allocator holds it gives back with the next look, each 30 s.
        until(lambda: anonymous(gate.child.pid) <= gate.first[0] + GROWTH,
              lambda: f'{gate.first} then {now}, then '
              f'{anonymous(gate.child.pid)} KiB: it does not grow', pause=0.2)
