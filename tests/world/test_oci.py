# SPDX-License-Identifier: GPL-2.0-or-later
"""Attached before the container's first process: podman's hook, Docker's
runtime."""
import os

import pytest

from lab import container
from lab import host as hosts
from lab.deploy import SERVER
from lab.host import until
from lab.leak import Ear
from lab.world import B_INET4, LAN, VPN, wrong_answers

# What a first process says before anybody could attach from outside.
SPEAK = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
         "try: s.sendto(b'said-in-the-room', ('%s', 4444))\n"
         "except OSError: pass\n" % B_INET4)


@pytest.fixture
def podman(world, program):
    engine = container.Podman(world.servera, f'{world.dir}/podman')
    with open(f'{container.LAB}/../../../dist/oci-hook.json.in') as f:
        text = f.read().replace('@sbindir@/sallyport', program)
    os.makedirs(f'{world.dir}/podman/hooks', exist_ok=True)
    hosts.keep(f'{world.dir}/podman/hooks/sallyport.json', text)
    engine.argv += ('--hooks-dir', f'{world.dir}/podman/hooks')
    yield engine
    engine.close()


def speak(engine, *options):
    engine('run', '--rm', '-v', '/usr:/usr:ro', *options, container.IMAGE,
           '/usr/bin/python3', '-c', SPEAK)


def test_podmans_hook(world, podman):
    wish = ('--annotation', 'sallyport.attach=require', '--annotation',
            f'sallyport.server={SERVER}')
    with Ear(world) as ear:
        speak(podman)
        assert ear.heard() != [], 'without the annotation it is heard'
    with Ear(world) as ear:
        speak(podman, *wish)
        assert ear.heard() == []
    container.deployment(podman, world, options=(*container.PORTS, *wish))
    assert wrong_answers(world, doors=(LAN, VPN), families=(4,)) == []


def test_podmans_hook_fails_closed_where_it_is_asked_to(podman):
    for way, status in (('true', 0), ('require', 126)):
        done = podman('run', '--rm', '-v', '/usr:/usr:ro', '--network', 'none',
                      '--annotation', f'sallyport.attach={way}',
                      container.IMAGE, 'true', ok=False)
        assert done.returncode == status, done


@pytest.fixture
def docker(world, program):
    engine = container.Docker(
        world.servera, f'{world.dir}/docker',
        *container.with_runtime(world.dir, program, SERVER))
    yield engine
    engine.close()


def test_dockers_runtime(world, docker):
    with Ear(world) as ear:
        speak(docker)
        assert ear.heard() != [], 'by the usual runtime it is heard'
    with Ear(world) as ear:
        speak(docker, '--runtime', 'sallyport')
        assert ear.heard() == []
    container.deployment(docker, world, options=(*container.PORTS, '--runtime',
                                                 'sallyport'))
    assert wrong_answers(world) == []
    docker.remove('web')
    docker('restart', '-t', '0', 'vpn')
    docker.service('web', 80, options=('--network', 'container:vpn'))
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: '\n'.join(wrong_answers(world)), container.UP, 0.2)
    done = docker('run', '--rm', '--runtime', 'sallyport', '--network', 'none',
                  '-v', '/usr:/usr:ro', container.IMAGE, 'true', ok=False)
    assert done.returncode and 'no network but loopback' in done.stderr, done
