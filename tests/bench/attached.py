# SPDX-License-Identifier: GPL-2.0-or-later
"""A container with and without `attach`: the same one, in turns."""
import time

import table
from scene import NEAR_WHALE, PROGRAM

ROUNDS = 7
MS = 800

UNITS = {'conns': ('new connections', 1, '/s'),
         'rr': ('requests, one connection', 1, '/s'),
         'fetch': ('throughput, service to client', 8e-9, 'Gbit/s')}


def tell(scene, verb, container):
    """In ms: the whole command, from fork to exit."""
    begin = time.monotonic()
    scene.docker.host.run(PROGRAM, verb, '--engine', scene.docker.socket,
                          container)
    return (time.monotonic() - begin) * 1000


def nothing(scene):
    begin = time.monotonic()
    scene.docker.host.run(PROGRAM, '--version')
    return (time.monotonic() - begin) * 1000


def measure(scene):
    container = scene.docker.run('-p', '80:80')
    took, idle = [], []
    found = {(what, how): [] for what in UNITS for how in ('plain', 'attached')}
    for _ in range(ROUNDS):
        for what in UNITS:
            found[what, 'plain'].append(
                scene.measure(what, NEAR_WHALE, 80, MS))
        idle.append(nothing(scene))
        took.append(tell(scene, 'attach', container))
        for what in UNITS:
            found[what, 'attached'].append(
                scene.measure(what, NEAR_WHALE, 80, MS))
        tell(scene, 'detach', container)
    rows = []
    for what, (title, scale, unit) in UNITS.items():
        rows.append(table.Row(f'{title}: attached',
                              table.scaled(found[what, 'attached'], scale),
                              unit))
        rows.append(table.ratio('  attached / the same without',
                                found[what, 'attached'], found[what, 'plain'],
                                0.97))
    rows.append(table.Row('attach, more than a command that does nothing',
                          [t - i for t, i in zip(took, idle)], 'ms', 10,
                          at_most=True))
    scene.docker('rm', '-f', container)
    return rows
