# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport driver`: no restart of anything orphans a container."""
import os
import re
import signal
import socket

import pytest

from lab import container
from lab import host as hosts
from lab import probe
from lab.driver import GATE, Driver, again, answered
from lab.host import PATIENCE, descriptors, first_free, until
from lab.state import difference, hoststate
from lab.world import A4, A_VPN4, LAN, wrong_answers

LABEL = ('--label', 'sallyport.publish=80@all 80/udp@all')


@pytest.fixture(scope='module', params=['live-restore', 'plain'])
def docker(request, world):
    flags = ['--live-restore'] if request.param == 'live-restore' else []
    engine = container.Docker(world.servera, f'{world.dir}/{request.param}',
                              '--ip6tables=false', *flags)
    engine.live = bool(flags)
    yield engine
    engine.close()


@pytest.fixture
def driver(sallyport):
    with Driver(sallyport) as driver:
        yield driver


@pytest.fixture
def gate(world, sallyport):
    gate = sallyport.up('office', GATE.format(office=world.office))
    yield gate
    gate.close()


@pytest.fixture
def web(world, docker, driver, gate):
    """A container of the network that answers on every door."""
    driver.network(docker, 'office', gate='office')
    docker.service('web', 80, options=('--network', 'office', '--restart',
                                       'always', *LABEL))
    answered(world, gate)
    yield docker
    driver.clear(docker)


def test_a_container_restarts(world, web, gate):
    for _ in range(3):
        web('restart', '-t', '0', 'web')
        answered(world, gate)
    assert len(gate.status()['rooms']) == 2


def test_a_room_whose_file_cannot_be_read_just_now_stays(world, web, gate):
    """With the one descriptor that is left the gate takes who asks for the
    rooms anew, and has none to read which they are."""
    pid = gate.child.pid
    with world.servera.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        with descriptors(pid, first_free(pid) + 1):
            client.connect(f'\0sallyport/{gate.name}')
            client.sendall(b'rooms\n')
            assert b'Too many open files' in client.recv(4096)
    assert 'is gone' not in gate.log.text()
    until(lambda: gate.status()['state'] == 'up', gate.log.text)
    assert len(gate.status()['rooms']) == 2
    answered(world, gate)


def test_a_container_is_killed_and_started(world, web, gate):
    web('kill', 'web')
    until(lambda: web.inspect('web')['State']['Running'] is False,
          'it has ended')
    until(lambda: len(gate.status()['rooms']) == 1, 'its room is gone')
    web('start', 'web')
    answered(world, gate)


def test_a_container_is_made_anew(world, web, gate):
    web.remove('web')
    web.service('web', 80, options=('--network', 'office', *LABEL))
    answered(world, gate)


def test_who_goes_on_asking_finds_a_container_that_is_made_anew(world, web):
    """From one port, while another container has got its address."""
    def asks():
        return [probe.udp(host, dst, 80, sport=30053, seconds=3).by
                for host, dst in ((world.laptop, A4), (world.twin, A_VPN4))]
    until(lambda: asks() == ['room', 'room'], 'both are answered')
    web.remove('web')
    web.service('other', 81, options=('--network', 'office'))
    web.service('web', 80, options=('--network', 'office', *LABEL), by='anew')
    until(lambda: asks() == ['anew', 'anew'], 'both are answered again')


def test_who_goes_on_asking_after_the_container_ended_while_no_supervisor_ran(
        world, web, gate):
    """The successor has never seen it, nor that its address is another's now."""
    def asks():
        return [probe.udp(host, dst, 80, sport=30054, seconds=3).by
                for host, dst in ((world.laptop, A4), (world.twin, A_VPN4))]
    until(lambda: asks() == ['room', 'room'], 'both are answered')
    gate.kill9()
    web.remove('web')
    again(gate)
    web.service('other', 81, options=('--network', 'office'))
    web.service('web', 80, options=('--network', 'office', *LABEL), by='anew')
    until(lambda: asks() == ['anew', 'anew'], lambda: f'{asks()}, {gate.log.text()}')


def test_a_killed_driver_is_missed_by_nobody(world, web, gate, driver):
    driver.kill9()
    assert wrong_answers(world) == []
    driver.start()
    assert wrong_answers(world) == []
    web('restart', '-t', '0', 'web')
    answered(world, gate)


def test_containers_that_ended_while_no_driver_ran(world, web, gate, driver):
    """Docker does without the driver's word when it removes them."""
    driver.kill9()
    web('rm', '-f', 'web', timeout=3 * container.UP)
    driver.start()
    until(lambda: len(gate.status()['rooms']) == 1, 'its room is given up')
    web.service('web', 80, options=('--network', 'office', *LABEL))
    answered(world, gate)


def test_a_killed_supervisor_leaves_everything_as_it_is(world, web, gate):
    flow = probe.Flow(world.laptop, A4, 80)
    gate.kill9()
    assert wrong_answers(world, doors=(LAN,)) == []
    again(gate)
    answered(world, gate)
    flow.stop()
    assert flow.error is None, flow.error


