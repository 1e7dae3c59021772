# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport run`: the main job, in one command."""
import os
import signal

import pytest

from lab import probe
from lab.host import stop, until
from lab.probe import How
from lab.state import difference, hoststate
from lab.world import A4, A_VPN4, wrong_answers


@pytest.fixture(scope='module')
def ran(world, sallyport):
    with sallyport.run('-p', '80', '-p', '80/udp', '--vpn', world.office) as g:
        probe.ask_until_answered(world.serverb, 'tcp', A_VPN4, 80)
        yield g


def test_everybody_is_answered_by_the_door_they_came_by(ran, world):
    assert wrong_answers(world) == []


def test_the_host_reaches_its_own_published_port_on_127_0_0_1(ran, world):
    assert probe.ask(world.servera, 'tcp', '127.0.0.1', 80).by == 'room'


def test_a_port_that_is_not_published_is_the_hosts(ran, world):
    got = probe.ask(world.laptop, 'tcp', A4, 81)
    assert got.how is How.REFUSED


@pytest.mark.parametrize('command, status', [
    (['true'], 0), (['false'], 1), (['sh', '-c', 'exit 7'], 7),
    (['sh', '-c', 'kill -TERM $$'], 128 + signal.SIGTERM),
    (['sh', '-c', 'kill -KILL $$'], 128 + signal.SIGKILL),
    (['/nowhere/at/all'], 127), (['/etc/passwd'], 126)])
def test_run_passes_on_the_exit_status(sallyport, command, status):
    done = sallyport('run', '--name', 'status', '--', *command)
    assert done.returncode == status, done.stderr


def test_run_passes_on_output_and_input(sallyport):
    done = sallyport('run', '--name', 'io', '--', 'sh', '-c',
                     'read x; echo "out $x"; echo err >&2', input='in\n')
    assert done.stdout == 'out in\n'
    assert 'err\n' in done.stderr


@pytest.mark.parametrize('sig', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                                 signal.SIGUSR1])
def test_run_passes_signals_on_to_the_command(sallyport, sig):
    name = sig.name[3:]
    command = ['sh', '-c', f'trap "exit 5" {name}; echo ready; '
               'while :; do sleep 0.05; done']
    with sallyport.run(name='sig', command=command) as gate:
        gate.child.send_signal(sig)
        assert gate.ended() == 5


def test_the_command_runs_in_the_room(sallyport, world):
    done = sallyport('run', '--name', 'inside', '-p', '99', '--', 'ip', '-br',
                     'link', ok=True)
    links = {l.split('@')[0].split()[0] for l in done.stdout.splitlines()}
    assert links == {'lo', 'eth0', 'lan0'}


def test_the_command_keeps_directory_and_environment(sallyport, world):
    done = world.servera.run('sh', '-c', f'cd /usr/share && HELLO=you '
                             f'{sallyport.program} run --name env -- '
                             'sh -c \'echo "$PWD $HELLO"; pwd\'')
    assert done.stdout == '/usr/share you\n/usr/share\n'


def test_user_drops_to_a_named_user(sallyport):
    done = sallyport('run', '--name', 'user', '--user=nobody', '--', 'sh', '-c',
                     'id -u; id -g; id -G; grep CapEff /proc/self/status')
    uid, gid, groups, caps = done.stdout.splitlines()
    assert (uid, gid, groups) == ('65534', '65534', '65534')
    assert int(caps.split()[1], 16) == 0


PORT_80 = 'import socket; socket.create_server(("", 80))'
PING = ('import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, '
        'socket.IPPROTO_ICMP)')


@pytest.mark.parametrize('what', [PORT_80, PING], ids=['binds 80', 'pings'])
def test_a_user_may_do_in_the_room_what_a_service_does(sallyport, what):
    done = sallyport('run', '--name', 'user', '--user=nobody', '--',
                     '/usr/bin/python3', '-I', '-c', what)
    assert done.returncode == 0, done.stderr


def test_user_alone_drops_to_who_called_sudo(sallyport):
    env = dict(os.environ, SUDO_USER='daemon', SUDO_UID='1', SUDO_GID='1')
    done = sallyport('run', '--name', 'user', '--user', '--', 'id', '-un',
                     env=env)
    assert done.stdout == 'daemon\n', done.stderr


def test_user_alone_without_sudo_is_wrong_usage(sallyport):
    env = {k: v for k, v in os.environ.items() if not k.startswith('SUDO_')}
    done = sallyport('run', '--name', 'user', '--user', '--', 'id', env=env)
    assert done.returncode == 2 and '--user' in done.stderr


def test_a_user_who_is_not_there_is_an_error(sallyport):
    done = sallyport('run', '--name', 'user', '--user=nosuchuser', '--', 'id')
    assert done.returncode in (1, 2) and 'nosuchuser' in done.stderr


def test_a_free_name_is_chosen_from_the_command(sallyport, world):
    child = world.servera.popen([sallyport.program, 'run', '--', 'sh', '-c',
                                 'echo ready; exec sleep 60'], stdout=-1)
    assert child.stdout.readline() == 'ready\n'
    names = [g['name'] for g in sallyport.status()['gates']]
    stop(child)
    assert any(n.startswith('sh') for n in names), names


@pytest.mark.parametrize('how', ['the command ends', 'SIGTERM', 'SIGINT'])
def test_everything_is_taken_away_at_the_end(world, sallyport, how):
    before = hoststate(world.servera)
    with sallyport.run('-p', '8080:80', '--vpn', world.office,
                       name='away') as gate:
        assert probe.ask(world.laptop, 'tcp', A4, 8080).answered
        if how == 'the command ends':
            service = until(lambda: service_of(gate), 'the service runs')
            os.kill(service, signal.SIGKILL)
        else:
            gate.child.send_signal(signal.Signals[how])
        gate.ended()
    assert difference(before, hoststate(world.servera)) == ''


def test_the_command_outlives_a_supervisor_that_is_killed(world, sallyport):
    with sallyport.run('-p', '8081:80', name='alone') as gate:
        service = until(lambda: service_of(gate), 'the service runs')
        gate.kill9()
        assert probe.ask(world.laptop, 'tcp', A4, 8081).by == 'room'
        assert os.path.exists(f'/proc/{service}')
        assert gate.down().returncode == 0
        until(lambda: not os.path.exists(f'/proc/{service}'), 'it ended with the gate')


def service_of(gate):
    return gate.vpn_pid('python3') or gate.vpn_pid('python3.11')


def test_processes_that_the_command_leaves_behind_are_ended(sallyport, world):
    done = sallyport('run', '--name', 'left', '--', 'sh', '-c',
                     'setsid sleep 77 >/dev/null 2>&1 & echo $!')
    assert 'sh has ended, and with it ends what else runs in the room (1 proc' in done.stderr
    pid = int(done.stdout)
    until(lambda: not os.path.exists(f'/proc/{pid}') or
          open(f'/proc/{pid}/stat').read().split()[2] == 'Z',
          'what the command left behind has ended')
