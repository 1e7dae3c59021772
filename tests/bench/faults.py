# SPDX-License-Identifier: GPL-2.0-or-later
"""A flow by the lan door while a VPN pushes routes, while somebody removes
rules, and while the tunnel is restarted."""
import os
import select
import signal
import socket
import struct
import threading
import time

import table
from lab.host import until
from lab.probe import Flow
from lab.sniff import ICMP, Sniffer
from lab.world import VPN_GW4
from scene import NEAR_A

PUSHES = 200
REMOVALS = 200
RESTARTS = 100
KILLS = 5

NEAR = '10.50.1.1'

RTMGRP_IPV4_RULE = 0x80
RTM_NEWRULE, RTM_DELRULE = 32, 33


class Load(threading.Thread):
    """Connections without a pause until stop()."""

    def __init__(self, scene):
        super().__init__(daemon=True)
        self.scene = scene
        self.halt = threading.Event()
        self.rates = []
        self.start()

    def run(self):
        while not self.halt.is_set():
            self.rates.append(self.scene.measure('conns', NEAR_A, 80, 300))

    def stop(self):
        self.halt.set()
        self.join(20)
        assert self.rates, 'the load had no answers'


def push(inner):
    """What a VPN client does when it is told of routes: /17 to /32 around the
    client, each many times, each withdrawn again."""
    for i in range(PUSHES):
        size = 17 + i % 16
        bits = int.from_bytes(socket.inet_aton(NEAR), 'big')
        net = socket.inet_ntoa(
            (bits >> (32 - size) << (32 - size)).to_bytes(4, 'big'))
        inner.ip(f'route replace {net}/{size} via {VPN_GW4} dev office')
        if i >= 16:
            inner.ip(f'route del {net}/{size} via {VPN_GW4} dev office',
                     f'route replace {net}/{size} via {VPN_GW4} dev office')


def misrouted(scene, gate):
    """Seen at both ends of the tunnel: in the gate and at the VPN server."""
    with gate.inner as inner, gate.room() as room, \
            Sniffer(inner, 'office') as here, \
            Sniffer(scene.world.vpnsrv, 'tun0') as there:
        load = Load(scene)
        push(inner)
        load.stop()
        room.run('ping', '-n', '-c', '1', '-W', '2', VPN_GW4)
        wrong = 0
        for ear in (here, there):
            assert ear.wait_for(lambda p: p.proto == ICMP), 'a deaf sniffer'
            wrong += len(ear.seen(lambda p: NEAR in (p.src, p.dst)))
        inner.run('sh', '-c', f'ip route flush table main via {VPN_GW4} '
                  f'root 10.50.0.0/16; true')
    return [table.Row(f'packets misrouted in {PUSHES} pushed routes', [wrong],
                      '', 0, at_most=True),
            table.Row('  connections/s meanwhile', load.rates, '/s')]


class Rules:
    """Hears of rules that come and go."""

    def __init__(self, where):
        with where.inside():
            self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self.s.bind((0, RTMGRP_IPV4_RULE))
        self.s.setblocking(False)

    def wait(self, kind, seconds=5):
        end = time.monotonic() + seconds
        p = select.poll()
        p.register(self.s, select.POLLIN)
        while p.poll(max(0, end - time.monotonic()) * 1e3):
            now = time.monotonic()
            data = self.s.recv(65536)
            if struct.unpack_from('=IH', data)[1] == kind:
                return now
        raise AssertionError('the rule did not come back')


def repair(gate):
    taken = []
    with gate.inner as inner:
        lines = [l.split(':', 1)[1].split() for l in
                 inner.out('ip', 'rule').splitlines()
                 if l.startswith('0:') and 'local' not in l]
        heard = Rules(inner)
        for i in range(REMOVALS):
            inner.run('ip', 'rule', 'del', 'pref', '0', *lines[i % len(lines)])
            gone = heard.wait(RTM_DELRULE)
            taken.append((heard.wait(RTM_NEWRULE) - gone) * 1e3)
            until(lambda: len(inner.out('ip', 'rule').splitlines()) >=
                  len(lines) + 3, 'all rules are there')
        heard.s.close()
    return [table.Row(f'a removed rule is back, median of {REMOVALS}', taken,
                      'ms'),
            table.Row('  worst', [max(taken)], 'ms')]


def has_link(inner, name):
    with inner.inside():
        return name in (n for _, n in socket.if_nameindex())


def restart(gate, inner, sig):
    """Returns when the tunnel's device has gone and come back, or it is
    plain that this client kept it."""
    pid = until(gate.vpn_pid, 'the VPN client runs', 40)
    os.kill(pid, sig)
    try:
        until(lambda: not has_link(inner, 'office'), 'gone', 0.3, 0.002)
    except AssertionError:
        return
    until(lambda: has_link(inner, 'office'), 'back', 40, 0.01)


def restarts(scene, gate):
    gate.serve('room', 81)
    with gate.inner as inner:
        flow = Flow(scene.near, NEAR_A, 81)
        begin = time.monotonic()
        for _ in range(RESTARTS):
            restart(gate, inner, signal.SIGUSR1)
        for _ in range(KILLS):
            restart(gate, inner, signal.SIGKILL)
        taken = time.monotonic() - begin
        flow.stop()
    assert not flow.error, flow.error
    title = f'{RESTARTS} tunnel restarts and {KILLS} kills of the client'
    return [table.Row(f'{title}:', [taken], 's'),
            table.Row('  segments lost by a lan-door flow',
                      [flow.total_retransmits], '', 0, at_most=True),
            table.Row('  its round trips meanwhile', [flow.count]),
            table.Row('  slowest of them', [flow.worst * 1e3], 'ms')]


def measure(scene):
    scene.config(publish='80 81')
    with scene.sallyport.up('main') as gate:
        scene.serve_room()
        return misrouted(scene, gate) + repair(gate) + restarts(scene, gate)
