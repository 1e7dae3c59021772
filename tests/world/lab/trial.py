# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport guard --confirm` by hand, in an ssh session of the laptop."""
import os
import re
import signal
from contextlib import contextmanager

from . import host as hosts
from .guard import Guard
from .host import PATIENCE, until
from .probe import ask
from .ssh import OPTIONS, SshServer
from .state import hoststate
from .vpn import Log
from .world import A4

CONFIRM = 6  # s

# A VPN client that keeps everybody out in spite of all rules and routes, and
# leaves a route, an address and a resolv.conf behind as well.
CUT = f'''
nft add table inet evil
nft add chain inet evil out '{{ type filter hook output priority 0; }}'
ip rule add from all lookup 4242 priority 5
ip rule add ipproto tcp sport 7778 lookup 4242 priority 6
ip route add 192.0.2.128/25 dev eth0
ip addr add 192.0.2.9/32 dev eth0
ip route change default via 172.16.5.1 dev eth0 src {A4}
echo nameserver 192.0.2.53 > /etc/resolv.conf
nft add rule inet evil out tcp sport 22 drop
nft add rule inet evil out icmp type echo-reply drop
exec sleep 1000
'''

TRIAL = 'inet sallyport-guard-trial'


@contextmanager
def tried(world):
    """@world with sshd on Server A, name servers of its own, and a service on port 80."""
    world.ssh = SshServer(world.servera, world.dir)
    # Of the client's it differs by a port only.
    world.servera.ip('rule add ipproto tcp sport 7777 lookup 4242 priority 6')
    hosts.keep(world.servera.path('/etc/resolv.conf'), 'nameserver 192.0.2.1\n')
    child = world.serve(world.servera, 'host', 80)
    yield world
    child.kill()
    world.ssh.close()


def end_orphans():
    """Commands whose guard was killed."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/environ', 'rb') as f:
                if b'SALLYPORT_GUARD=' in f.read():
                    os.kill(int(pid), signal.SIGTERM)
        except OSError:
            continue


class Terminal:
    """`sallyport guard` started by hand in an ssh session of the laptop."""

    count = 0

    def __init__(self, program, net, argv, tty=False, confirm=CONFIRM, options=()):
        self.net, self.program = net, program
        Terminal.count += 1
        self.log = Log(f'{net.dir}/terminal-{Terminal.count}.log')
        self.child = net.laptop.popen(
            ['ssh', *OPTIONS, *(['-tt'] if tty else []), '-i',
             f'{net.ssh.dir}/user', f'root@{A4}', program, 'guard',
             '--confirm', str(confirm), *options, *argv],
            stdout=self.log.file, stderr=self.log.file)

    def wait(self, *words):
        return until(lambda: all(w in self.log.text() for w in words),
                     lambda: f'{words} in {self.log.text()}', PATIENCE)

    def status(self):
        return Guard.status(self)

    @property
    def host(self):
        return self.net.servera

    def pids(self):
        """(guard, watchdog)"""
        found = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/comm') as f:
                    found[f.read().strip()] = int(pid)
            except OSError:
                continue
        return found.get('sallyport'), found.get('sallyport-watch')

    def close(self):
        hosts.stop(self.child, signal.SIGKILL)
        end_orphans()
        self.net.servera.run(self.program, 'guard', '--off', ok=False,
                             timeout=PATIENCE)
        self.log.close()


@contextmanager
def terminals(program, net):
    """Makes them, and closes them all."""
    made = []

    def make(argv, **kw):
        made.append(Terminal(program, net, argv, **kw))
        return made[-1]
    yield make
    for t in made:
        t.close()


def cut(net):
    return 'evil' in net.servera.out('nft', 'list', 'tables')


def answers(net):
    return ask(net.laptop, 'tcp', A4, 80, seconds=1).answered


def settled(host):
    """Without the clocks of what comes and goes by itself."""
    return re.sub(r'(?m)^/run/(sshd|etc/resolv).*\n', '', hoststate(host))


def tables(net):
    return net.servera.out('nft', 'list', 'tables')


def trial_process():
    """The parent of its watchdog, and that."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/status') as f:
                found = dict(l.split(':', 1) for l in f)
        except OSError:
            continue
        if found['Name'].strip() == 'sallyport-watch':
            return int(found['PPid']), int(pid)
    return None


def around(net):
    """Without the numbers of rules that the guard has written anew, and the clients
    that it has seen."""
    return re.sub(r' # handle \d+|\n\s+elements = \{[^}]*\}', '',
                  settled(net.servera))
