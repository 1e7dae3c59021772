# SPDX-License-Identifier: GPL-2.0-or-later
"""Trials as others see them: the guard that stands beside them, `guard --status`, and
whoever comes when nobody of a trial is alive any more."""
import json
import os
import re
import signal

import pytest

from lab.guard import Guard
from lab.host import PATIENCE, until
from lab.probe import ask_until_answered
from lab.state import difference
from lab.trial import (CUT, TRIAL, around, cut, end_orphans, settled, tables,
                       terminals, trial_process, tried)
from lab.world import A4, LAPTOP2_4, LAPTOP3_4, LAPTOP4

LONG = 600  # s: nothing ends by itself
OWN, ITS = f'{LAPTOP2_4}/32', f'{LAPTOP3_4}/32'  # the guard's --lan, and the trial's
FILE = '/run/sallyport/guard.trial'


@pytest.fixture(scope='module')
def net(world):
    with tried(world) as net:
        children = [net.serve(net.laptop2, 'l2', 8000), net.serve(net.laptop3, 'l3', 8000)]
        yield net
        for child in children:
            child.kill()


@pytest.fixture
def terminal(program, net):
    with terminals(program, net) as make:
        yield make


@pytest.fixture
def standing(program, net):
    with Guard(program, net.servera, net.dir, [], ['--lan', OWN]) as guard:
        yield guard.wait_stands()


def kept_on_the_lan(net):
    """Of the two prefixes, those that rules lead to the LAN."""
    listed = net.servera.out('ip', 'rule')
    return [p for p in (OWN, ITS) if f'to {p.partition("/")[0]} lookup 100' in listed]


def by_the_lan(net, dst):
    """A client of ours on this host asks somebody there."""
    got = ask_until_answered(net.servera, 'tcp', dst, 8000)
    return got.answered and got.saw == A4


def trials(program, net):
    done = net.servera.run(program, 'guard', '--status', '--json', ok=False)
    return json.loads(done.stdout)['trials']


def states(program, net):
    return [t['state'] for t in trials(program, net)]


def name_servers(net):
    with open(net.servera.path('/etc/resolv.conf')) as f:
        return f.read()


