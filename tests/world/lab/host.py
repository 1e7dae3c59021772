# SPDX-License-Identifier: GPL-2.0-or-later
"""One host: a network namespace, and what is done in it.

A host made with mounts=True has a mount namespace of its own as well, with an
empty /run and a private copy of /etc, so that /run/netns, /run/sallyport,
/etc/sallyport and /etc/resolv.conf are that host's. Its mounts are shared
among its own processes, as under systemd.
"""
import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

from . import sandbox


# Seconds for what must happen. A pass does not wait for them, so that they can be
# many: the machine may be busy, and only a hang is too slow. Less for mutants,
# most of which fail.
PATIENCE = float(os.environ.get('SALLYPORT_PATIENCE', 60))


class TimedOut(AssertionError):
    """Something that had to happen did not, in time."""


def until(probe, what, seconds=PATIENCE, pause=0.02):
    """Returns the first true value of @probe(). @what may be a function: the
    state at the end is of more use than that at the beginning."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise TimedOut(f'not within {seconds} s: {text}')
        time.sleep(pause)


@contextlib.contextmanager
def netns(fd):
    """Sockets made inside belong to the network namespace @fd."""
    home = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
    try:
        sandbox.setns(fd, sandbox.CLONE_NEWNET)
        yield
    finally:
        sandbox.setns(home, sandbox.CLONE_NEWNET)
        os.close(home)


def new_netns():
    home = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
    try:
        sandbox.unshare(sandbox.CLONE_NEWNET)
        return os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
    finally:
        sandbox.setns(home, sandbox.CLONE_NEWNET)
        os.close(home)


class Failed(AssertionError):
    def __init__(self, name, argv, done):
        super().__init__(f'{name}: {" ".join(argv)}: exit {done.returncode}\n'
                         f'{done.stdout}{done.stderr}')


# A private /run and /etc, and mounts shared within the host.
HOLD = '''
mount --make-rprivate / &&
mount -t tmpfs -o mode=755 run /run &&
mkdir /run/lock /run/etc && cp -a /etc/. /run/etc/ &&
mount --bind /run/etc /etc &&
mkdir -p /etc/sallyport && rm -f /etc/resolv.conf &&
mount --make-rshared / && echo ready && exec sleep infinity
'''


class Commands:
    """What is run where @enter_argv leads."""

    def run(self, *argv, ok=True, timeout=PATIENCE, input=None, env=None):
        argv = [str(a) for a in argv]
        done = subprocess.run(self.enter_argv(argv), text=True, input=input,
                              capture_output=True, timeout=timeout, env=env)
        if ok and done.returncode:
            raise Failed(self.name, argv, done)
        return done

    def out(self, *argv, **kw):
        return self.run(*argv, **kw).stdout

    def ip(self, *lines):
        """Lines of ip(8), all in one process."""
        self.run('ip', '-batch', '-', input='\n'.join(lines) + '\n')


def is_stopped(pid):
    with open(f'/proc/{pid}/stat') as f:
        return f.read().rpartition(')')[2].split()[0] == 'T'


@contextlib.contextmanager
def stopped(pid):
    """@pid stands still while things happen that it hears of all at once."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: is_stopped(pid), f'{pid} stands still', PATIENCE)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def flood_of_nft(host, then):
    """On @host more news of one nft transaction than a socket of ours has room for (16
    MiB), and after it @then(): of both not even the ends are heard, by which they are known."""
    elements = ', '.join(f'10.{i >> 16}.{i >> 8 & 255}.{i & 255}' for i in range(200000))
    host.run('nft', '-f', '-', input='add table inet flood\n'
             'add set inet flood s { type ipv4_addr; }\n'
             f'add element inet flood s {{ {elements} }}')
    then()
    # protocol 12, NFNLGRP_NFTABLES; drops
    lost = [int(l.split()[8]) for l in host.out('cat', '/proc/net/netlink').splitlines()
            if l.split()[1] == '12' and l.split()[3] == '00000040']
    assert lost and min(lost) > 0, lost


class Namespace(Commands):
    """Whose sockets are made in the network namespace @self.fd."""

    def inside(self):
        return netns(self.fd)

    def socket(self, *args):
        with self.inside():
            s = socket.socket(*args)
        s.setblocking(False)
        return s


