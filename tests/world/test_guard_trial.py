# SPDX-License-Identifier: GPL-2.0-or-later
"""Confirm or undo: a change that cuts the way in is taken back, whoever dies."""
import os
import re
import signal
from contextlib import contextmanager

import pytest

from lab import host as hosts
from lab.guard import Guard
from lab.host import PATIENCE, until
from lab.probe import ask
from lab.state import difference
from lab.trial import (CUT, TRIAL, answers, around, cut, end_orphans, settled,
                       tables, terminals, trial_process, tried)
from lab.world import A4, LAPTOP4

ASLEEP = '''table inet asleep {
    chain out { type filter hook output priority -400; policy drop; }
    chain in { type filter hook input priority -400; policy drop; }
}'''


@pytest.fixture(scope='module')
def net(world):
    with tried(world) as net:
        yield net


@pytest.fixture
def terminal(program, net):
    with terminals(program, net) as make:
        yield make


def test_a_change_that_leaves_the_way_in_is_kept(net, terminal):
    t = terminal(['--', 'openvpn', '--config', net.office])
    t.wait('Initialization Sequence Completed')
    t.wait('the change is kept')
    assert t.status()['state'] == 'stands'
    assert 'dev tun0' in net.servera.out('ip', 'route')
    assert answers(net)


def test_a_change_that_cuts_the_way_in_is_undone(net, terminal):
    before = settled(net.servera)
    t = terminal(['--', 'sh', '-c', f'"{CUT}"'])
    until(lambda: cut(net), t.log.text, PATIENCE)
    until(lambda: not cut(net) and t.status() is None, t.log.text, PATIENCE)
    assert difference(before, settled(net.servera)) == ''
    with open(net.servera.path('/etc/resolv.conf')) as f:
        assert f.read() == 'nameserver 192.0.2.1\n'


def only_as_before(host):
    """Takes away the rules by which replies find their doors; what is left is that of the
    mark that says "as before"."""
    for line in host.out('ip', 'rule').splitlines():
        if line.startswith('0:') and 'lookup 100' in line and \
                '0x27110000' not in line:
            host.run('ip', 'rule', 'del', 'pref', '0',
                     *line.split(':', 1)[1].split())


@pytest.mark.parametrize('who', ['terminal', 'guard', 'watchdog'])
def test_it_is_undone_although_somebody_dies(net, terminal, who):
    before = settled(net.servera)
    t = terminal(['--', 'sh', '-c', f'"{CUT}"'])
    until(lambda: cut(net), t.log.text, PATIENCE)
    guard, watchdog = until(lambda: all(t.pids()) and t.pids(), 'both run',
                            PATIENCE)
    if who == 'terminal':
        t.child.kill()
    else:
        os.kill({'guard': guard, 'watchdog': watchdog}[who], signal.SIGKILL)
    until(lambda: not cut(net) and t.status() is None, t.log.text, PATIENCE)
    until(lambda: 'sallyport-guard' not in net.servera.out('nft', 'list', 'tables'),
          t.log.text, PATIENCE)
    assert difference(before, settled(net.servera)) == ''
    assert ask(net.laptop, 'tcp', A4, 80).answered


def test_a_watchdog_that_dies_with_a_word_unheard_is_followed_by_another(net,
                                                                         terminal):
    before = settled(net.servera)
    go = f'{net.dir}/go-unheard'
    t = terminal(['--', 'sh', '-c', f'"until [ -e {go} ]; do sleep 0.1; done; {CUT}"'])
    guard, watchdog = until(lambda: all(t.pids()) and t.status() and t.pids(),
                            'both run', PATIENCE)
    os.kill(guard, signal.SIGSTOP)
    hosts.keep(go, '')
    until(lambda: re.search(r'(?m)^u_seq +ESTAB +[1-9]', net.servera.out('ss', '-xa')),
          lambda: net.servera.out('ss', '-xa'), PATIENCE)
    os.kill(watchdog, signal.SIGKILL)
    os.kill(guard, signal.SIGCONT)
    os.unlink(go)
    t.wait('another one is started')
    # A guard that runs in a circle has its change undone, too, and never ends.
    assert t.child.wait(PATIENCE) == 1, t.log.text()
    assert not cut(net)
    assert difference(before, settled(net.servera)) == ''


