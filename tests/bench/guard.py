# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guard of a bare host costs, and what a session feels of a VPN that
comes and goes beside it, with a guard and without."""
import re
import signal
import subprocess
import time

import table
from faults import RTM_DELRULE, RTM_NEWRULE, Rules
from lab import host as hosts
from lab.guard import Guard
from lab.host import until
from lab.probe import Flow
from lab.vpn import OpenVpnClient
from lab.world import A4
from scene import CPU, NEAR_A, PROGRAM

ROUNDS = 7
REMOVALS = 100
CYCLES = 10
PATIENCE = 4.0  # s, after which an unguarded session counts as lost


def guarded(scene, argv=()):
    return Guard(PROGRAM, scene.servera, scene.dir, list(argv)).wait_stands()


def serve(scene, port=80):
    child = scene.servera.popen([scene.load, 'serve', CPU, port],
                                stdout=subprocess.PIPE)
    assert child.stdout.readline() == 'ready\n'
    scene.children.append(child)


# What most servers have in any case: a firewall that knows of connections.
FIREWALL = '''table inet fw {
    chain in { type filter hook input priority 0; ct state established accept; }
}'''


def rates(scene, stateful):
    """{(kind, what): rate of each round}, kinds in turns."""
    if stateful:
        scene.servera.nft(FIREWALL)
    found = {(kind, what): [] for kind in ('with', 'without')
             for what in ('rr', 'conns')}
    for i in range(ROUNDS):
        for kind in ('with', 'without') if i % 2 else ('without', 'with'):
            guard = guarded(scene) if kind == 'with' else None
            for what in ('rr', 'conns'):
                found[kind, what].append(scene.measure(what, NEAR_A))
            if guard:
                guard.close()
    if stateful:
        scene.servera.run('nft', 'delete', 'table', 'inet', 'fw')
    return found


def cost(scene):
    serve(scene)
    rows = []
    for stateful, beside in ((True, 'beside a stateful firewall'),
                             (False, 'where nothing else tracks connections')):
        found = rates(scene, stateful)
        rows += [table.ratio(f'{words}, guard / none', found['with', what],
                             found['without', what], 0.98)
                 for what, words in (('rr', 'round trips/s'),
                                     ('conns', 'connections/s'))]
        rows[-2].title += f', {beside}'
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
    return cost(scene) + memory(scene) + repair(scene) + felt(scene)
