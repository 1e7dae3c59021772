# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of deploy/kubernetes and deploy/quadlet, run by podman."""
import os
import shutil
import signal

import pytest
import yaml

from lab import container
from lab import host as hosts
from lab.deploy import (MOUNTS, SALLYPORT, SERVE, answered, build_image, for_podman_4,
                        office_secret, read)
from lab.host import until
from lab.leak import Ear, Talker
from lab.world import LAN, VPN, wrong_answers


@pytest.fixture(scope='module')
def podman(world, program):
    engine = container.Podman(world.servera, f'{world.dir}/podman')
    build_image(engine, program, '--isolation', 'chroot')
    yield engine
    engine.close()


@pytest.fixture
def pod(world, podman):
    """Made of deploy/kubernetes/sidecar.yaml, and not started."""
    pod = for_podman_4(yaml.safe_load(read('kubernetes', 'sidecar.yaml')))
    podman('secret', 'create', 'office-vpn', '-', input=office_secret(world))
    podman('network', 'create', '--ipv6', '--subnet', '10.90.0.0/24',
           '--subnet', 'fd00:90::/64', 'pods')
    try:
        podman('kube', 'play', '--start=false', '--network', 'pods', '-',
               input=yaml.safe_dump(pod))
        yield podman
    finally:
        podman('pod', 'rm', '-f', '-t', '0', 'office', ok=False)
        podman('network', 'rm', '-f', 'pods', ok=False)
        podman('secret', 'rm', 'office-vpn', ok=False)


def startup_probe(podman):
    """As the kubelet asks: until it is so, the service is not started."""
    def ask():
        return podman('exec', 'office-vpn', SALLYPORT, 'health', ok=False)
    until(lambda: ask().returncode == 0,
          lambda: f'{ask()}\n{podman("logs", "office-vpn").stderr}',
          container.UP, 0.2)


def test_kubernetes_sidecar_by_podman(world, pod):
    def log():
        return pod('logs', 'office-vpn').stderr
    with Ear(world) as ear:
        pod('start', 'office-web')
        until(ear.heard, 'without the sidecar it is heard')
        pod('stop', '-t', '0', 'office-web')
    with Ear(world) as ear:
        pod('start', 'office-vpn')
        startup_probe(pod)
        pod('start', 'office-web')
        answered(world, (LAN, VPN), (4, 6), log)
        with pod.inside('office-web') as inner:
            talker = Talker(inner)
            talker.said()
            os.kill(pod.pid('office-vpn'), signal.SIGKILL)
            talker.said()
            assert wrong_answers(world, doors=(LAN,)) == [], 'while it restarts'
            startup_probe(pod)
            talker.connect_all()
            talker.stop()
        answered(world, (LAN, VPN), (4, 6), log)
        assert ear.heard() == []


# Quadlet: Debian 12's podman has no generator. What podman-systemd.unit(5) says
# of a key is done here; of a key that is not here nothing is known.
RUN = {'ContainerName': '--name', 'AddCapability': '--cap-add',
       'AddDevice': '--device', 'Network': '--network',
       'PublishPort': '--publish', 'Volume': '--volume',
       'HealthCmd': '--health-cmd', 'HealthInterval': '--health-interval'}


def unit(name):
    """Of a unit file, (section, key, value) of each line that says something."""
    section = None
    for line in read('quadlet', name).splitlines():
        if line.startswith('['):
            section = line.strip('[]')
        elif line and line[0] not in '#;':
            key, _, value = line.partition('=')
            yield section, key, value


def quadlet_run(name, **changed):
    """The arguments of podman-run(1) for a .container file."""
    options, image = [], None
    for section, key, value in unit(name):
        if section != 'Container':
            continue
        value = changed.get(key, value)
        if key == 'Image':
            image = value
        elif value.endswith('.network'):
            options += ['--network', f'systemd-{value[:-8]}']
        else:
            options += [RUN[key], value]
    return [*options, *(w for h, t in MOUNTS.items()
                        for w in ('-v', f'{t}:{h}:ro'))], image


@pytest.mark.parametrize('name', ('vpn.container', 'web.container'))
def test_systemd_takes_the_rest_of_a_quadlet_file(world, name):
    lines = []
    for section, key, value in unit(name):
        if section != 'Container':
            lines += [f'[{section}]', f'{key}={value}']
    path = hosts.keep(f'{world.dir}/{name.replace("container", "service")}',
                      '\n'.join([*lines, '[Service]', 'ExecStart=/bin/true']))
    done = world.servera.run('systemd-analyze', 'verify', '--man=no', path,
                             ok=False)
    assert [l for l in (done.stdout + done.stderr).splitlines()
            if world.dir in l] == []


@pytest.fixture
def quadlet(world, podman):
    shutil.copy(world.office, world.servera.path('/etc/sallyport/office.ovpn'))
    assert list(unit('office.network'))[-1] == ('Network', 'IPv6', 'true')
    podman('network', 'create', '--ipv6', 'systemd-office')
    yield podman
    podman('rm', '-f', '-t', '0', 'web', 'vpn', ok=False)
    podman('network', 'rm', '-f', 'systemd-office', ok=False)


def test_quadlet_files_by_podman(world, quadlet, ear):
    # Health checks by timers of systemd, which is not there.
    env = dict(os.environ, DISABLE_HC_SYSTEMD='true')
    options, image = quadlet_run('vpn.container',
                                 HealthCmd=f'{SALLYPORT} health')
    quadlet('run', '-d', *options, image, env=env)
    options, image = quadlet_run('web.container', Image=container.IMAGE)
    quadlet('run', '-d', *options, image, *SERVE, env=env)
    until(lambda: quadlet('healthcheck', 'run', 'vpn',
                          ok=False).returncode == 0,
          lambda: quadlet('logs', 'vpn').stderr, container.UP, 0.2)
    answered(world, (LAN, VPN), (4, 6), lambda: quadlet('logs', 'vpn').stderr)
    assert ear.heard() == []
