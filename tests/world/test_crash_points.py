# SPDX-License-Identifier: GPL-2.0-or-later
"""`kill -9` before each thing that sallyport does to the kernel.

A preloaded library (killer.c) counts what changes the world: netlink and nft
requests, processes made, mounts, files, sysctls; and kills sallyport before the
Nth. Whatever N is: nothing of the room goes out by the lan door, `down` brings
the host back byte for byte, and `up` takes over what is there.
"""
import mmap
import os
import signal
import struct
import subprocess

import pytest

from lab import host as hosts
from lab.gate import Sallyport
from lab.host import until
from lab.leak import Ear, Talker
from lab.state import difference, hoststate
from lab.world import LAN, SELF, VPN, wrong_answers

LONG = bool(os.environ.get('SALLYPORT_LONG'))

PLAIN = '''
[room]
publish = 80 80/udp
[room two]
publish = 81
'''

WITH_VPN = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''

HERE = os.path.dirname(os.path.abspath(__file__))
FAR = 1 << 30  # so that it only counts
TALKS = 3      # how often the room says its word to each aim


class Killer:
    """The library, and the number that it shares with us."""

    def __init__(self, directory):
        self.preload = f'{directory}/killer.so'
        subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-Wall', '-Werror',
                        '-o', self.preload, f'{HERE}/killer.c'], check=True)
        self.path = f'{directory}/killer.left'
        with open(self.path, 'wb') as f:
            f.write(bytes(4))
        with open(self.path, 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), 4)

    def arm(self, n):
        self.map[:] = struct.pack('i', n)

    @property
    def left(self):
        return struct.unpack('i', self.map[:])[0]

    def wrap(self, program, directory, sig=signal.SIGKILL):
        """The program with the library, as one file that can be called."""
        path = f'{directory}/doomed.{int(sig)}'
        return hosts.keep(path, f'#!/bin/sh\nexport LD_PRELOAD={self.preload} '
                          f'KILLER_FILE={self.path} KILLER_SIGNAL={int(sig)}\n'
                          f'exec {program} "$@"\n', 0o755)


class Scene:
    def __init__(self, program, world):
        self.world = world
        self.safe = Sallyport(program, world)
        self.killer = Killer(world.dir)
        self.doomed = Sallyport(self.killer.wrap(program, world.dir), world)
        self.halted = Sallyport(
            self.killer.wrap(program, world.dir, signal.SIGSTOP), world)
        self.ear = Ear(world)
        self.confs = {'plain': PLAIN,
                      'vpn': WITH_VPN.format(office=world.office)}
        self.guards = {}
        self.things = {}

    def choose(self, kind, forwards):
        self.kind = kind
        self.safe.write('main', self.confs[kind])
        for key in 'ipv4/ip_forward', 'ipv6/conf/all/forwarding':
            self.world.servera.sysctl(f'net/{key}', int(forwards))
        self.before = hoststate(self.world.servera)
        if kind not in self.guards:
            self.learn()

    def learn(self):
        with self.safe.up('main') as gate, gate.inner as inner:
            self.guards[self.kind] = self.guard(inner)

    @staticmethod
    def guard(inner):
        """The gate's table, but for what follows from the tunnel's MTU."""
        return [l for l in inner.out('nft', '-s', 'list', 'ruleset').splitlines()
                if 'maxseg' not in l]

    def within(self, name):
        """A namespace of the gate, or nothing when it is not there (yet)."""
        try:
            where = hosts.Within(self.world.servera, name)
        except FileNotFoundError:
            return None
        try:
            with where.inside():
                return where
        except OSError:  # no more than its file
            where.close()
            return None

    def guard_is_whole(self, when):
        inner = self.within('main.gate')
        if not inner:
            return
        with inner:
            links = inner.out('ip', '-br', 'link')
            guard = self.guard(inner)
        if not guard and 'repair of nft' in when:
            return  # somebody else took it away, and we died before we saw
        if guard or any(l in links for l in ('lan@', 'room@', 'office')):
            assert guard == self.guards[self.kind], f'{when}: {links}'

    def is_silent(self, when):
        """The room talks; the LAN must not hear it."""
        room = self.within('main')
        if not room:
            return
        with room:
            talker = Talker(room)
            talker.said(TALKS)
            talker.stop()
            talker.connect_all()
        assert self.ear.heard() == [], when

    def is_clean(self, when):
        done = self.safe('down', 'main')
        assert done.returncode in (0, 1), f'{when}: {done.stderr}'
        left = difference(self.before, hoststate(self.world.servera))
        if left:
            pytest.fail(f'{when}: down left:\n{left}', pytrace=False)

    def recovers(self, when):
        doors = (LAN, SELF, VPN) if self.kind == 'vpn' else (LAN, SELF)
        with self.safe.up('main') as gate:
            gate.serve('room', 80)
            wrong = wrong_answers(self.world, doors=doors)
            assert wrong == [], f'{when}: {wrong}\n{gate.log.text()}'
            assert gate.down().returncode == 0
            gate.ended()

    def after(self, when, again):
        """All that must be so when it is dead."""
        self.guard_is_whole(when)
        self.is_silent(when)
        if again:
            self.recovers(when)
        self.is_clean(when)