class Host(Namespace):
    """See the module's comment. close() ends its processes."""

    def __init__(self, name, mounts=False):
        self.name = name
        self.fd = new_netns()
        self.holder = None
        self.children = []
        self.sysctl('net/ipv6/conf/all/accept_dad', 0)
        self.sysctl('net/ipv6/conf/default/accept_dad', 0)
        self.sysctl('net/ipv6/conf/default/accept_ra', 0)
        self.ip('link set lo up')
        if mounts:
            self._hold()

    def _hold(self):
        self.holder = subprocess.Popen(
            ['nsenter', f'--net={self.net}', 'unshare', '-m', 'sh', '-c', HOLD],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        line = self.holder.stdout.readline()
        assert line == 'ready\n', f'{self.name}: no private mounts'

    @property
    def net(self):
        return f'/proc/{os.getpid()}/fd/{self.fd}'

    @property
    def root(self):
        """Where this host's files are seen from the tests."""
        return f'/proc/{self.holder.pid}/root' if self.holder else '/'

    def path(self, path):
        return self.root.rstrip('/') + path

    def enter_argv(self, argv, netns_path=None):
        pre = ['nsenter', f'--net={netns_path or self.net}']
        if self.holder:
            pre.append(f'--mount=/proc/{self.holder.pid}/ns/mnt')
        return pre + ['--'] + [str(a) for a in argv]

    # Commands -----------------------------------------------------------

    def popen(self, argv, **kw):
        """The pid of the result is the command's own."""
        kw.setdefault('stdin', subprocess.DEVNULL)
        kw.setdefault('text', True)
        child = subprocess.Popen(self.enter_argv(argv), **kw)
        self.children.append(child)
        return child

    def nft(self, text):
        self.run('nft', '-f', '-', input=text)

    def sysctl(self, key, value=None):
        """@key with slashes: interface names have dots."""
        path = '/proc/sys/' + key
        with netns(self.fd):
            with open(path, 'r+' if value is not None else 'r') as f:
                if value is None:
                    return f.read().strip()
                f.write(str(value))
                return None

    def router(self):
        self.sysctl('net/ipv4/ip_forward', 1)
        self.sysctl('net/ipv6/conf/all/forwarding', 1)

    def close(self):
        for child in self.children:
            stop(child)
        if self.holder:
            self.holder.kill()
            self.holder.wait()
            self.holder.stdout.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Within(Namespace):
    """A namespace inside a host, by the name under which it stands in that
    host's /run/netns: a gate or a room. Sockets and commands go there."""

    def __init__(self, host, name):
        self.host = host
        self.name = name
        self.fd = os.open(host.path(f'/run/netns/{name}'), os.O_RDONLY)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def enter_argv(self, argv):
        return self.host.enter_argv(argv, f'/proc/{os.getpid()}/fd/{self.fd}')

    def sysctl(self, key, value=None):
        return Host.sysctl(self, key, value)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def stop(child, sig=signal.SIGTERM, seconds=PATIENCE):
    """Ends one process that we started, and waits for it."""
    if child.poll() is None:
        child.send_signal(signal.SIGCONT)
        child.send_signal(sig)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for f in (child.stdin, child.stdout, child.stderr):
        if f:
            f.close()
    return child.returncode


def join(a, a_name, b, b_name, mtu=1500):
    """A veth between two hosts, both ends up."""
    a.run('ip', 'link', 'add', a_name, 'mtu', mtu, 'type', 'veth',
          'peer', 'name', b_name, 'netns', b.net)
    a.ip(f'link set {a_name} up')
    b.ip(f'link set {b_name} mtu {mtu} up')


def keep(path, text, mode=0o644):
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def descriptors(pid, limit):
    """Process @pid gets no descriptor from number @limit on."""
    was = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, was[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it was asked to end
            resource.prlimit(pid, resource.RLIMIT_NOFILE, was)


def first_free(pid):
    """The first number of a descriptor that it does not have."""
    used = {int(name) for name in os.listdir(f'/proc/{pid}/fd')}
    return next(n for n in range(len(used) + 1) if n not in used)


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat') as f:
        words = f.read().rpartition(')')[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')
