# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport driver`, beside a dockerd of the same host."""
import signal

from . import host as hosts
from . import world as worlds
from .container import UP
from .host import until

GATE = '''
[room]
[door lan]
[door office]
vpn = {office}
'''


class Driver:
    """Running, until the `with` ends."""
    SOCKET = '/run/docker/plugins/sallyport.sock'

    def __init__(self, sallyport, *argv):
        self.sallyport = sallyport
        self.argv = argv
        self.log = sallyport._log()

    @property
    def host_path(self):
        """Its socket, as the tests see it."""
        return self.sallyport.host.path(self.SOCKET)

    def start(self):
        since = len(self.log.text())
        self.child = self.sallyport.host.popen(
            [self.sallyport.program, 'driver', '--state',
             f'{self.sallyport.world.dir}/driver', *self.argv],
            stderr=self.log.file)
        self.wait('listens', since=since)
        return self

    def wait(self, *words, since=0):
        self.log.wait(*words, child=self.child, seconds=UP, since=since)

    def kill9(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def network(self, docker, name, *flags, **options):
        """By default the gate gives the addresses: Docker's pools, of which it
        takes one after the other, lie in the lab's VPN."""
        docker('network', 'create', '-d', 'sallyport',
               *(flags or ('--ipam-driver', 'null')),
               *[w for k, v in options.items() for w in ('-o', f'{k}={v}')],
               name)
        return docker

    def clear(self, docker):
        """Containers and networks of the test are gone."""
        names = docker('ps', '-aq').stdout.split()
        if names:
            docker('rm', '-f', *names)
        names = docker('network', 'ls', '-q', '--filter',
                       'driver=sallyport').stdout.split()
        if names:
            docker('network', 'rm', *names)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        hosts.stop(self.child)
        self.log.close()


def answered(world, gate, **kw):
    until(lambda: worlds.wrong_answers(world, seconds=1, **kw) == [],
          lambda: '\n'.join([gate.log.text(),
                             *worlds.wrong_answers(world, **kw)]), UP, 0.2)


def again(gate):
    """`up` in the place of a supervisor that is gone."""
    if gate.child.poll() is None:
        gate.stop()
    gate.notify.close()
    gate.log.close()
    gate.__init__(gate.tool, gate.name, ['up', gate.name])
    gate.wait_ready()
