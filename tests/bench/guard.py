# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guard of a bare host costs, and what a session feels of a VPN that
comes and goes beside it, with a guard and without."""
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from contextlib import contextmanager

import table
from faults import RTM_DELRULE, RTM_NEWRULE, Rules
from lab import host as hosts
from lab.guard import Guard
from lab.host import until
from lab.probe import Flow
from lab.vpn import OpenVpnClient
from lab.world import A4
from scene import ALONE, CPU, NEAR_A, PROGRAM, ROOT

WORLD = f'{ROOT}/tests/world'

ROUNDS = 100
SHORT_MS = 50  # what disturbs one of a pair for longer disturbs the other
REMOVALS = 100
CYCLES = 10
PATIENCE = 4.0  # s, after which an unguarded session counts as lost


def guarded(scene, argv=()):
    return Guard(PROGRAM, scene.servera, scene.dir, list(argv)).wait_stands()


def serve(scene, port=80):
    child = scene.servera.popen([*ALONE, scene.load, 'serve', CPU, port],
                                stdout=subprocess.PIPE)
    assert child.stdout.readline() == 'ready\n'
    scene.children.append(child)


# What most servers have in any case: a firewall that knows of connections.
FIREWALL = '''table inet fw {
    chain in { type filter hook input priority 0; ct state established accept; }
}'''


@contextmanager
def firewall(scene):
    scene.servera.nft(FIREWALL)
    yield
    scene.servera.run('nft', 'delete', 'table', 'inet', 'fw')


@contextmanager
def vpn(scene):
    client = OpenVpnClient(scene.servera, scene.world.office, scene.dir).wait()
    yield
    client.close()


@contextmanager
def vpn_and_udp(scene):
    """The most that a host without containers needs of a guard."""
    with vpn(scene):
        child = scene.world.serve(scene.servera, 'udp', 5300)
        yield
        hosts.stop(child)


@contextmanager
def nothing(_):
    yield


def rates(scene, beside):
    """{(kind, what): rate of each round}, kinds in turns. A ratio of 0.98 is
    told from one of 0.97 by many short rounds that nobody else's processes
    interrupt: medians of a hundred are sure to about 0.004."""
    found = {(kind, what): [] for kind in ('with', 'without')
             for what in ('rr', 'conns')}
    with beside(scene):
        for i in range(ROUNDS):
            for kind in ('with', 'without') if i % 2 else ('without', 'with'):
                guard = guarded(scene) if kind == 'with' else None
                for what in ('rr', 'conns'):
                    found[kind, what].append(scene.measure(
                        what, NEAR_A, ms=SHORT_MS, alone=True))
                if guard:
                    guard.close()
    return found


def cost(scene):
    serve(scene)
    rows = []
    for beside, words in ((firewall, 'beside a stateful firewall'),
                          (nothing, 'where nothing tracks connections'),
                          (vpn, 'with a VPN'),
                          (vpn_and_udp, 'with a VPN and UDP services')):
        found = rates(scene, beside)
        rows += [table.ratio(f'{unit}, guard / none', found['with', what],
                             found['without', what], 0.98, sure=True)
                 for what, unit in (('rr', 'round trips/s'),
                                    ('conns', 'connections/s'))]
        rows[-2].title += f', {words}'
    scene.rest()
    return rows


def memory(scene):
    with guarded(scene) as guard:
        time.sleep(2)  # the first sweep gives back what the start needed
        with open(f'/proc/{guard.child.pid}/status') as f:
            rss = int(re.search(r'VmRSS:\s+(\d+)', f.read())[1]) / 1024
    return [table.Row('guard that stands: VmRSS', [rss], 'MiB', 8,
                      at_most=True)]


def repair(scene):
    def ours():
        return [l.split(':', 1)[1].split() for l in
                scene.servera.out('ip', 'rule').splitlines()
                if l.startswith('0:') and 'lookup 100' in l]
    taken = []
    with guarded(scene):
        lines = ours()
        heard = Rules(scene.servera)
        for i in range(REMOVALS):
            scene.servera.run('ip', 'rule', 'del', 'pref', '0',
                              *lines[i % len(lines)])
            gone = heard.wait(RTM_DELRULE)
            taken.append((heard.wait(RTM_NEWRULE) - gone) * 1e3)
            until(lambda: len(ours()) == len(lines), 'all rules are there', 60)
            # What else a repair says must not be taken for the next.
            heard.s.close()
            heard = Rules(scene.servera)
        heard.s.close()
    return [table.Row(f'a removed rule is back, median of {REMOVALS}', taken,
                      'ms'),
            table.Row('  worst', [max(taken)], 'ms')]


# What a VPN's routes do to a stranger ------------------------------------

PUSH = ('route 172.16.0.0 255.240.0.0', 'route 172.16.9.0 255.255.255.0')
UDP_PORT = 7000
HOLD = 0.5  # s that the VPN stands


class Datagrams(threading.Thread):
    """A numbered datagram each half millisecond, to a service that is bound to
    Server A's LAN address, and its echo."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.s = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.connect((A4, UDP_PORT + 2))
        self.s.setblocking(False)
        self.halt = threading.Event()
        self.sent, self.came, self.gap = 0, set(), 0.0
        self.last = None
        self.start()

    def hear(self, seconds):
        while select.select([self.s], [], [], seconds)[0]:
            self.came.add(int(self.s.recv(2048).split()[-1]))
            now = time.monotonic()
            self.gap = max(self.gap, now - (self.last or now))
            self.last, seconds = now, 0

    def run(self):
        due = time.monotonic()
        while not self.halt.is_set():
            self.hear(max(0, due - time.monotonic()))
            if time.monotonic() >= due:
                self.s.send(b'%d' % self.sent)
                self.sent += 1
                due += 0.0005

    def stop(self):
        self.halt.set()
        self.join()
        self.hear(0.5)
        self.s.close()
        return self.sent - len(self.came), self.gap * 1e3