@pytest.fixture(scope='module')
def scene(program, world):
    scene = Scene(program, world)
    yield scene
    scene.ear.close()


# What it may be doing when it is killed. Each yields once it stands; then the
# killer is armed, or counts; then it goes on until the thing is done, and
# yields again. Nothing may be left to wait for but its death. ---------------

def forget(gate):
    """Without what closing a Gate would mend."""
    for child in gate.children:
        hosts.stop(child, signal.SIGKILL)
    hosts.stop(gate.child, signal.SIGKILL)
    gate.notify.close()
    gate.log.close()


def settled(gate, n=1):
    """It is dead, or says that every door answers."""
    until(lambda: gate.child.poll() is not None or
          'every door answers' in gate.log.text(),
          lambda: gate.log.text(), pause=0.005)


def start(scene):
    yield None
    gate = scene.doomed.up('main', ready=False)
    settled(gate)
    yield gate


def takeover(scene):
    killed = scene.safe.up('main')
    killed.kill9()
    forget(killed)
    yield from start(scene)


def down_of_a_live_gate(scene):
    gate = scene.doomed.up('main')
    yield gate
    gate.child.send_signal(signal.SIGTERM)
    gate.ended()
    yield gate


def down_of_a_dead_gate(scene):
    killed = scene.safe.up('main')
    killed.kill9()
    yield killed
    scene.doomed('down', 'main')
    yield killed


def is_asleep(pid):
    """On a busy machine who does nothing may also be waiting for its turn."""
    with open(f'/proc/{pid}/stat') as f:
        return f.read().rsplit(')', 1)[1].split()[0] == 'S'


DAMAGES = {
    'nft': ('gate', 'nft delete table inet sallyport-main'),
    'nft of the host': ('host', 'nft delete table inet sallyport'),
    'rules': ('gate', 'ip rule flush'),
    'way in': ('host', 'ip link del sp-main'),
    'way to the room': ('gate', 'ip link del room'),
    'name': ('host', 'ip netns del main'),
}


def repair(damage):
    place, command = DAMAGES[damage]

    def phase(scene):
        gate = scene.doomed.up('main')
        yield gate
        left = scene.killer.left
        with gate.inner as inner:
            where = inner if place == 'gate' else scene.world.servera
            # A repair may come between the two steps of `ip netns del`.
            where.run(*command.split(), ok=False)
            done = []

            def quiet():
                """After something was done it has slept for a while."""
                done.append((scene.killer.left, is_asleep(gate.child.pid)))
                return gate.child.poll() is not None or (
                    len(done) > 20 and done[-1][0] < left and
                    set(done[-20:]) == {(done[-1][0], True)})
            until(quiet, 'it is repaired', pause=0.01)
        yield gate
    return phase


PHASES = {'start': start, 'takeover': takeover,
          'down of a live gate': down_of_a_live_gate,
          'down of a dead gate': down_of_a_dead_gate,
          **{f'repair of {d}': repair(d) for d in DAMAGES}}


