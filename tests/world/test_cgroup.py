# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups of version 2 alone. Nothing of ours knows of control groups,
but runtimes do, and they call us in another order; the other tests run where
this kernel has version 1, with 2 beside it."""
import os

import pytest

from lab import container
from lab.deploy import SERVER, answered, build_image
from lab.host import until
from lab.leak import Ear
from lab.world import LAN, VPN

UNIFIED = '''
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
'''


# The controllers of this kernel are those of version 1.
UNLIMITED = '--pids-limit', '0'


def removed(root, group):
    """Podman moves who is in the root of version 2, us too, into one below."""
    try:
        for path, _, _ in os.walk(f'{root}/{group}', topdown=False):
            with open(f'{path}/cgroup.procs') as f:
                for pid in f.read().split():
                    with open(f'{root}/cgroup.procs', 'w') as up:
                        up.write(pid)
            os.rmdir(path)
    except OSError:  # a process of it is about to end
        return False
    return True


@pytest.fixture(scope='module')
def unified(world):
    """On Server A there is only version 2."""
    world.servera.run('sh', '-c', UNIFIED)
    assert world.servera.out('stat', '-fc', '%T',
                             '/sys/fs/cgroup') == 'cgroup2fs\n'
    root = world.servera.path('/sys/fs/cgroup')
    before = set(os.listdir(root))
    yield world
    for name in set(os.listdir(root)) - before:
        until(lambda: removed(root, name), f'{name} is empty')


def test_dockers_runtime(unified, program):
    docker = container.Docker(
        unified.servera, f'{unified.dir}/docker',
        *container.with_runtime(unified.dir, program, SERVER))
    try:
        assert 'Cgroup Version: 2' in docker('info').stdout
        with Ear(unified) as ear:
            container.deployment(docker, unified, options=(
                *container.PORTS, '--runtime', 'sallyport'))
            answered(unified, (LAN, VPN), (4, 6),
                     lambda: docker('logs', 'vpn').stdout)
            assert ear.heard() == []
    finally:
        docker.close()


def test_podman_with_our_image(unified, program):
    podman = container.Podman(unified.servera, f'{unified.dir}/podman')
    try:
        assert 'cgroupVersion: v2' in podman('info').stdout
        build_image(podman, program, '--isolation', 'chroot')
        podman('run', '-d', *UNLIMITED, '--name', 'vpn', '-v', '/usr:/usr:ro', '--cap-add',
               'NET_ADMIN', '--device', '/dev/net/tun', *container.PORTS, '-v',
               f'{unified.office}:/etc/sallyport/vpn.ovpn:ro', 'sallyport')
        podman.service('web', 80, options=(
            *UNLIMITED, '--network', 'container:vpn'))
        answered(unified, (LAN, VPN), (4,), lambda: podman('logs', 'vpn').stderr)
    finally:
        for name in ('web', 'vpn'):
            podman('rm', '-f', '-t', '0', name, ok=False)
        podman.close()
