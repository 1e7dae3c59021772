# SPDX-License-Identifier: GPL-2.0-or-later
"""sallyport as the first process of a VPN container, by deploy/Dockerfile.

With SALLYPORT_IMAGE_TREE, a Debian in which the Dockerfile's packages have been
installed, its programs run and not this machine's: tests/image/run."""
import os
import shutil
import subprocess

import pytest

from lab import container, probe
from lab import host as hosts
from lab.host import until
from lab.leak import Ear, Talker
from lab.world import (A4, A_WG4, A_WG6, LAN, PARTNER4, PARTNER6, VPN,
                       wrong_answers)

DOCKERFILE = os.path.join(os.path.dirname(container.LAB), '../..',
                          'deploy/Dockerfile')
TREE = os.environ.get('SALLYPORT_IMAGE_TREE')
PROGRAMS = () if TREE else ('-v', '/usr:/usr:ro')
SALLYPORT = '/sbin/sallyport' if TREE else '/lab-bin/sallyport'
RIGHTS = ('--cap-add', 'NET_ADMIN', '--device', '/dev/net/tun',
          '--sysctl', 'net.ipv6.conf.default.disable_ipv6=0')


def without_packages(text):
    """There is no registry and no network: the programs are mounted, or were
    installed before."""
    lines = text.replace('\\\n', ' ').splitlines()
    return '\n'.join(l.replace('/sbin/sallyport', SALLYPORT)
                     for l in lines if not l.startswith('RUN '))


def base(engine):
    if not TREE:
        return container.IMAGE
    subprocess.run(['tar', '-C', TREE, '--one-file-system', '-cf',
                    f'{engine.dir}/tree.tar', '--exclude=./root',
                    '--exclude=./usr/share/doc', '.'], check=True)
    engine('import', f'{engine.dir}/tree.tar', 'tree')
    os.unlink(f'{engine.dir}/tree.tar')
    return 'tree'


@pytest.fixture(scope='module')
def docker(wide_world, program):
    world = wide_world
    engine = container.Docker(world.servera, f'{world.dir}/docker')
    context = f'{engine.dir}/context'
    os.makedirs(f'{context}/build')
    shutil.copy(program, f'{context}/build/sallyport')
    with open(DOCKERFILE) as f:
        hosts.keep(f'{context}/Dockerfile', without_packages(f.read()))
    engine('build', '--build-arg', f'BASE={base(engine)}', '-t', 'sallyport',
           context, env=dict(os.environ, DOCKER_BUILDKIT='0'))
    yield engine
    engine.close()


def start(engine, *options, name='vpn', image='sallyport', command=()):
    engine('run', '-d', '--name', name, *PROGRAMS, *options, image,
           *command)


def logs(engine, name='vpn'):
    done = engine('logs', name, ok=False)
    return done.stdout + done.stderr


def wait_health(engine, said, name='vpn'):
    def now():
        return engine('exec', name, SALLYPORT, 'health', ok=False)
    until(lambda: said in now().stdout,
          lambda: f'{now()}\n{logs(engine)}', container.UP, 0.2)
    assert now().returncode == (said != 'ok\n')


@pytest.fixture
def image(wide_world, docker):
    """With OpenVPN and a service that joins it."""
    start(docker, *RIGHTS, *container.PORTS, '-v',
          f'{wide_world.office}:/etc/sallyport/vpn.ovpn:ro')
    docker.service('web', 80, options=('--network', 'container:vpn'))
    wait_health(docker, 'ok\n')
    yield docker
    docker.remove('web', 'vpn')


def test_a_mounted_file_is_all_it_takes(wide_world, image):
    assert wrong_answers(wide_world) == [], logs(image)


def test_docker_itself_says_that_it_is_healthy(image):
    until(lambda: image.inspect('vpn')['State']['Health']['Status'] ==
          'healthy', lambda: str(image.inspect('vpn')['State']), container.UP)


def test_nothing_leaks_while_the_client_is_killed_and_starts_again(
        wide_world, image):
    with Ear(wide_world) as ear, image.inside('vpn') as inner:
        talker = Talker(inner)
        talker.said()
        flow = probe.Flow(wide_world.laptop, A4, 80)
        image.kill_vpn('vpn')
        talker.said()
        wait_health(image, 'ok\n')
        talker.said()
        talker.connect_all()
        talker.stop()
        assert flow.stop().error is None
        assert ear.heard() == []
    assert wrong_answers(wide_world) == [], logs(image)


