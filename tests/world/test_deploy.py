# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of deploy/compose as they are, run by docker-compose."""
import os
import shutil

import pytest
import yaml

from lab import container
from lab import host as hosts
from lab.container import EngineWatch
from lab.deploy import (DEPLOY, MOUNTS, SERVE, SERVER, THEIRS, answered,
                        build_image)
from lab.world import LAN, VPN

# Inside of what the VPN pushes, but not the VPN's own 172.20.0.0/16, which
# Docker would come to after two networks.
POOLS = [{'base': '172.24.0.0/14', 'size': 24}]


@pytest.fixture(scope='module')
def docker(world, program):
    engine = container.Docker(
        world.servera, f'{world.dir}/docker',
        *container.with_runtime(world.dir, program, SERVER,
                                **{'default-address-pools': POOLS}))
    build_image(engine, program, env=dict(os.environ, DOCKER_BUILDKIT='0'))
    yield engine
    engine.close()


class Compose:
    """A file of deploy/compose, up until the `with` ends."""

    def __init__(self, docker, world, file, **vpn):
        self.docker = docker
        volumes = [f'{there}:{here}:ro' for here, there in MOUNTS.items()]
        over = {'services': {
            'vpn': {'volumes': volumes, **vpn},
            'web': {'image': container.IMAGE, 'command': SERVE,
                    'volumes': volumes}}}
        directory = f'{world.dir}/office'
        os.makedirs(directory, exist_ok=True)
        shutil.copy(world.office, f'{directory}/office.ovpn')
        over = hosts.keep(f'{directory}/over.yml', yaml.safe_dump(over))
        self.argv = ('docker-compose', '--project-directory', directory, '-f',
                     os.path.join(DEPLOY, 'compose', file), '-f', over)

    def __call__(self, *argv):
        return self.docker.host.run(*self.argv, *argv, timeout=2 * container.UP)

    def logs(self):
        return self('logs', '--no-color').stdout

    def __enter__(self):
        try:
            self('up', '-d')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self('down', '-t', '0')


def test_compose_with_our_image(world, docker, ear):
    with Compose(docker, world, 'image.yml') as up:
        answered(world, (LAN, VPN), (4, 6), up.logs)
        assert ear.heard() == []


def test_compose_attached_from_outside(world, sallyport, docker, ear):
    with Compose(docker, world, 'attach.yml', image=container.IMAGE,
                 command=THEIRS) as up:
        docker.wait_vpn('vpn')
        assert len(container.lan_lost(world)) > 0, 'the negative control'
        assert ear.heard() != [], 'as its comment says'
        with EngineWatch(sallyport, '--attach', 'vpn'):
            answered(world, (LAN, VPN), (4, 6), up.logs)


def test_compose_by_the_oci_runtime(world, docker, ear):
    with Compose(docker, world, 'oci-runtime.yml', image=container.IMAGE,
                 command=THEIRS) as up:
        answered(world, (LAN, VPN), (4, 6), up.logs)
        assert ear.heard() == []