def die(pids):
    """All at once: neither sees the other die."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_what_a_trial_wants_on_the_lan_stays_there_as_long_as_its_command(
        net, standing, terminal):
    t = terminal(['--', 'openvpn', '--config', net.office], options=['--lan', ITS])
    t.wait('Initialization Sequence Completed')
    until(lambda: 'dev tun0' in net.servera.out('ip', 'route'), 'it claims', PATIENCE)
    assert by_the_lan(net, LAPTOP2_4) and by_the_lan(net, LAPTOP3_4)
    t.wait('the change is kept')
    assert by_the_lan(net, LAPTOP3_4)
    assert kept_on_the_lan(net) == [OWN, ITS]
    end_orphans()  # the client
    t.child.wait(PATIENCE)
    until(lambda: kept_on_the_lan(net) == [OWN], standing.log.text, PATIENCE)
    assert by_the_lan(net, LAPTOP2_4)
    assert standing.status()['trials'] == []


def test_it_stays_there_with_the_tunnel_that_a_command_leaves(net, program, standing,
                                                              terminal):
    t = terminal(['--', 'sh', '-c', '"ip tuntap add dev tun9 mode tun; '
                  'ip addr add 10.9.9.1/24 dev tun9; ip link set tun9 up; '
                  '{ exec sleep 1000; } > /dev/null 2>&1 < /dev/null &"'],
                 options=['--lan', ITS], confirm=LONG)
    t.wait('the network changed')
    net.servera.run(program, 'guard', '--yes')
    t.wait('what it wants on the LAN stays there')
    assert kept_on_the_lan(net) == [OWN, ITS] and t.child.poll() is None
    # Nor does it go with the process that began it, while that tunnel is there.
    until(lambda: states(program, net) == ['kept'], 'kept', PATIENCE)
    os.kill(trials(program, net)[0]['pid'], signal.SIGKILL)
    t.child.wait(PATIENCE)
    net.servera.ip('addr add 172.16.5.14/24 dev eth0')
    until(lambda: '172.16.5.14' in net.servera.out('ip', 'rule'), 'the guard looked', PATIENCE)
    assert states(program, net) == ['kept'] and kept_on_the_lan(net) == [OWN, ITS]
    net.servera.ip('addr del 172.16.5.14/24 dev eth0')
    end_orphans()
    net.servera.run('ip', 'link', 'del', 'tun9')
    until(lambda: kept_on_the_lan(net) == [OWN], standing.log.text, PATIENCE)


def test_of_a_trial_that_is_undone_nothing_stays_on_the_lan(net, standing, terminal):
    before = around(net)
    t = terminal(['--', 'sh', '-c', f'"{CUT}"'], options=['--lan', ITS])
    until(lambda: cut(net) and kept_on_the_lan(net) == [OWN, ITS], t.log.text, PATIENCE)
    assert t.child.wait(PATIENCE) == 1, t.log.text()
    until(lambda: kept_on_the_lan(net) == [OWN], standing.log.text, PATIENCE)
    until(lambda: difference(before, around(net)) == '',
          lambda: difference(before, around(net)), PATIENCE)


def test_a_guard_that_takes_over_knows_of_it(net, program, standing, terminal):
    t = terminal(['--', 'sh', '-c', '"ip rule add pref 7 lookup 4242; exec sleep 1000"'],
                 options=['--lan', ITS], confirm=LONG)
    t.wait('the network changed')
    standing.kill9()
    with Guard(program, net.servera, net.dir, [], ['--lan', OWN]) as second:
        second.wait_stands()
        assert kept_on_the_lan(net) == [OWN, ITS]
        t.close()
        until(lambda: kept_on_the_lan(net) != [OWN, ITS], second.log.text, PATIENCE)


def test_a_guard_takes_back_the_trial_beside_it_of_which_all_are_dead(net, standing,
                                                                      terminal):
    before = around(net)
    t = terminal(['--', 'sh', '-c', f'"{CUT}"'], options=['--lan', ITS], confirm=LONG)
    until(lambda: cut(net), t.log.text, PATIENCE)
    until(lambda: states(standing.program, net) == ['runs'], t.log.text, PATIENCE)
    die(until(trial_process, 'the watchdog runs', PATIENCE))
    until(lambda: not cut(net), standing.log.text, PATIENCE)
    until(lambda: difference(before, around(net)) == '',
          lambda: difference(before, around(net)), PATIENCE)
    assert name_servers(net) == 'nameserver 192.0.2.1\n'
    assert TRIAL not in tables(net) and kept_on_the_lan(net) == [OWN]
    assert 'was killed: what it changed is taken back' in standing.log.text()
    assert trials(standing.program, net) == []


@pytest.fixture
def dead(net, program, terminal):
    """A trial of which nobody is alive, and no guard stands; its client does."""
    net.before = settled(net.servera)
    t = terminal(['--', 'sh', '-c', f'"{CUT}"'], confirm=LONG)
    until(lambda: cut(net), t.log.text, PATIENCE)
    until(lambda: states(program, net) == ['runs'], t.log.text, PATIENCE)
    until(lambda: '192.0.2.53' in net.servera.out('cat', FILE).partition('"now"')[2],
          'it knows of the name servers', PATIENCE)
    die(until(trial_process, 'the watchdog runs', PATIENCE))
    until(lambda: states(program, net) == ['dead'], t.log.text, PATIENCE)
    assert name_servers(net) == 'nameserver 192.0.2.53\n'
    return t


@pytest.mark.parametrize('who', ['off', 'the next guard'])
def test_whoever_comes_takes_a_dead_trial_back(net, program, dead, who):
    shown = net.servera.run(program, 'guard', '--status', ok=False)
    assert shown.returncode == 1 and 'its processes are dead' in shown.stdout
    if who == 'off':
        net.servera.run(program, 'guard', '--off', timeout=PATIENCE)
    else:
        with Guard(program, net.servera, net.dir, ['sleep', '1000']) as guard:
            guard.wait_stands()
            assert name_servers(net) == 'nameserver 192.0.2.1\n' and not cut(net)
            guard.stop()
    assert difference(net.before, settled(net.servera)) == ''
    assert trials(program, net) == [], dead.log.text()


def make_old(net):
    net.servera.run('sed', '-i', '-E', 's/"(ends|armed)": [0-9]+/"\\1": -7200000/g', FILE)


@pytest.mark.parametrize('since', ['nobody', 'somebody'])
def test_hours_later_only_the_client_and_its_name_servers_are_taken_back(net, program, dead,
                                                                         since):
    """The routes may be somebody's repair."""
    make_old(net)
    if since == 'somebody':
        with open(net.servera.path('/etc/resolv.conf'), 'w') as f:
            f.write('nameserver 192.0.2.99\n')
    net.servera.run(program, 'guard', '--off', timeout=PATIENCE)
    assert name_servers(net) == f'nameserver 192.0.2.{1 if since == "nobody" else 99}\n'
    assert cut(net) and '192.0.2.128/25' in net.servera.out('ip', 'route'), dead.log.text()
    net.servera.run('nft', 'delete', 'table', 'inet', 'evil')
    net.servera.ip('rule del priority 5', 'rule del priority 6 sport 7778',
                   'route del 192.0.2.128/25', 'addr del 192.0.2.9/32 dev eth0',
                   'route change default via 172.16.5.1 dev eth0')
    with open(net.servera.path('/etc/resolv.conf'), 'w') as f:
        f.write('nameserver 192.0.2.1\n')
    assert difference(net.before, settled(net.servera)) == ''