@contextmanager
def lid_closed(laptop, session):
    """It sleeps: it neither speaks nor hears, and its programs stand still."""
    laptop.nft(ASLEEP)
    session.send_signal(signal.SIGSTOP)
    yield
    session.send_signal(signal.SIGCONT)
    laptop.run('nft', 'delete', 'table', 'inet', 'asleep')


@pytest.mark.parametrize('what', ['cuts the way in', 'harms nobody'])
def test_what_happens_behind_a_closed_lid_is_undone(net, terminal, what):
    before = settled(net.servera)
    client = CUT if what == 'cuts the way in' else \
        f'exec openvpn --config {net.office}'
    go = f'{net.dir}/go'
    t = terminal(['--', 'sh', '-c', f'"until [ -e {go} ]; do sleep 0.1; done; {client}"'])
    until(lambda: all(t.pids()) and t.status(), t.log.text, PATIENCE)
    with lid_closed(net.laptop, t.child):
        hosts.keep(go, '')
        until(lambda: cut(net) or 'tun0' in net.servera.out('ip', 'link'),
              t.log.text, PATIENCE)
        until(lambda: t.status() is None, t.log.text, PATIENCE)
        until(lambda: 'sallyport-guard' not in net.servera.out(
            'nft', 'list', 'tables'), t.log.text, PATIENCE)
        os.unlink(go)
    assert difference(before, settled(net.servera)) == ''
    assert ask(net.laptop, 'tcp', A4, 80).answered
    assert t.child.wait(PATIENCE) == 1  # the same session says so


def time_goes_by(net):
    """The kernel was told to wait at most 70 s: of that all but the last is over."""
    table = ('inet', 'sallyport-guard')
    listed = net.servera.out('nft', '-j', 'list', 'set', *table, 'trial')
    left = [int(x) for x in re.findall(r'"expires": (\d+)', listed)]
    assert len(left) == 2 and 0 < min(left) <= max(left) <= 70, listed
    net.servera.nft(f'flush set {" ".join(table)} trial\nadd element {" ".join(table)} '
                    'trial { ipv4 timeout 500ms, ipv6 timeout 500ms }')


def test_with_all_dead_the_kernel_brings_the_way_in_back(net, terminal):
    """Nothing is left but an element of a set that runs out."""
    t = terminal(['--', 'openvpn', '--config', net.office], confirm=60)
    t.wait('s left to prove', 'Initialization Sequence Completed')
    until(lambda: 'dev tun0' in net.servera.out('ip', 'route', 'get', LAPTOP4),
          'the VPN claims the laptop', PATIENCE)
    guard, watchdog = t.pids()
    for pid in (guard, watchdog):
        os.kill(pid, signal.SIGSTOP)  # neither sees the other die
    os.kill(guard, signal.SIGKILL)
    os.kill(watchdog, signal.SIGKILL)
    only_as_before(net.servera)
    assert not answers(net)
    time_goes_by(net)
    until(lambda: answers(net), lambda: net.servera.out('nft', 'list', 'table',
          'inet', 'sallyport-guard'), PATIENCE)


def test_a_person_says_yes(net, program, terminal):
    t = terminal(['--', 'sh', '-c', '"ip rule add pref 7 lookup 4242; exec sleep 1000"'])
    t.wait('the network changed')
    net.servera.run(program, 'guard', '--yes')
    t.wait('the change is kept')
    assert 'lookup 4242' in net.servera.out('ip', 'rule')
    net.servera.run('ip', 'rule', 'del', 'pref', '7')


def test_a_probe_that_goes_silent_undoes_and_one_that_answers_keeps(net, terminal):
    t = terminal(['--probe', LAPTOP4, '--', 'sh', '-c',
                  '"ip rule add pref 7 lookup 4242; exec sleep 1000"'])
    t.wait('the change is kept')
    t.close()
    net.servera.run('ip', 'rule', 'del', 'pref', '7')
    t = terminal(['--probe', LAPTOP4, '--', 'sh', '-c',
                  '"nft add table inet evil; nft add chain inet evil out '
                  "'{ type filter hook output priority 0; }'; nft add rule "
                  f'inet evil out ip daddr {LAPTOP4} icmp type echo-request drop; '
                  'exec sleep 1000"'])
    until(lambda: cut(net), t.log.text, PATIENCE)
    until(lambda: not cut(net), t.log.text, PATIENCE)


