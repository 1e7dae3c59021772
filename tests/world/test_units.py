# SPDX-License-Identifier: GPL-2.0-or-later
"""The units that are installed, under a systemd that boots: the network driver's
socket and service, a gate's and the watch's, beside a dockerd that systemd
starts, too."""
import pytest

from lab import container
from lab.driver import GATE
from lab.host import PATIENCE, until
from lab.installed import Docker, Installed
from lab.world import LAN, VPN, wrong_answers

SOCKET, DRIVER = 'sallyport-driver.socket', 'sallyport-driver.service'
OFFICE, WATCH = 'sallyport@office.service', 'sallyport-watch.service'
UNITS = 'docker.service', SOCKET, OFFICE, WATCH


@pytest.fixture(scope='module')
def machine(world, program):
    with open(world.office) as f:
        files = {'/etc/sallyport/office.ovpn': f.read(),
                 '/etc/sallyport/office.conf': GATE.format(
                     office='/etc/sallyport/office.ovpn'),
                 '/etc/default/sallyport-watch':
                     'SALLYPORT_WATCH="--attach first"\n', **Docker.FILES}
    machine = Installed(world.servera, world.dir, program, files, enable=UNITS)
    yield machine
    machine.close()


@pytest.fixture(scope='module')
def docker(machine):
    """With a container that answers on every door, now and after each boot."""
    docker = Docker(machine)
    docker('network', 'create', '-d', 'sallyport', '--ipam-driver', 'null', '-o',
           'gate=office', '-o', 'doors=all', 'office')
    docker.service('web', 80, options=(
        '--network', 'office', '--restart', 'always', '--stop-signal', 'KILL',
        *container.PORTS))
    return docker


def journals(machine):
    return '\n'.join(machine.journal(u) for u in (DRIVER, OFFICE, 'docker'))


def answered(machine, world):
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: '\n'.join([*wrong_answers(world), journals(machine)]), PATIENCE, 0.2)


def when(machine, unit, what='ActiveEnter'):
    return int(machine.prop(unit, f'{what}TimestampMonotonic'))


def kill_9(machine, unit):
    """Returns when systemd has started it again."""
    first = machine.prop(unit, 'MainPID')
    machine.run('kill', '-9', first)
    until(lambda: machine.prop(unit, 'MainPID') not in (first, '0') and
          machine.is_active(unit), lambda: machine.journal(unit), PATIENCE)


def test_nothing_failed_and_the_socket_is_there_before_docker(machine, world, docker):
    answered(machine, world)
    assert 0 < when(machine, SOCKET) < when(machine, 'docker.service',
                                            'ExecMainStart')
    failed = machine.out('systemctl', 'list-units', '--failed', '--no-legend', '--plain')
    assert 'sallyport' not in failed and 'docker' not in failed


def test_systemd_has_nothing_against_the_units_and_sees_that_they_may_not_do_all(machine):
    done = machine.run('systemd-analyze', 'verify', '--recursive-errors=no', SOCKET, DRIVER,
                       OFFICE, WATCH, ok=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    for unit, most in (OFFICE, 92), (WATCH, 87), (DRIVER, 87):
        machine.run('systemd-analyze', 'security', f'--threshold={most}', unit)


def test_dockers_word_starts_the_driver(machine, docker):
    machine.run('systemctl', 'stop', DRIVER)
    assert machine.is_active(SOCKET) and not machine.is_active(DRIVER)
    docker('network', 'create', '-d', 'sallyport', '--ipam-driver', 'null', '-o',
           'gate=office', 'second')
    assert machine.is_active(DRIVER)
    docker('network', 'rm', 'second')


def test_rooms_do_without_the_driver_and_a_restarted_one_gets_it_back(
        machine, world, docker):
    answered(machine, world)
    machine.run('systemctl', 'stop', SOCKET, DRIVER)
    assert wrong_answers(world) == []
    machine.run('systemctl', 'start', SOCKET)
    assert wrong_answers(world) == []
    docker('restart', 'web')
    answered(machine, world)
    assert machine.is_active(DRIVER)


def test_a_killed_driver_is_started_again(machine, world, docker):
    answered(machine, world)
    machine.run('systemctl', 'start', DRIVER)
    kill_9(machine, DRIVER)
    assert wrong_answers(world) == []
    docker('restart', 'web')
    answered(machine, world)


def test_a_killed_gate_is_started_again_and_a_stopped_one_comes_back(
        machine, world, docker):
    answered(machine, world)
    kill_9(machine, OFFICE)
    answered(machine, world)
    machine.run('systemctl', 'stop', OFFICE)
    assert wrong_answers(world, doors=(LAN,), seconds=0.2) != []
    assert '.gate' not in machine.out('ls', '/run/netns')
    machine.run('systemctl', 'start', OFFICE)
    answered(machine, world)


def test_the_watch_follows_a_restart_and_is_started_again(machine, docker):
    def same_network():
        one, two = (docker('exec', name, 'readlink', '/proc/self/ns/net',
                           ok=False).stdout for name in ('first', 'second'))
        return one and one == two
    docker.run('first', 'sleep', '1000', options=('--stop-signal', 'KILL'))
    docker.run('second', 'sleep', '1000', options=(
        '--stop-signal', 'KILL', '--network', 'container:first'))
    try:
        for _ in range(2):
            docker('restart', 'first')
            until(same_network, lambda: machine.journal(WATCH), PATIENCE)
            kill_9(machine, WATCH)
        assert 'container "first": lan doors: eth0' in machine.journal(WATCH)
    finally:
        docker.remove('second', 'first')


def test_the_driver_outlives_docker_and_after_a_boot_everything_answers_again(
        machine, world, docker):
    answered(machine, world)
    since = len(machine.console())
    machine.shut_down()
    said = machine.console()[since:].splitlines()
    driver, engine = (next(i for i, line in enumerate(said) if 'Stopped' in line and what in line)
                      for what in ('Docker networks behind a gate', 'Container Engine'))
    assert engine < driver, '\n'.join(said)
    machine.boot()
    answered(machine, world)
    assert machine.is_active(DRIVER)
    assert 0 < when(machine, SOCKET) < when(machine, 'docker.service',
                                            'ExecMainStart')
    assert wrong_answers(world, doors=(VPN,)) == []