def goes_through(scene, phase, n):
    """Kills at the Nth thing of @phase; false when there are not so many."""
    steps = PHASES[phase](scene)
    next(steps)
    scene.killer.arm(n)
    gate = next(steps)
    struck = scene.killer.left == 0
    scene.killer.arm(0)
    forget(gate)
    return struck


def things(scene, phase):
    """How many things it does, unharmed."""
    key = scene.kind, phase
    if key not in scene.things:
        steps = PHASES[phase](scene)
        next(steps)
        scene.killer.arm(FAR)
        gate = next(steps)
        scene.things[key] = FAR - scene.killer.left
        scene.killer.arm(0)
        forget(gate)
        scene.is_clean('unharmed')
    return scene.things[key]


def run_points(scene, kind, phase, step, part):
    scene.safe('down', 'main')  # of a test that failed
    # Where the host forwards anyway, only the gate stands between. And what
    # its sysctls were before stands in the table that is taken away.
    scene.choose(kind, kind == 'vpn' or 'nft of the host' in phase)
    total = things(scene, phase)
    assert total >= 2, f'{phase} does nothing that is counted'
    struck = 0
    for n in range(1 + part, total + 1, step):
        when = f'killed before thing {n} of {total} of {phase}'
        struck += goes_through(scene, phase, n)
        scene.after(when, again=(n // step) % 2)
    # A repair may take fewer steps another time.
    assert struck or part


# Every point without a VPN, every third with one; a sample of these for the
# short run.
STEPS = {'plain': (8, 1) if LONG else (1, 8), 'vpn': (4, 3) if LONG else (1, 16)}


def cases():
    for kind in ('plain', 'vpn'):
        for phase in PHASES:
            parts, skip = STEPS[kind]
            if not LONG and phase not in ('start', 'takeover') and kind == 'vpn':
                continue
            if phase.startswith('repair') or phase.startswith('down'):
                skip = max(1, skip // 2)
            for part in range(parts):
                yield kind, phase, parts * skip, part * skip


@pytest.mark.parametrize('kind, phase, step, part', cases())
def test_killed_before(scene, kind, phase, step, part):
    run_points(scene, kind, phase, step, part)


def is_halted(pid):
    with open(f'/proc/{pid}/stat') as f:
        return f.read().rsplit(')', 1)[1].split()[0] == 'T'


def delete_tables(scene):
    """Those of the host and of the gate; true if there was one."""
    done = scene.world.servera.run('nft', 'delete', 'table', 'inet', 'sallyport',
                                   ok=False)
    inner = scene.within('main.gate')
    if not inner:
        return done.returncode == 0
    with inner:
        gates = inner.run('nft', 'delete', 'table', 'inet', 'sallyport-main',
                          ok=False)
    return 0 in (done.returncode, gates.returncode)


@pytest.mark.parametrize('part', range(4))
def test_tables_deleted_during_a_start(scene, part):
    """Whenever it happens: a start hears of changes only when its own are done."""
    scene.safe('down', 'main')
    scene.choose('plain', False)
    total = things(scene, 'start')
    deleted = 0
    for n in range(1 + part, total + 1, 4 if LONG else 12):
        scene.killer.arm(n)
        gate = scene.halted.up('main', ready=False)
        with gate:
            until(lambda: gate.child.poll() is not None or
                  is_halted(gate.child.pid), lambda: f'thing {n}', pause=0.002)
            deleted += delete_tables(scene)
            scene.killer.arm(0)
            gate.child.send_signal(signal.SIGCONT)
            gate.wait_ready()
            gate.serve('room', 80)
            until(lambda: wrong_answers(scene.world, doors=(LAN, SELF)) == [],
                  lambda: f'before thing {n} of {total}: {gate.log.text()}')
            with gate.inner as inner:
                until(lambda: scene.guard(inner) == scene.guards['plain'],
                      lambda: f'before thing {n} of {total}: {gate.log.text()}')
            assert gate.down().returncode == 0
            gate.ended()
        scene.is_clean(f'tables deleted before thing {n} of {total}')
    assert deleted