def test_a_file_that_is_no_trials_is_passed_over(net, program):
    for text in ('', '{', '{"place": 7}', '[]', '{"place": "elsewhere 1"}'):
        net.servera.run('mkdir', '-p', '/run/sallyport')
        net.servera.run('sh', '-c', f"echo '{text}' > {FILE}")
        assert trials(program, net) == []
        with Guard(program, net.servera, net.dir, []) as guard:
            guard.wait_stands()
            assert guard.stop() == 0
    net.servera.run('rm', FILE)


@pytest.mark.parametrize('beside', [False, True])
def test_status_shows_a_trial(net, program, terminal, beside):
    guard = Guard(program, net.servera, net.dir, []).wait_stands() if beside else None
    go = f'{net.dir}/go-status-{beside}'
    t = terminal(['--', 'sh', '-c', f'"until [ -e {go} ]; do sleep 0.1; done; '
                  'ip rule add pref 7 lookup 4242; exec sleep 1000"'],
                 confirm=LONG, options=['--lan', ITS] if beside else [])
    got = until(lambda: trials(program, net), t.log.text, PATIENCE)[0]
    assert (got['state'], got['from'], got['seconds'], got['seconds_left'], got['yes'],
            got['beside'], got['lan']) == \
        ('waits', LAPTOP4, LONG, None, True, beside, [ITS] if beside else [])
    assert got['command'].startswith('sh -c until [ -e') and \
        got['proof'] == f'the session from {LAPTOP4}'
    with open(go, 'w'):
        pass
    got = until(lambda: [x for x in trials(program, net) if x['state'] == 'runs'],
                t.log.text, PATIENCE)[0]
    assert 0 < got['seconds_left'] <= LONG
    shown = net.servera.out(program, 'guard', '--status')
    line = re.search(r'(?m)^trial: sh -c until .*$', shown)
    assert line and f'(process {got["pid"]}, from {LAPTOP4}), since 20' in line[0]
    assert re.search(r'\d+ s left, kept by the session from .*, or by a person '
                     r'\(sallyport guard --yes\)', line[0]), line[0]
    assert (f'on the LAN: {ITS}' in line[0]) == beside
    if beside:  # and when no guard stands
        guard.stop()
        shown = net.servera.run(program, 'guard', '--status', ok=False)
        assert shown.returncode == 1 and shown.stdout.startswith('trial: sh -c until ')
        assert 'no guard stands here' in shown.stderr
    net.servera.run(program, 'guard', '--yes')
    t.wait('the change is kept')
    until(lambda: [x['state'] for x in trials(program, net)] ==
          (['kept'] if beside else []), t.log.text, PATIENCE)
    t.close()
    assert trials(program, net) == []
    net.servera.run('ip', 'rule', 'del', 'pref', '7')
    if guard:
        guard.close()