def route(kind, flags, gateway, *more):
    """A message about 172.16.9.0/24."""
    body = struct.pack('=8BI', socket.AF_INET, 24, 0, 0, 254, 3, 0, 1, 0)
    for what, data in ((1, socket.inet_aton('172.16.9.0')),
                       (5, socket.inet_aton(gateway)), *more):
        body += struct.pack('=HH', 4 + len(data), what) + data
    return struct.pack('=IHHII', 16 + len(body), kind, flags, 1, 0) + body


class Watcher(threading.Thread):
    """The usual cure: whenever a route appears, the LAN's is put right and the
    tunnel's taken away. As quick as it can be made: both messages are prepared,
    and no program is started for them."""

    def __init__(self, host):
        super().__init__(daemon=True)
        with host.inside():
            self.heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self.said = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            link = struct.pack('=I', socket.if_nametoindex('eth0'))
        self.heard.bind((0, 0x40))  # RTMGRP_IPV4_ROUTE
        # RTM_DELROUTE; RTM_NEWROUTE with NLM_F_REPLACE and NLM_F_CREATE
        self.messages = (route(25, 0x1, '172.20.0.1'),
                         route(24, 0x501, '172.16.5.1', (4, link)))
        self.halt = threading.Event()
        self.start()

    def run(self):
        while not self.halt.is_set():
            if select.select([self.heard], [], [], 0.1)[0]:
                data = self.heard.recv(65536)
                if struct.unpack_from('=IHHII', data)[4] != self.own:
                    for message in self.messages:
                        self.said.send(message)

    @property
    def own(self):
        return self.said.getsockname()[0]

    def close(self):
        self.halt.set()
        self.join()
        self.heard.close()
        self.said.close()


@contextmanager
def watched(scene):
    watcher = Watcher(scene.servera)
    with vpn(scene):
        yield
    watcher.close()
    scene.servera.run('ip', 'route', 'del', '172.16.9.0/24', ok=False)


@contextmanager
def under_guard(scene):
    with Guard(PROGRAM, scene.servera, scene.dir,
               ['openvpn', '--config', scene.world.office]) as guard:
        guard.connected()
        yield
        assert guard.stop(signal.SIGTERM) == 0


def events(scene):
    """A VPN that comes and goes, as datagrams feel it that have nothing to do
    with it."""
    child = scene.servera.popen(
        ['/usr/bin/python3', '-I', f'{WORLD}/lab/udp.py', UDP_PORT, A4],
        stdout=subprocess.PIPE)
    assert child.stdout.readline() == 'ready\n'
    scene.world.openvpn.give_a(PUSH)
    found = {}
    for _ in range(CYCLES):
        for name, around in (('unguarded', vpn), ('watched', watched),
                             ('guarded', under_guard)):
            flow = Datagrams(scene.world.laptop)
            with around(scene):
                time.sleep(HOLD)
            found.setdefault(name, []).append(flow.stop())
    scene.world.openvpn.give_a()
    hosts.stop(child)
    rows = []
    for name, felt in found.items():
        goal = {'goal': 0, 'at_most': True} if name == 'guarded' else {}
        rows += [table.Row(f'a VPN comes and goes, {name}: datagrams lost',
                           [lost for lost, _ in felt], '', **goal),
                 table.Row('  longest gap', [gap for _, gap in felt], 'ms')]
    return rows


def felt_with(scene):
    flow = Flow(scene.world.laptop, A4, 81, patience=60)
    for _ in range(CYCLES):
        with Guard(PROGRAM, scene.servera, scene.dir,
                   ['openvpn', '--config', scene.world.office]) as guard:
            guard.connected()
            time.sleep(0.3)
            assert guard.stop(signal.SIGTERM) == 0
    flow.stop()
    assert not flow.error, flow.error
    return flow


def felt_without(scene):
    lost = 0
    for _ in range(CYCLES):
        flow = Flow(scene.world.laptop, A4, 81, patience=PATIENCE)
        client = OpenVpnClient(scene.servera, scene.world.office,
                               scene.dir).wait()
        flow.join(PATIENCE + 5)
        client.close()
        lost += isinstance(flow.stop().error, TimeoutError)
    return lost


def felt(scene):
    child = scene.world.serve(scene.servera, 'host', 81)
    flow = felt_with(scene)
    lost = felt_without(scene)
    hosts.stop(child)
    return [table.Row(f'{CYCLES} times a VPN comes and goes, guarded: '
                      'segments lost', [flow.total_retransmits], '', 0,
                      at_most=True),
            table.Row('  its round trips meanwhile', [flow.count]),
            table.Row('  slowest of them', [flow.worst * 1e3], 'ms', 250,
                      at_most=True),
            table.Row(f'  unguarded: silent for {PATIENCE:g} s, of {CYCLES}',
                      [lost])]


def measure(scene):
    return (cost(scene) + memory(scene) + repair(scene) + events(scene) +
            felt(scene))