def test_the_gate_goes_down_and_comes_up_while_the_container_runs(
        world, web, gate):
    pid = web.pid('web')
    for _ in range(2):
        gate.down(ok=True)
        again(gate)
        answered(world, gate)
        with web.inside('web') as inside:
            links = inside.run('ip', '-br', 'link').stdout
        assert [l.split('@')[0] for l in links.splitlines()
                if l.startswith('eth')] == ['eth0']
    assert web.pid('web') == pid
    web('restart', '-t', '0', 'web')
    answered(world, gate)


def test_an_address_that_docker_gave_comes_back_with_the_gate(
        world, docker, driver, gate):
    driver.network(docker, 'office', '--subnet', '172.21.0.0/16', '--ipv6',
                   '--subnet', 'fd00:77::/64', gate='office')
    docker.service('web', 80, options=('--network', 'office', *LABEL))
    answered(world, gate)
    again(gate)
    answered(world, gate)
    with docker.inside('web') as inside:
        shown = inside.run('ip', '-br', 'address', 'show', 'eth0').stdout
    assert '172.21.0.2' in shown and 'fd00:77::' in shown
    driver.clear(docker)


def room_of(gate):
    return f'room-{gate.status()["rooms"][1]["name"]}'


def test_what_somebody_removes_is_put_back(world, web, gate):
    with gate.inner as inner:
        inner.ip(f'link del {room_of(gate)}')
    gate.wait_log('repaired', room_of(gate))
    answered(world, gate)
    with web.inside('web') as inside:
        inside.ip('route del default')
        inside.ip('addr flush dev eth0')
    gate.wait_log('repaired', 'address')
    answered(world, gate)


def routes(inside):
    return inside.run('ip', 'route', 'show', 'default').stdout


def test_what_somebody_removes_of_what_docker_set_up_is_put_back(
        world, web, gate):
    """It is still the link that Docker made and furnished."""
    with web.inside('web') as inside:
        for lost, told in (
                ('ip route del default', 'route 0.0.0.0/0'),
                ('ip route del default', 'route 0.0.0.0/0'),
                ('ip -6 route del default', 'route ::/0'),
                ('ip link set eth0 down', 'route 0.0.0.0/0'),
                ('ip addr flush dev eth0', 'address 198.18.'),
                ('sysctl -w net.ipv6.conf.eth0.disable_ipv6=1', 'address fd')):
            since = len(gate.log.text())
            inside.run(*lost.split())
            if 'down' in lost:
                inside.ip('link set eth0 up')
            gate.wait_log('repaired', told, since=since)
    answered(world, gate)


def test_a_default_route_that_others_set_is_theirs(world, web, gate):
    """A VPN client's in the container, say: ours would lead past it."""
    with web.inside('web') as inside:
        inside.ip('link add vpn type veth peer name rest')
        inside.ip('link set vpn up')
        inside.ip('route del default')
        gate.wait_log('repaired', '0.0.0.0/0')
        assert 'metric 4096' in routes(inside)
        inside.ip('route add default dev vpn')
        until(lambda: 'eth0' not in routes(inside), 'ours is taken away')
        inside.ip('link del vpn')
        inside.ip('addr flush dev eth0')
        gate.wait_log('repaired', 'address', 'eth0')
        assert routes(inside) == ''


def test_dockerd_is_killed(world, web, gate):
    web.child.send_signal(signal.SIGKILL)
    web.child.wait()
    assert wrong_answers(world) == []
    web.start()
    answered(world, gate)
    web('restart', '-t', '0', 'web')
    answered(world, gate)
    assert len(gate.status()['rooms']) == 2


def test_dockerd_is_restarted(world, web, gate):
    hosts.stop(web.child, seconds=container.UP)
    if web.live:
        assert wrong_answers(world) == []
    web.start()
    answered(world, gate)
    assert len(gate.status()['rooms']) == 2


def test_everything_is_restarted_at_once(world, web, gate, driver):
    """As at a machine's start: the containers come before their gate."""
    driver.kill9()
    hosts.stop(web.child, seconds=container.UP)
    gate.close()
    driver.start()
    gate.__init__(gate.tool, 'office', ['up', 'office'])
    web.start()
    gate.wait_ready()
    answered(world, gate)


def test_the_vpn_client_dies(world, web, gate):
    os.kill(gate.vpn_pid(), signal.SIGKILL)
    assert wrong_answers(world, doors=(LAN,)) == []
    answered(world, gate)


def test_the_host_is_left_as_it_was(world, docker, sallyport):
    def state():
        # Docker puts its own jumps in again.
        return re.sub(r' # handle \d+', '', hoststate(world.servera))
    before = state()
    with Driver(sallyport) as driver, \
            sallyport.up('office', GATE.format(office=world.office)) as gate:
        driver.network(docker, 'office', gate='office')
        docker.service('web', 80, options=('--network', 'office', *LABEL))
        answered(world, gate)
        driver.clear(docker)
    assert difference(before, state()) == ''
    assert os.listdir(f'{world.dir}/driver/networks') == []
