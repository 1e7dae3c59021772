# SPDX-License-Identifier: GPL-2.0-or-later
"""A real sshd, and sessions in it."""
import os
import select
import subprocess
import time

from . import host as hosts
from .host import PATIENCE, until
from .vpn import Log

OPTIONS = ('-oStrictHostKeyChecking=no', '-oUserKnownHostsFile=/dev/null',
           '-oBatchMode=yes', '-oLogLevel=ERROR')


class SshServer:
    def __init__(self, host, directory, port=22):
        self.dir = os.path.join(directory, f'ssh-{host.name}')
        os.makedirs(self.dir)
        for name in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '',
                            '-f', f'{self.dir}/{name}'], check=True)
        conf = hosts.keep(f'{self.dir}/conf', f'''
Port {port}
HostKey {self.dir}/host
AuthorizedKeysFile {self.dir}/user.pub
StrictModes no
PermitRootLogin yes
UsePAM no
UseDNS no
PidFile none
{self._environment()}''')
        host.run('mkdir', '-p', '/run/sshd')
        self.log = Log(f'{self.dir}/log')
        self.child = host.popen(['/usr/sbin/sshd', '-D', '-e', '-f', conf],
                                stdout=self.log.file, stderr=self.log.file)
        until(lambda: 'listening' in self.log.text()
              or self.child.poll() is not None, 'sshd listens')
        assert self.child.poll() is None, self.log.text()

    @staticmethod
    def _environment():
        """What tests/mutants/run has for a program that is started in a session."""
        without = os.environ.get('SALLYPORT_WITHOUT')
        return f'SetEnv SALLYPORT_WITHOUT={without}\n' if without else ''

    def session(self, client, address):
        return SshSession(client, address, f'{self.dir}/user')

    def run(self, client, address, command, seconds=PATIENCE):
        """What @command prints in a session of its own."""
        return client.run('ssh', *OPTIONS, '-i', f'{self.dir}/user',
                          f'root@{address}', command, ok=False,
                          timeout=seconds).stdout

    def close(self):
        hosts.stop(self.child)
        self.log.close()


class SshSession:
    """A session of root that echoes lines. said holds its SSH_CONNECTION."""

    def __init__(self, client, address, key):
        self.child = client.popen(
            ['ssh', *OPTIONS, '-i', key, f'root@{address}',
             'echo $SSH_CONNECTION; exec cat'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False,
            bufsize=0)
        self.address = address
        peer, port, *_ = self._line(PATIENCE).split()
        self.end = (peer, int(port))

    def _line(self, seconds):
        data = b''
        end = time.monotonic() + seconds
        while not data.endswith(b'\n'):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [],
                                              left)[0]:
                raise TimeoutError
            more = os.read(self.child.stdout.fileno(), 4096)
            if not more:
                raise ConnectionResetError
            data += more
        return data.decode()

    def answers(self, seconds):
        try:
            self.child.stdin.write(b'there?\n')
            return self._line(seconds) == 'there?\n'
        except OSError:
            return False

    def close(self):
        self.child.kill()
        hosts.stop(self.child)