@pytest.fixture
def standing(program, net):
    """A guard without a command, as the unit makes it."""
    with Guard(program, net.servera, net.dir, []) as guard:
        yield guard.wait_stands()


def test_beside_a_guard_that_stands_a_cut_is_undone(net, standing, terminal):
    before = around(net)
    t = terminal(['--', 'sh', '-c', f'"{CUT}"'])
    until(lambda: cut(net), t.log.text, PATIENCE)
    assert TRIAL in tables(net)
    assert t.child.wait(PATIENCE) == 1, t.log.text()
    until(lambda: difference(before, around(net)) == '',
          lambda: difference(before, around(net)), PATIENCE)
    assert standing.status() and answers(net)


def test_beside_a_guard_a_client_is_kept_and_the_guard_stands_on(net, standing,
                                                                 terminal):
    before = around(net)
    t = terminal(['--', 'openvpn', '--config', net.office])
    t.wait('the change is kept')
    until(lambda: TRIAL not in tables(net), 'its table is gone', PATIENCE)
    until(lambda: 'tun0' in [d['name'] for d in standing.status()['doors']],
          standing.log.text, PATIENCE)
    assert answers(net)
    end_orphans()  # the client ends, and nothing else
    t.child.wait(PATIENCE)
    until(lambda: 'tun0' not in [d['name'] for d in standing.status()['doors']],
          standing.log.text, PATIENCE)
    until(lambda: difference(before, around(net)) == '',
          lambda: difference(before, around(net)), PATIENCE)


# A client that goes into the background once it is connected.
DAEMON = '''#!/bin/sh
ip tuntap add dev tun9 mode tun
ip addr add 10.9.9.1/24 dev tun9
ip link set tun9 up
sleep 1000 > /dev/null 2>&1 < /dev/null &
echo $! > {pid}
'''


def test_beside_a_guard_what_a_command_leaves_stays_once_it_is_kept(
        net, program, standing, terminal):
    path = f'{net.dir}/daemon.pid'
    t = terminal(['--', hosts.keep(f'{net.dir}/daemon', DAEMON.format(pid=path), 0o755)])
    t.wait('the network changed')
    net.servera.run(program, 'guard', '--yes')
    assert t.child.wait(PATIENCE) == 0, t.log.text()
    assert 'tun9' in net.servera.out('ip', 'link') and TRIAL not in tables(net)
    with open(path) as f:
        os.kill(int(f.read()), 0)  # it lives
    assert standing.status()
    net.servera.run('ip', 'link', 'del', 'tun9')


def test_beside_a_guard_there_is_one_trial_and_a_person_says_yes_or_off(
        net, program, standing, terminal):
    add = '"ip rule add pref 7 lookup 4242; exec sleep 1000"'
    t = terminal(['--', 'sh', '-c', add])
    t.wait('the network changed')
    done = net.servera.run(program, 'guard', '--confirm', '6', '--probe', LAPTOP4,
                           '--', 'true', ok=False)
    assert done.returncode == 1 and 'another trial runs' in done.stderr
    net.servera.run(program, 'guard', '--yes')
    t.wait('the change is kept')
    assert standing.status() and '\n7:' in net.servera.out('ip', 'rule')
    t.close()  # with it the guard
    net.servera.run('ip', 'rule', 'del', 'pref', '7')
    standing.child.wait(PATIENCE)
    with Guard(program, net.servera, net.dir, []) as again:
        again.wait_stands()
        t = terminal(['--', 'sh', '-c', add])
        t.wait('the network changed')
        net.servera.run(program, 'guard', '--off', timeout=PATIENCE)
        again.child.wait(PATIENCE)
        assert 'sallyport' not in tables(net)
        assert '\n7:' not in net.servera.out('ip', 'rule')


