# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits of the host that a gate runs into and works with."""
import errno
import os
import socket

import pytest

from lab import probe
from lab.host import PATIENCE, cpu_seconds, descriptors, first_free, keep, until
from lab.state import difference, hoststate
from lab.world import A4, LAPTOP4

FD_SETSIZE = 1024  # libnftables waits with select()
MANY = range(20000, 20000 + FD_SETSIZE + 200)
CONF = '[room]\npublish = {}\n'


def is_held(host, port):
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        try:
            s.bind((A4, port))
        except OSError as err:
            return err.errno == errno.EADDRINUSE
    return False


def serve_and_ask(world, gate):
    gate.serve('room', 80)
    for port in MANY[0], MANY[-1]:
        got = probe.ask(world.laptop, 'tcp', A4, port)
        assert (got.by, got.saw) == ('room', LAPTOP4)


def many_ports():
    return CONF.format(' '.join(f'{port}:80' for port in MANY))


def test_more_ports_than_select_knows_descriptors(world, sallyport):
    """Each is bound on the host; the supervisor goes on to use libnftables."""
    before = hoststate(world.servera)
    tool = sallyport.after('many', 'ulimit -n 16384')
    with tool.up('many', many_ports()) as gate:
        serve_and_ask(world, gate)
        assert all(is_held(world.servera, port) for port in MANY)
        since = len(gate.log.text())
        world.servera.run('nft', 'flush', 'chain', 'inet', 'sallyport',
                          'to_room')
        gate.wait_log('nft table', since=since)
        serve = probe.ask_until_answered(world.laptop, 'tcp', A4, MANY[-1])
        assert serve.by == 'room'
        assert gate.status()['state'] == 'up'
    assert difference(before, hoststate(world.servera)) == ''


@pytest.mark.parametrize('limit', [FD_SETSIZE // 2, FD_SETSIZE,
                                   FD_SETSIZE + 256])
def test_fewer_descriptors_than_ports(world, sallyport, limit):
    """What cannot be bound is published all the same, and the ports leave
    descriptors for everything else, of those that select() knows."""
    tool = sallyport.after('few', f'ulimit -n {limit}')
    with tool.up('few', many_ports()) as gate:
        serve_and_ask(world, gate)
        assert is_held(world.servera, MANY[0])
        since = len(gate.log.text())
        world.servera.run('nft', 'delete', 'table', 'inet', 'sallyport')
        gate.wait_log('nft table', since=since)
        got = probe.ask_until_answered(world.laptop, 'tcp', A4, MANY[-1])
        assert got.by == 'room'
        assert gate.status()['state'] == 'up'


@pytest.fixture
def no_inotify(world, sallyport):
    """As when root's 128 instances are used up: taking them all would hurt
    whoever else runs on this machine. There are some again when file `free` is there."""
    return sallyport.preloaded('deaf', (
                  '#include <errno.h>\n'
                  '#include <sys/syscall.h>\n'
                  '#include <unistd.h>\n'
                  'int inotify_init1(int f);\n'
                  'int inotify_init1(int f)\n'
                  f'{{ if (access("{world.dir}/free", F_OK) == 0)\n'
                  '    return (int)syscall(SYS_inotify_init1, f);\n'
                  '  errno = EMFILE; return -1; }\n'))


def test_a_gate_without_inotify_says_what_it_does_not_hear(world, no_inotify):
    with no_inotify.up('deaf', CONF.format('8070:80')) as gate:
        gate.wait_log('fs.inotify.max_user_instances')
        gate.serve('deaf', 80)
        assert probe.ask(world.laptop, 'tcp', A4, 8070).by == 'deaf'
        assert gate.down().returncode == 0
    assert not os.path.exists(world.servera.path('/run/netns/deaf'))


def test_a_gate_hears_of_files_as_soon_as_there_is_inotify_again(world, no_inotify):
    def repaired(gate, what, *argv):
        since = len(gate.log.text())
        gate.host.run(*argv)
        gate.wait_log(what, since=since)
    with no_inotify.up('deaf', CONF.format('8070:80')) as gate:
        gate.wait_log('fs.inotify.max_user_instances')
        keep(f'{world.dir}/free', '')
        since = len(gate.log.text())
        # It looks a second after something was done.
        repaired(gate, 'nft table', 'nft', 'delete', 'table', 'inet', 'sallyport')
        gate.wait_log('instances of inotify again', since=since)
        repaired(gate, 'the name', 'ip', 'netns', 'del', 'deaf')
        assert gate.log.text().count('max_user_instances is used up') == 1
        os.unlink(f'{world.dir}/free')


@pytest.fixture
def no_new_routes(world, sallyport):
    """While file `nothing-left` is there the kernel has no memory for routes, so it seems."""
    return sallyport.preloaded('full', (
                  '#include <errno.h>\n'
                  '#include <linux/rtnetlink.h>\n'
                  '#include <sys/socket.h>\n'
                  '#include <sys/syscall.h>\n'
                  '#include <unistd.h>\n'
                  'ssize_t sendto(int s, const void *m, size_t n, int f,\n'
                  '               const struct sockaddr *to, socklen_t len)\n'
                  '{ const struct nlmsghdr *h = m;\n'
                  '  if (n > sizeof(*h) && h->nlmsg_type == RTM_NEWROUTE &&\n'
                  f'      access("{world.dir}/nothing-left", F_OK) == 0)\n'
                  '  { errno = ENOMEM; return -1; }\n'
                  '  return syscall(SYS_sendto, s, m, n, f, to, len); }\n'))


def test_the_kernels_own_routes_come_back_at_a_second_try(world, no_new_routes):
    """Nobody tells a second time that they went."""
    def local():
        return sorted(inner.out('ip', 'route', 'show', 'table', 'local').splitlines())
    with no_new_routes.up('full', CONF.format('8070:80')) as gate:
        with gate.inner as inner:
            before = local()
            keep(f'{world.dir}/nothing-left', '')
            inner.run('ip', 'route', 'flush', 'table', 'local')
            gate.wait_log('trying again every second')
            os.unlink(f'{world.dir}/nothing-left')
            until(lambda: local() == before, lambda: '\n'.join([*before, '', *local()]))


@pytest.fixture
def gate(sallyport):
    with sallyport.up('main', CONF.format(80)) as gate:
        gate.serve('room', 80)
        yield gate


def test_who_asks_a_gate_without_descriptors_waits_and_it_does_not_spin(world, gate):
    """The kernel tells again and again that somebody is there, who cannot be taken."""
    pid = gate.child.pid
    with world.servera.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        with descriptors(pid, 3):
            client.connect('\0sallyport/main')
            client.sendall(b'status\n')
            gate.wait_log('who asks has to wait: Too many open files')
            began = cpu_seconds(pid)
            client.settimeout(2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert cpu_seconds(pid) - began < 0.2
            assert probe.ask(world.laptop, 'tcp', A4, 80).by == 'room'
        client.settimeout(PATIENCE)
        assert client.recv(1) == b'{'
    assert gate.log.text().count('who asks has to wait') == 1
    # What it could not look at meanwhile it looks at a second later.
    until(lambda: gate.status()['state'] == 'up', gate.log.text)


def test_a_gate_that_has_its_last_descriptor_answers_and_goes(gate):
    with descriptors(gate.child.pid, first_free(gate.child.pid)):
        for _ in range(3):
            assert gate.status()['state'] == 'up'
        assert gate.down().returncode == 0
        gate.ended()
