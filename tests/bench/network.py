# SPDX-License-Identifier: GPL-2.0-or-later
"""A container of the network driver's against one that Docker's own network
publishes, on one host and of one image."""
import table
from lab.driver import Driver
from lab.gate import Sallyport
from scene import NEAR_WHALE, PROGRAM
from ways import UNITS

ROUNDS = 15
MS = 200
WHAT = 'conns', 'rr'


def measure(scene):
    tool = Sallyport(PROGRAM, scene.world, scene.docker.host)
    engine = scene.docker.socket.removeprefix('unix://')
    with Driver(tool, '--engine', engine) as driver, \
            tool.up('office', '[room]\n[door lan]\n'):
        driver.network(scene.docker, 'office', gate='office')
        names = [scene.docker.run('--network', 'office', '-p', '82:80'),
                 scene.docker.run('-p', '80:80')]
        found = table.alternate(
            {(what, port): (lambda what=what, port=port:
                            scene.measure(what, NEAR_WHALE, port, MS))
             for what in WHAT for port in (80, 82)}, ROUNDS)
        scene.docker('rm', '-f', *names)
        scene.docker('network', 'rm', 'office')
    for what in WHAT:
        title, scale, unit = UNITS[what]
        ours = found[what, 82]
        yield table.Row(f'{title}: driver', table.scaled(ours, scale), unit)
        yield table.ratio('  driver / docker', ours, found[what, 80])
