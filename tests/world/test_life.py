# SPDX-License-Identifier: GPL-2.0-or-later
"""A gate's beginning and end, when two want it at the same moment, and at a terminal."""
import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios

import pytest

from lab import host as hosts
from lab.host import until

pytestmark = pytest.mark.usefixtures('as_it_was')

PLAIN = '[room]\npublish = 80\n'
STUBBORN = PLAIN + '''
[door stubborn]
command = trap '' TERM; echo stays; while :; do sleep 1; done
'''


@contextlib.contextmanager
def others_turn(host):
    """Another gate starts or ends, and takes its time."""
    os.makedirs(host.path('/run/netns'), exist_ok=True)
    fd = os.open(host.path('/run/netns'), os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def has_open(sallyport, pid, what):
    """The program, not what becomes it."""
    with open(f'/proc/{pid}/cmdline') as f:
        if not f.read().startswith(f'{sallyport.program}\0'):
            return False
    fds = f'/proc/{pid}/fd'
    with contextlib.suppress(FileNotFoundError):
        return any(what in os.readlink(f'{fds}/{fd}') for fd in os.listdir(fds))


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children') as f:
        return [int(p) for p in f.read().split()]


def waits_for_its_turn(sallyport, pid):
    return has_open(sallyport, pid, '/run/netns')


# One gate, two who want something of it -------------------------------------------

@pytest.mark.parametrize('time', range(3))
def test_what_is_left_of_a_gate_is_taken_away_before_the_next_one_begins(
        world, sallyport, time):
    """Or else all of the new one goes with it."""
    gate = sallyport.up('turns', PLAIN)
    gate.kill9()
    gate.notify.close()
    with others_turn(world.servera):
        down = world.servera.popen([sallyport.program, 'down', 'turns'],
                                   stderr=subprocess.PIPE)
        until(lambda: waits_for_its_turn(sallyport, down.pid), 'down waits')
        new = sallyport.up('turns', ready=False)
        until(lambda: has_open(sallyport, new.child.pid, 'socket:'),
              'up has begun')
    with new:
        assert down.wait(60) == 0, down.stderr.read()
        new.wait_ready()
        assert new.status()['repairs'] == [] and 'repaired' not in new.log.text()


def test_up_waits_for_a_gate_that_ends(world, sallyport):
    """Whose client takes its time to say goodbye."""
    gate = sallyport.up('slow', STUBBORN, ready=False)
    gate.wait_log('stubborn: stays')
    down = world.servera.popen([sallyport.program, 'down', 'slow'], stderr=subprocess.PIPE)
    until(lambda: gate.status()['state'] == 'ending', 'it ends')
    with sallyport.up('slow', PLAIN) as new:
        assert down.wait(60) == 0, down.stderr.read()
        assert gate.ended() == 0
        assert new.status()['state'] == 'up'
    gate.notify.close()


def test_two_who_take_down_one_gate_both_have_it(world, sallyport):
    gate = sallyport.up('twice', STUBBORN, ready=False)
    gate.wait_log('stubborn: stays')
    downs = [world.servera.popen([sallyport.program, 'down', 'twice'],
                                 stderr=subprocess.PIPE) for _ in range(2)]
    assert [(d.wait(60), d.stderr.read()) for d in downs] == [(0, '')] * 2
    assert gate.ended() == 0
    assert sallyport('down', 'twice').returncode == 1
    gate.notify.close()


def test_many_gates_that_begin_and_end_at_once(world, sallyport):
    """Of one that has gone while status asked it, it does not say that it stands."""
    names = [f'many{i}' for i in range(12)]
    for i, name in enumerate(names):
        sallyport.write(name, f'[room]\npublish = {8000 + i} {8000 + i}/udp\n')
    children = [world.servera.popen([sallyport.program, 'up', name], stderr=subprocess.PIPE)
                for name in names]

    def states():
        return [g['state'] for g in sallyport.status()['gates']]
    until(lambda: states() == ['up'] * len(names), states)
    for child in children:
        child.send_signal(signal.SIGTERM)
    seen = set()
    while now := states():
        seen.update(now)
    assert 'unsupervised' not in seen
    for child in children:
        assert child.wait(60) == 0
        with child.stderr as log:
            assert len(log.readlines()) == 2  # the lan door, and every door, answers


# Its seconds of waiting are hours.
FAST = r'''
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *t)
{
	static time_t start;
	int r = (int)syscall(SYS_clock_gettime, clock, t);

	if (r == 0 && clock == CLOCK_BOOTTIME) {
		if (!start)
			start = t->tv_sec;
		t->tv_sec += (t->tv_sec - start) * 100;
	}
	return r;
}
'''


def test_a_door_that_does_not_answer_keeps_the_service_manager_waiting_a_minute(
        sallyport):
    """Which then would end the others with it, and all connections through them."""
    fast = sallyport.preloaded('fast', FAST)
    with fast.up('patient', PLAIN + '[door never]\ncommand = exec sleep 600\n') as gate:
        assert 'STATUS=waits for these doors: never' in '\n'.join(gate.notify.said)
        assert sallyport.status('patient')['gates'][0]['state'] == 'partly up'


# A terminal -------------------------------------------------------------------------

class Terminal:
    """Of which the program that runs there is the session's leader."""

    def __init__(self, host, *argv):
        argv = host.enter_argv(argv)
        self.said = ''
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvp(argv[0], argv)

    def wait_for(self, word):
        def is_there():
            if word not in self.said and select.select([self.fd], [], [], 1)[0]:
                self.said += os.read(self.fd, 4096).decode()
            return word in self.said
        until(is_there, lambda: f'{word}: {self.said}')

    def type(self, keys):
        os.write(self.fd, keys)

    def hang_up(self):
        os.close(self.fd)
        self.fd = -1

    def status(self):
        done = until(lambda: (lambda got: got if got[0] else None)(
            os.waitpid(self.pid, os.WNOHANG)), lambda: f'it ends: {self.said}')
        self.pid = 0
        return os.waitstatus_to_exitcode(done[1])

    def close(self):
        if self.fd >= 0:
            self.hang_up()
        if self.pid:
            self.status()


def run_argv(sallyport, *command):
    return [sallyport.program, 'run', '--name', 'tty', '--', *command]


@contextlib.contextmanager
def terminal(host, *argv):
    t = Terminal(host, *argv)
    try:
        yield t
    finally:
        t.close()


SERVICE = 'sh', '-c', 'echo "rea""dy"; exec sleep 600'


@pytest.mark.parametrize('of_its_own', [('timeout', '599'), ('setsid',), ()])
def test_ctrl_c_ends_a_command_in_a_process_group_of_its_own(sallyport, of_its_own):
    """Which the terminal does not tell: only whoever stands in its foreground."""
    with terminal(sallyport.host, *run_argv(sallyport, *of_its_own, *SERVICE)) as t:
        t.wait_for('ready')
        t.type(b'\x03')
        assert t.status() == 128 + signal.SIGINT


def test_a_terminal_that_goes_away_ends_the_command(sallyport):
    """As `ssh -t host sallyport run ...` when the way there breaks."""
    with terminal(sallyport.host, *run_argv(sallyport, *SERVICE)) as t:
        t.wait_for('ready')
        t.hang_up()
        assert t.status() == 128 + signal.SIGHUP


def test_the_log_stops_nothing_where_a_terminal_stops_who_writes_behind_others(sallyport):
    """A shell in the room is the terminal's foreground, and the supervisor is not."""
    with terminal(sallyport.host, *SHELL) as t:
        argv = ' '.join(run_argv(sallyport, *SHELL))
        t.type(f'stty tostop; {argv}; echo "status" $?; exit\n'.encode())
        t.wait_for('every door answers')
        t.type(b'nsenter -n -t $PPID ip rule del pref 0 to 198.18.0.0/15\n')
        t.wait_for('repaired')
        t.type(b'exit 4\n')
        t.wait_for('status 4')


SHELL = 'bash', '--norc', '--noprofile', '-i'


@contextlib.contextmanager
def shell_with_job(sallyport, *command, background=''):
    """A shell, and in it `run`; when it ends the shell says how."""
    with terminal(sallyport.host, *SHELL) as t:
        t.type(f'{" ".join(run_argv(sallyport, *command))} {background}\n'.encode())
        t.wait_for('every door answers')
        yield t


def repairs_go_on(sallyport, t):
    """The terminal is the shell's, and the supervisor none the worse."""
    t.type(b'echo she"ll" has it\n')
    t.wait_for('shell has it')
    gate = sallyport.status('tty')['gates'][0]
    assert gate['state'] == 'up'
    assert not hosts.is_stopped(gate['supervisor_pid'])
    sallyport.host.run('ip', 'rule', 'del', 'pref', '0', 'to', '198.18.0.0/15')
    t.wait_for('repaired')


def foreground(t, canonical=False):
    """The job goes on there; a line typed before the modes are as they were is lost."""
    shell = os.tcgetpgrp(t.fd)
    t.type(b'fg\n')
    until(lambda: os.tcgetpgrp(t.fd) != shell and
          (not canonical or termios.tcgetattr(t.fd)[3] & termios.ICANON),
          'it has the terminal')


@pytest.mark.parametrize('stop', ['suspend', 'kill -TSTP $$; kill -STOP $$'])
def test_a_shell_in_the_room_that_suspends_itself_gives_the_terminal_back(sallyport, stop):
    with shell_with_job(sallyport, *SHELL) as t:
        t.type(f'ip -br link; {stop}\n'.encode())
        t.wait_for('Stopped')
        repairs_go_on(sallyport, t)
        foreground(t)
        t.type(b'echo ro"om" $(ls /sys/class/net | wc -l)\n')
        t.wait_for('room ')
        t.type(b'exit 4\n')
        until(lambda: not sallyport.status()['gates'], 'it ends')
        t.type(b'echo "status" $?\n')
        t.wait_for('status 4')


def reads_on_to_its_end(sallyport, t):
    """cat(1), which the terminal has stopped."""
    repairs_go_on(sallyport, t)
    foreground(t, canonical=True)
    t.type(b'two\n')
    t.wait_for('two\r\ntwo')
    t.type(b'\x04')
    until(lambda: not sallyport.status()['gates'], 'it ends')


@pytest.mark.parametrize('of_its_own', [(), ('env',), ('timeout', '--foreground', '599')])
def test_ctrl_z_stops_the_command_and_not_the_gate(sallyport, of_its_own):
    with shell_with_job(sallyport, *of_its_own, 'cat') as t:
        t.type(b'one\n')
        t.wait_for('one\r\none')
        t.type(b'\x1a')
        t.wait_for('Stopped')
        reads_on_to_its_end(sallyport, t)
        t.type(b'echo "status" $?\n')
        t.wait_for('status 0')


def test_a_command_in_the_background_that_reads_the_terminal_does_not_stop_the_gate(sallyport):
    with shell_with_job(sallyport, 'cat', background='&') as t:
        t.type(b'\n')  # at its prompt the shell tells of jobs
        t.wait_for('Stopped')
        reads_on_to_its_end(sallyport, t)


def test_a_job_of_the_command_that_reads_the_terminal_stops_nobody_else(sallyport):
    """Like `cat &` in the room."""
    with shell_with_job(sallyport, *SHELL) as t:
        t.type(b'cat &\n')
        t.type(b'sleep 0; jobs\n')
        t.wait_for('Stopped')
        repairs_go_on(sallyport, t)
        t.type(b'kill -9 %1; exec true\n')
        until(lambda: not sallyport.status()['gates'], 'it ends')


def test_a_command_that_stops_where_no_shell_waits_is_told(sallyport):
    with terminal(sallyport.host, *run_argv(sallyport, *SHELL)) as t:
        t.wait_for('every door answers')
        t.type(b'echo pid=$$.; kill -STOP $$; echo "goes" on; exit 3\n')
        t.wait_for('no shell')
        pid = t.said.rpartition('kill -CONT ')[2].partition(')')[0]
        sallyport.host.run('kill', '-CONT', pid)
        t.wait_for('goes on')
        assert t.status() == 3


def test_what_is_killed_at_the_terminal_ends_with_its_gate(sallyport):
    """Of the two processes that `run` is there, the one that the shell knows."""
    with terminal(sallyport.host, *run_argv(sallyport, *SERVICE)) as t:
        t.wait_for('ready')
        supervisor, = children(t.pid)
        os.kill(t.pid, signal.SIGKILL)
        assert t.status() == -signal.SIGKILL
        # Its gate is not told of any more a little before the host is as it was.
        until(lambda: not os.path.exists(f'/proc/{supervisor}'), 'it ends')
        assert not sallyport.status()['gates']


def is_in(pid, mask, sig):
    with open(f'/proc/{pid}/status') as f:
        words = dict(l.split(':\t', 1) for l in f)
    return bool(int(words[mask], 16) >> (sig - 1) & 1)


def test_ctrl_c_before_the_command_has_started(world, sallyport):
    """There is nobody yet whom it could reach."""
    with others_turn(world.servera):
        t = Terminal(sallyport.host, *run_argv(sallyport, *SERVICE))
        supervisor = until(lambda: children(t.pid), 'it is there')[0]
        until(lambda: waits_for_its_turn(sallyport, supervisor), 'it waits')
        t.type(b'\x03')
        until(lambda: is_in(supervisor, 'ShdPnd', signal.SIGINT), 'it has the signal')
    with contextlib.closing(t):
        assert t.status() == 128 + signal.SIGINT


def test_nohup_keeps_a_command_and_a_gate(world, sallyport):
    """Who logs out has SIGHUP sent to all that the shell has started."""
    done = world.servera.run(
        'nohup', sallyport.program, 'run', '--name', 'stays', '--', 'sh', '-c',
        'kill -HUP $PPID; kill -HUP $$; exit 7', ok=False)
    assert done.returncode == 7, done.stderr
    conf = sallyport.write('stays', PLAIN)
    child = world.servera.popen(['nohup', sallyport.program, 'up', conf])
    try:
        until(lambda: sallyport.status()['gates'], 'it stands')
        child.send_signal(signal.SIGHUP)
        # What is blocked is kept for whoever reads it.
        assert is_in(child.pid, 'SigIgn', signal.SIGHUP)
        assert not is_in(child.pid, 'SigBlk', signal.SIGHUP)
    finally:
        assert sallyport('down', 'stays').returncode == 0
        assert child.wait(60) == 0


# A configuration that changes while nobody supervises --------------------------------

BEFORE = '''
[room]
publish = 80 81/udp
reach = db
[room db]
publish = 82
[door lan]
publish = 80 82
[door office]
vpn = {office}
[door odd]
command = ip tuntap add odd0 mode tun; ip addr add 10.9.9.1/24 dev odd0; ip link set odd0 up; exec sleep 600
'''
AFTER = '''
[room web]
publish = 90
[door other]
command = exec sleep 600
'''


def facts(world, name):
    """What there is of a gate, but for numbers that the kernel gives."""
    host = world.servera
    names = host.out('ls', '/run/netns').split()
    found = {'namespaces': names, 'nft': host.out('nft', '-s', 'list', 'ruleset'),
             'files': sorted(host.out('find', f'/run/sallyport/{name}').split())}
    for netns in names:
        found[netns, 'links'] = sorted(
            l.partition('@')[0].split()[0] for l in
            host.out('ip', '-n', netns, '-br', 'link').splitlines())
        found[netns, 'nft'] = host.out('ip', 'netns', 'exec', netns, 'nft', '-s',
                                       'list', 'ruleset')
        for what in ('-4', 'rule'), ('-6', 'rule'), ('-4', 'route', 'show', 'table', 'all'):
            found[netns, what] = sorted(host.out('ip', '-n', netns, *what).splitlines())
    return found


def test_nothing_is_left_of_rooms_and_doors_that_are_not_named_any_more(world, sallyport):
    """Nor is an interface of theirs taken for that of another door."""
    with sallyport.up('turned', AFTER, ready=False) as gate:
        gate.wait_log('other: connecting')
        fresh = facts(world, 'turned')
    gate = sallyport.up('turned', BEFORE.format(office=world.office))
    gate.kill9()
    gate.notify.close()
    with sallyport.up('turned', AFTER, ready=False) as gate:
        gate.wait_log('other: connecting')
        assert gate.door('other')['interface'] == ''
        assert facts(world, 'turned') == fresh