def test_beside_a_guard_the_kernel_can_bring_the_way_in_back(net, standing, terminal):
    """All that belongs to the trial is dead, and the guard that stands does nothing."""
    t = terminal(['--', 'openvpn', '--config', net.office])
    t.wait('s left to prove')
    pids = until(trial_process, 'the watchdog runs', PATIENCE)
    for pid in (*pids, standing.child.pid):
        os.kill(pid, signal.SIGSTOP)  # none sees the others die
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    only_as_before(net.servera)
    assert not answers(net)
    # What the kernel does at the end of the time, without waiting for it.
    assert 'expires' in net.servera.out('nft', 'list', 'table', *TRIAL.split())
    net.servera.run('nft', 'flush', 'set', *TRIAL.split(), 'trial')
    assert answers(net)
    os.kill(standing.child.pid, signal.SIGCONT)
    end_orphans()
    standing.off()
    assert 'sallyport' not in tables(net)


def test_a_guard_that_is_stopped_leaves_the_kernels_part_to_the_trial(net, standing,
                                                                      terminal):
    t = terminal(['--', 'sh', '-c', '"ip rule add pref 7 lookup 4242; exec sleep 1000"'])
    t.wait('the network changed')
    assert standing.stop() == 0
    assert TRIAL in tables(net), t.log.text()
    net.servera.run(standing.program, 'guard', '--off', timeout=PATIENCE)
    t.child.wait(PATIENCE)
    assert 'sallyport' not in tables(net)
    assert '\n7:' not in net.servera.out('ip', 'rule')


def test_without_anything_that_proves_it_is_refused(net, program):
    done = net.servera.run('setsid', '-w', program, 'guard', '--confirm', '6',
                           '--', 'true', ok=False)
    assert done.returncode == 1
    assert 'nothing can prove that the way in works' in done.stderr
    done = net.servera.run(program, 'guard', '--confirm', '6', '--probe',
                           '192.0.2.200', '--', 'true', ok=False)
    assert done.returncode == 1 and 'does not answer a ping' in done.stderr
    done = net.servera.run(program, 'guard', '--confirm', '6', '--probe', A4,
                           '--', 'true', ok=False)
    assert done.returncode == 1 and "host's own address" in done.stderr
    done = net.servera.run(program, 'guard', '--probe', LAPTOP4, '--', 'true',
                           ok=False)
    assert done.returncode == 2 and '--confirm' in done.stderr


def test_what_a_client_does_to_resolv_conf_is_told_and_undone(net, program):
    with Guard(program, net.servera, net.dir,
               ['sh', '-c', 'echo nameserver 192.0.2.53 > /etc/resolv.conf; '
                'exec sleep 1000']) as guard:
        guard.wait_log('name servers: 192.0.2.53')
        guard.stop()
    with open(net.servera.path('/etc/resolv.conf')) as f:
        assert f.read() == 'nameserver 192.0.2.1\n'


CHANGES = 'echo nameserver 192.0.2.53 > /etc/resolv.conf; exec sleep 1000'


@pytest.mark.parametrize('how', ['off', 'the next guard'])
def test_what_a_killed_client_did_to_resolv_conf_is_undone(net, program, how):
    """Its guard is killed as well: what was before stands in a file."""
    def text():
        with open(net.servera.path('/etc/resolv.conf')) as f:
            return f.read()
    first = Guard(program, net.servera, net.dir, ['sh', '-c', CHANGES])
    first.wait_log('name servers: 192.0.2.53')
    os.kill(first.command_pid(), signal.SIGKILL)
    first.kill9()
    assert text() == 'nameserver 192.0.2.53\n'
    if how == 'off':
        first.off()
    else:
        with Guard(program, net.servera, net.dir, ['sleep', '1000']) as second:
            second.wait_log('name servers: 192.0.2.53')
            second.stop()
    assert text() == 'nameserver 192.0.2.1\n'
    assert 'guard.names' not in net.servera.out('ls', '/run/sallyport')
    first.close()


def test_what_somebody_wrote_since_stays(net, program):
    path = net.servera.path('/etc/resolv.conf')
    guard = Guard(program, net.servera, net.dir, ['sh', '-c', CHANGES])
    guard.wait_log('name servers: 192.0.2.53')
    os.kill(guard.command_pid(), signal.SIGKILL)
    guard.kill9()
    hosts.keep(path, 'nameserver 192.0.2.99\n')
    guard.off()
    with open(path) as f:
        assert f.read() == 'nameserver 192.0.2.99\n'
    hosts.keep(path, 'nameserver 192.0.2.1\n')
    guard.close()
