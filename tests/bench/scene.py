# SPDX-License-Identifier: GPL-2.0-or-later
"""The hosts of the figures, in the sandbox and world of the world tests.

    near ---+--- servera   sallyport, with its VPN door up
            +--- bare      the service and nothing else
            `--- whale     dockerd

near is one cable away from each: a router between them would make all three
slower alike and their ratios kinder.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, '../..'))
sys.path.insert(0, os.path.join(ROOT, 'tests/world'))

# pylint: disable=wrong-import-position
from lab import host as hosts  # noqa: E402
from lab import sandbox  # noqa: E402
from lab.gate import Sallyport  # noqa: E402
from lab.host import join, until  # noqa: E402
from lab.vpn import Log  # noqa: E402
from lab.world import World  # noqa: E402

PROGRAM = os.environ.get('SALLYPORT') or os.path.join(ROOT, 'build/sallyport')

# Everything that is measured shares this CPU; the other is for the rest.
CPU = (os.cpu_count() or 1) - 1

# Before all processes of others on that CPU.
ALONE = ('chrt', '--fifo', '1')

NEAR_A, NEAR_BARE, NEAR_WHALE = '10.50.1.2', '10.50.2.2', '10.50.3.2'

CONF = '''
[room]
publish = {publish}
[door office]
vpn = {office}
'''


class Scene:
    def __init__(self, docker=True):
        sandbox.enter()
        self.world = World(serverb=False)
        self.dir = self.world.dir
        self.children = []
        self.load = os.path.join(self.dir, 'load')
        subprocess.run(['cc', '-O2', '-static', '-D_GNU_SOURCE', '-o',
                        self.load, os.path.join(HERE, 'load.c')], check=True)
        self.near = self.world.host('near')
        self.servera = self.world.servera
        self.bare = self.world.host('bare')
        for i, host in enumerate((self.servera, self.bare), 1):
            self._cable(host, i)
        self.sallyport = Sallyport(PROGRAM, self.world)
        self.docker = self._docker() if docker else None

    def _cable(self, host, number):
        join(self.near, f'to{number}', host, 'near')
        self.near.ip(f'addr add 10.50.{number}.1/24 dev to{number}')
        host.ip(f'addr add 10.50.{number}.2/24 dev near')

    def _docker(self):
        whale = self.world.host('whale', mounts=True)
        self._cable(whale, 3)
        return self.world.closing(Docker(whale, self.dir, self.load))

    def config(self, name='main', publish='80', extra=''):
        return self.sallyport.write(
            name, CONF.format(publish=publish, office=self.world.office) +
            extra)

    def serve(self, argv_of):
        """Starts the service; @argv_of(argv) starts @argv where it belongs."""
        child = argv_of([self.load, 'serve', CPU, 80])
        assert child.stdout.readline() == 'ready\n'
        self.children.append(child)
        return child

    def serve_room(self, name='main'):
        return self.serve(lambda argv: self.servera.popen(
            [PROGRAM, 'exec', name, '--', *argv], stdout=subprocess.PIPE))

    def measure(self, what, address, port=80, ms=1000, alone=False):
        return float(self.near.out(*(ALONE if alone else ()), self.load, what,
                                   CPU, address, port, ms))

    def rest(self):
        """Ends the services of one figure."""
        for child in self.children:
            hosts.stop(child)
        self.children = []

    def close(self):
        self.rest()
        self.world.close()


class Docker:
    """A real daemon with one image, which is the load program alone."""

    def __init__(self, host, directory, load):
        self.host = host
        self.dir = os.path.join(directory, 'docker')
        os.makedirs(self.dir)
        self.socket = f'unix:///{self.dir}/socket'
        self.log = Log(f'{self.dir}/log')
        config = hosts.keep(f'{self.dir}/daemon.json', json.dumps(
            {'runtimes': {'sallyport': {'path': PROGRAM, 'runtimeArgs': [
                'oci-runtime', '--require', '--']}}}))
        self.daemon = host.popen(
            ['dockerd', '--data-root', f'{self.dir}/data', '--exec-root',
             f'{self.dir}/exec', '-H', self.socket, '--pidfile',
             f'{self.dir}/pid', '--config-file', config],
            stdout=self.log.file, stderr=self.log.file)
        until(lambda: self('version', ok=False).returncode == 0,
              self.log.text, 30)
        tar = subprocess.run(
            ['tar', '-C', os.path.dirname(load), '-c', 'load'], check=True,
            capture_output=True).stdout
        subprocess.run(host.enter_argv(
            ['docker', '-H', self.socket, 'import', '-', 'load']), input=tar,
            check=True, capture_output=True)

    def __call__(self, *argv, **kw):
        return self.host.run('docker', '-H', self.socket, *argv,
                             timeout=60, **kw)

    def run(self, *argv):
        """A container with the service; its name."""
        name = self('run', '-d', *argv, 'load', '/load', 'serve', CPU,
                    80).stdout.strip()
        until(lambda: 'ready' in self('logs', name).stdout, 'it listens', 30)
        pid = self('inspect', '-f', '{{.State.Pid}}', name).stdout.strip()
        # An engine's cgroup may have no share of the FIFO schedule.
        self.host.run('renice', '-n', '-20', '-p', pid)
        return name

    def address(self, container):
        return self('inspect', '-f', '{{.NetworkSettings.IPAddress}}',
                    container).stdout.strip()

    def close(self):
        for container in self('ps', '-aq', ok=False).stdout.split():
            self('rm', '-f', container, ok=False)
        hosts.stop(self.daemon, seconds=20)
        self.log.close()
