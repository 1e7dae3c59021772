# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport guard` on a host of the world, and sessions that must not feel it."""
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

from . import host as hosts
from . import probe
from .host import PATIENCE, until
from .ssh import OPTIONS, SshServer
from .vpn import Log
from .world import MALLORY4


@contextmanager
def lived_in(world):
    """@world with sshd on Server A and on its neighbour, who feels nothing of a
    guard, and a service on Server A's port 80."""
    world.ssh = SshServer(world.servera, world.dir)
    world.beside = SshServer(world.mallory, world.dir)
    world.beside.address = MALLORY4
    child = world.serve(world.servera, 'host', 80)
    yield world
    child.kill()
    world.ssh.close()
    world.beside.close()


@contextmanager
def ike_daemon(host):
    """Somebody who speaks with the kernel about IPsec, as an IKE daemon does."""
    child = host.popen(['ip', 'xfrm', 'monitor'])
    until(lambda: re.search(r'(?m)^\w+ +6 +[1-9]', host.out('cat', '/proc/net/netlink')),
          'it listens', PATIENCE)
    yield child
    child.kill()
    child.wait()


@contextmanager
def quiet_session(host, address, client, port=5000):
    """A TCP connection on which nobody speaks yet: the end of @host, and the client's."""
    with host.socket(probe.family_of(address), socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(PATIENCE)
        listener.bind((address, port))
        listener.listen()
        with probe.connect(client, address, port) as there, listener.accept()[0] as here:
            here.settimeout(PATIENCE)
            yield here, there


# All of the name sallyport-guard; the last two are the hooks' own families.
FAMILIES = ('inet', 'ip', 'ip6')


def tables(host, *flags):
    """What nftables says of them, '' where there are none."""
    return ''.join(host.run('nft', *flags, 'list', 'table', family,
                            'sallyport-guard', ok=False).stdout
                   for family in FAMILIES)


class Guard:
    """A running guard with its command. Leaving the `with` ends both."""

    def __init__(self, program, host, directory, argv, options=(), **kw):
        self.program = program
        self.host = host
        Guard.count = getattr(Guard, 'count', 0) + 1
        self.log = Log(os.path.join(directory, f'guard-{Guard.count}.log'))
        self.argv = [program, 'guard', *options]
        if argv:
            self.argv += ['--', *argv]
        self.child = host.popen(self.argv, stdout=self.log.file,
                                stderr=self.log.file, **kw)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait_log(self, *words, seconds=PATIENCE, since=0):
        return self.log.wait(*words, child=self.child, seconds=seconds,
                             since=since)

    def wait_stands(self):
        until(lambda: self.status() or self.child.poll() is not None,
              self.log.text, PATIENCE)
        assert self.child.poll() is None, self.log.text()
        return self

    def connected(self, since=0):
        self.wait_log('Initialization Sequence Completed', since=since)
        return self

    def status(self):
        done = self.host.run(self.program, 'guard', '--status', '--json',
                             ok=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def command_pid(self):
        return until(lambda: (self.status() or {}).get('pid'),
                     'the command runs', PATIENCE)

    def kill9(self):
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def stop(self, sig=signal.SIGTERM, seconds=PATIENCE):
        return hosts.stop(self.child, sig, seconds)

    def off(self, ok=True):
        return self.host.run(self.program, 'guard', '--off', ok=ok,
                             timeout=PATIENCE)

    def close(self):
        self.stop()
        self.off(ok=False)
        self.log.close()


class Lines(threading.Thread):
    """A real ssh session: numbered lines there every 5 ms, and each back."""

    def __init__(self, server, client, address, interval=0.005):
        super().__init__(daemon=True)
        self.child = client.popen(
            ['ssh', *OPTIONS, '-i', f'{server.dir}/user', f'root@{address}',
             'echo ready; exec cat'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=False, bufsize=0)
        self.name = f'{client.name} to {address}'
        self.out = self.child.stdout.fileno()
        self.into = self.child.stdin.fileno()
        os.set_blocking(self.into, False)
        assert self._first() == b'ready\n', self.child.stderr.read()
        self.interval = interval
        self.sent = []      # when, by number
        self.came = []      # the numbers that came back, in order
        self.worst = 0.0    # s, of a line and its echo
        self.rest = b''
        self.halt = threading.Event()
        self.start()

    def _first(self):
        data = b''
        end = time.monotonic() + PATIENCE
        while not data.endswith(b'\n') and time.monotonic() < end:
            if select.select([self.out], [], [], 1)[0]:
                more = os.read(self.out, 4096)
                if not more:
                    break
                data += more
        return data

    def _read(self):
        data = os.read(self.out, 1 << 16)
        now = time.monotonic()
        if not data:
            return False
        *lines, self.rest = (self.rest + data).split(b'\n')
        for line in lines:
            n = int(line)
            self.came.append(n)
            self.worst = max(self.worst, now - self.sent[n])
        return True

    def _send(self):
        try:
            os.write(self.into, b'%d\n' % len(self.sent))
        except BlockingIOError:  # nothing goes any more
            return
        self.sent.append(time.monotonic())

    def run(self):
        due = time.monotonic()
        try:
            while not self.halt.is_set():
                wait = max(0, due - time.monotonic())
                if select.select([self.out], [], [], wait)[0] and \
                        not self._read():
                    return
                if time.monotonic() >= due:
                    self._send()
                    due = time.monotonic() + self.interval
        except OSError:
            return

    def _drain(self, seconds):
        end = time.monotonic() + seconds
        while len(self.came) < len(self.sent) and time.monotonic() < end:
            if select.select([self.out], [], [], 0.1)[0] and not self._read():
                return

    def stop(self, seconds=PATIENCE):
        """Waits for every line that was sent, and says how it went."""
        self.halt.set()
        self.join()
        self._drain(seconds)
        self.child.kill()
        hosts.stop(self.child)
        waiting = [time.monotonic() - self.sent[n]
                   for n in range(len(self.came), len(self.sent))]
        self.worst = max([self.worst, *waiting])
        return self

    @property
    def lost(self):
        return len(self.sent) - len(self.came)


class Sessions:
    """Several at once, and one to a host that has no VPN: what the machine
    itself holds up is not the guard's doing."""

    GAP = 0.250  # s

    def __init__(self, server, control, ends):
        self.control = Lines(control, *ends[0][:1], control.address)
        self.lines = [Lines(server, client, address)
                      for client, address in ends]

    def wait_lines(self, n=40):
        """Until each has had so many more echoes."""
        want = [len(l.came) + n for l in self.lines]
        until(lambda: all(len(l.came) >= w for l, w in zip(self.lines, want)),
              lambda: f'{n} more lines: {[(l.name, l.lost) for l in self.lines]}',
              PATIENCE)

    def wrong(self, seconds=PATIENCE):
        """Ends them; a line of text for each that was not as it must be."""
        said = []
        for lines in self.lines:
            lines.stop(seconds)
        self.control.stop(seconds)
        for lines in self.lines:
            if lines.lost or lines.came != list(range(len(lines.came))):
                said.append(f'{lines.name}: {lines.lost} of {len(lines.sent)} '
                            'lines lost')
            if lines.worst > self.GAP + self.control.worst:
                said.append(f'{lines.name}: a gap of {lines.worst:.3f} s, the '
                            f'session beside it {self.control.worst:.3f} s')
        return said


def guarded(program, world, argv=None):
    """On Server A; without @argv with the office's OpenVPN."""
    if argv is None:
        argv = ['openvpn', '--config', world.office]
    return Guard(program, world.servera, world.dir, argv)
