# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport driver`, beside a dockerd of the same host."""
import signal

from . import host as hosts
from .container import UP
from .host import until


class Driver:
    """Running, until the `with` ends."""
    SOCKET = '/run/docker/plugins/sallyport.sock'

    def __init__(self, sallyport, *argv):
        self.sallyport = sallyport
        self.argv = argv
        self.log = sallyport._log()

    def start(self):
        since = len(self.log.text())
        self.child = self.sallyport.host.popen(
            [self.sallyport.program, 'driver', '--state',
             f'{self.sallyport.world.dir}/driver', *self.argv],
            stderr=self.log.file)
        self.wait('listens', since=since)
        return self

    def wait(self, *words, since=0):
        until(lambda: [l for l in self.log.text()[since:].splitlines()
                       if all(w in l for w in words)] or
              self.child.poll() is not None,
              lambda: f'{words} in\n{self.log.text()}', UP)
        assert self.child.poll() is None, self.log.text()

    def kill9(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        hosts.stop(self.child)
        self.log.close()