def test_health_says_which_door_does_not_answer(wide_world, image):
    wide_world.openvpn.close()
    try:
        wait_health(image, 'the VPN (/etc/sallyport/vpn.ovpn) does not answer')
        assert wrong_answers(wide_world, doors=(LAN,)) == []
    finally:
        wide_world.openvpn_again()
    wait_health(image, 'ok\n')
    with image.inside('vpn') as inner:
        inner.run('ip', 'link', 'set', 'eth0', 'down')
        wait_health(image, 'no door to the LAN')


def test_it_stops_in_time_and_leaves_no_process(image):
    image('stop', '-t', '30', 'vpn')
    state = image.inspect('vpn')['State']
    assert state['ExitCode'] == 0, logs(image)
    # It was not its VPN that failed.
    said = logs(image)
    assert 'the VPN answers' in said and 'does not answer' not in said, said


def test_it_reaps_and_passes_signals_on(image):
    image('exec', 'vpn', 'sh', '-c', 'sleep 0.01 & exec true')
    until(lambda: ' Z ' not in image('top', 'vpn', '-o', 'pid,s,comm').stdout,
          'no zombie is left', container.UP)
    before = logs(image).count('Initialization Sequence Completed')
    image('kill', '-s', 'USR1', 'vpn')
    until(lambda: logs(image).count('Initialization Sequence Completed') >
          before, lambda: logs(image), container.UP)


def test_what_a_client_leaves_behind_ends_and_holds_nobody_up(docker):
    """It has the ended client's output still, and its process group or one of its own."""
    start(docker, *RIGHTS[:2], command=(
        '--', 'sh', '-c', 'echo begins; sleep 1000 & setsid sleep 2000 & exit 1'))
    try:
        until(lambda: logs(docker).count('vpn: begins') > 2,
              lambda: logs(docker), container.UP, 0.2)
        until(lambda: docker('top', 'vpn').stdout.count('sleep 1000') < 2,
              lambda: docker('top', 'vpn').stdout, container.UP)
    finally:
        docker.remove('vpn')


def test_restarted_in_a_namespace_that_holds_its_rules(wide_world, docker):
    """As in a pod: the namespace outlives the container."""
    docker.run('pause', 'sleep', '1000', options=(
        *container.PORTS, '--sysctl', 'net.ipv6.conf.default.disable_ipv6=0'))
    try:
        for _ in range(2):
            start(docker, '--network', 'container:pause', *RIGHTS[:4], '-v',
                  f'{wide_world.office}:/etc/sallyport/vpn.ovpn:ro')
            docker.remove('web')
            docker.service('web', 80, options=('--network', 'container:pause'))
            wait_health(docker, 'ok\n')
            assert wrong_answers(wide_world) == [], logs(docker)
            docker('kill', 'vpn')
            assert wrong_answers(wide_world, doors=(LAN,)) == []
            docker.remove('vpn')
    finally:
        docker.remove('web', 'vpn', 'pause')


def test_several_networks_and_secondary_addresses(wide_world, docker):
    """As with attach: each network is a door, whatever the VPN pushes."""
    world = wide_world
    world.openvpn.give_a(('route 172.18.0.0 255.255.128.0',
                          'route 172.17.0.0 255.255.0.0'))
    docker('network', 'create', '--subnet', '172.18.0.0/16', 'second')
    try:
        docker('create', '--name', 'vpn', *PROGRAMS, *RIGHTS, *container.PORTS,
               '-v', f'{world.office}:/etc/sallyport/vpn.ovpn:ro', 'sallyport')
        docker('network', 'connect', '--ip', '172.18.0.9', 'second', 'vpn')
        docker('start', 'vpn')
        docker.service('web', 80, options=('--network', 'container:vpn'))
        with docker.inside('vpn') as inner:
            inner.run('ip', 'address', 'add', '172.17.0.200/16', 'dev', 'eth0')
        wait_health(docker, 'ok\n')

        def lost():
            return [(proto, dst) for proto in ('tcp', 'udp')
                    for dst in ('172.18.0.9', '172.17.0.200')
                    if not probe.ask(world.servera, proto, dst, 80,
                                     seconds=1).source == dst]
        until(lambda: lost() == [], lambda: f'{lost()}\n{logs(docker)}',
              container.UP)
        assert wrong_answers(world, doors=(VPN,), families=(4,)) == []
        assert wrong_answers(world, doors=(LAN,), families=(4,)) == []
    finally:
        docker.remove('web', 'vpn')
        docker('network', 'rm', 'second')
        world.openvpn.give_a()


