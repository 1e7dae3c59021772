# SPDX-License-Identifier: GPL-2.0-or-later
"""The lan door against the other ways to reach a service."""
import subprocess

import table
from lab.host import until
from scene import CPU, NEAR_A, NEAR_BARE, NEAR_WHALE

ROUNDS = 15
MS = 300

UNITS = {'conns': ('new connections', 1, '/s'),
         'rr': ('requests, one connection', 1, '/s'),
         'blocks': ('blocks of 60 kB, one at a time', 8e-9, 'Gbit/s'),
         'fetch': ('throughput, service to client', 8e-9, 'Gbit/s'),
         'send': ('throughput, client to service', 8e-9, 'Gbit/s')}


def docker_proxy(scene, container):
    """The userland proxy as dockerd starts it, on a port of its own: dockerd's
    is passed by whenever iptables can do it."""
    proxy = scene.docker.host.popen(
        ['sh', '-c', 'exec taskset -c "$@" 3>/dev/null', '-', CPU,
         'docker-proxy', '-proto', 'tcp', '-host-ip', NEAR_WHALE,
         '-host-port', 81, '-container-ip', scene.docker.address(container),
         '-container-port', 80], stderr=subprocess.DEVNULL)
    until(lambda: ':81 ' in scene.docker.host.out('ss', '-Hltn'),
          'docker-proxy listens')
    return proxy


def measure(scene):
    scene.serve(lambda argv: scene.bare.popen(argv, stdout=subprocess.PIPE))
    scene.config()
    with scene.sallyport.up('main'):
        scene.serve_room()
        container = scene.docker.run('-p', '80:80')
        docker_proxy(scene, container)
        ways = {'bare': (NEAR_BARE, 80), 'lan door': (NEAR_A, 80),
                'docker': (NEAR_WHALE, 80), 'docker-proxy': (NEAR_WHALE, 81)}
        found = table.alternate(
            {(what, way): (lambda what=what, to=to:
                           scene.measure(what, *to, MS))
             for what in UNITS for way, to in ways.items()}, ROUNDS)
    rows = []
    for what, (title, scale, unit) in UNITS.items():
        ours = found[what, 'lan door']
        rows.append(table.Row(f'{title}: lan door', table.scaled(ours, scale),
                              unit))
        for way, goal in (('bare', None), ('docker', 1.0),
                          ('docker-proxy', 1.0)):
            rows.append(table.ratio(f'  lan door / {way}', ours,
                                    found[what, way], goal))
        rows.append(table.ratio('  docker / bare', found[what, 'docker'],
                                found[what, 'bare']))
    scene.docker('rm', '-f', container)
    return rows