LATE = 51413  # what some services choose, and the kernel for clients


def test_a_udp_service_that_begins_later_is_answered(wide_world, docker):
    """At once: its first answer has the right source."""
    world = wide_world
    start(docker, *RIGHTS, '-p', f'{LATE}:{LATE}/udp', '-v',
          f'{world.office}:/etc/sallyport/vpn.ovpn:ro')
    try:
        wait_health(docker, 'ok\n')
        docker.service('web', LATE, options=('--network', 'container:vpn'))
        assert probe.udp(world.laptop, A4, LATE).answered
        assert wrong_answers(world, port=LATE, protos=('udp',),
                             families=(4,)) == [], logs(docker)
    finally:
        docker.remove('web', 'vpn')


def test_wireguard_on_a_read_only_root(wide_world, docker):
    start(docker, *RIGHTS, *container.PORTS, '--read-only', '--tmpfs', '/run',
          '-v', f'{wide_world.partner_conf}:/etc/sallyport/vpn.conf:ro')
    docker.service('web', 80, options=('--network', 'container:vpn'))
    try:
        wait_health(docker, 'ok\n')
        assert wrong_answers(wide_world, doors=(LAN,)) == [], logs(docker)
        for proto in ('tcp', 'udp'):
            for dst, saw in ((A_WG4, PARTNER4), (A_WG6, PARTNER6)):
                got = probe.ask(wide_world.hosts['partner'], proto, dst, 80)
                assert (got.saw, got.source) == (saw, dst), logs(docker)
    finally:
        docker.remove('web', 'vpn')


def test_variables_of_other_images(wide_world, docker):
    start(docker, *RIGHTS, *container.PORTS, '-e', 'OPENVPN_CUSTOM_CONFIG=/c',
          '-e', 'VPN_SERVICE_PROVIDER=custom', '-e', 'LAN_NETWORK=10.0.0.0/8',
          '-e', 'FIREWALL_DEBUG=on', '-v', f'{wide_world.office}:/c:ro')
    try:
        wait_health(docker, 'ok\n')
        said = logs(docker)
        assert said.count('OPENVPN_CUSTOM_CONFIG is taken; its name here is '
                          'SALLYPORT_VPN') == 1
        assert said.count('LAN_NETWORK is not needed') == 1
        assert said.count('FIREWALL_DEBUG is not known') == 1
    finally:
        docker.remove('vpn')


def test_a_server_by_its_name_and_a_password_from_a_file(wide_world, docker):
    world = wide_world
    named = world.openvpn.profile(f'{world.dir}/named.ovpn', 'servera',
                                  remotes=['vpn.example.net 1194 udp'],
                                  extra='auth-user-pass\n')
    secret = hosts.keep(f'{world.dir}/secret', 'a\n')
    start(docker, *RIGHTS, *container.PORTS,
          '--add-host', 'vpn.example.net:198.51.100.2',
          '-e', 'OPENVPN_USER_SECRETFILE=/s',
          '-e', 'OPENVPN_PASSWORD_SECRETFILE=/s', '-v', f'{secret}:/s:ro',
          '-v', f'{named}:/etc/sallyport/vpn.ovpn:ro')
    try:
        wait_health(docker, 'ok\n')
        assert 'auth-user-pass' not in docker('top', 'vpn').stdout
    finally:
        docker.remove('vpn')


def refused(docker, *options):
    done = docker('run', '--rm', *PROGRAMS, *options, 'sallyport',
                  ok=False)
    assert done.returncode in (1, 2) and done.stdout == '', done
    return done.stderr


def test_what_is_missing_is_told_with_the_flag(wide_world, docker):
    file = ('-v', f'{wide_world.office}:/etc/sallyport/vpn.ovpn:ro')
    assert '--cap-add NET_ADMIN' in refused(docker, *file)
    assert '--device /dev/net/tun' in refused(
        docker, *file, '--cap-add', 'NET_ADMIN')
    assert '/etc/sallyport/vpn.ovpn' in refused(docker, *RIGHTS)
    assert 'has no network but loopback' in refused(
        docker, *file, *RIGHTS[:4], '--network', 'none')
    assert 'VPN_SERVICE_PROVIDER=mullvad' in refused(
        docker, *RIGHTS, '-e', 'VPN_SERVICE_PROVIDER=mullvad')
