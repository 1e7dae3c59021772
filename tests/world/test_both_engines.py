# SPDX-License-Identifier: GPL-2.0-or-later
"""Docker and podman on one host."""
import pytest

from lab import container
from lab.world import LAN, VPN, wrong_answers


@pytest.fixture(scope='module')
def podman(world, docker):
    """After dockerd, whose chain FORWARD has policy drop by then."""
    engine = container.Podman(world.servera, f'{world.dir}/podman')
    yield engine
    engine.close()


def lost(world):
    return len(wrong_answers(world, doors=(LAN,), families=(4,),
                             seconds=0.7)) == 8


def test_what_podman_publishes_is_dropped_by_dockers_firewall_and_explain_says_so(
        world, sallyport, podman):
    def explain(*words):
        return world.servera.run(sallyport.program, 'explain', *words,
                                 '172.16.9.20', '172.16.5.10:80', ok=False)
    podman.service('web', 80, options=container.PORTS)
    assert lost(world), 'without a VPN and without us'
    done = explain()
    assert done.returncode == 1
    said, line = done.stdout.split('The request does not get there: ')
    assert line.startswith('chain FORWARD of table ip filter has policy drop')
    assert '"firewall": "chain FORWARD' in explain('--json').stdout
    world.servera.run(*line.splitlines()[1].split())
    assert wrong_answers(world, doors=(LAN,), families=(4,), seconds=5) == []
    done = explain()
    assert done.returncode == 0 and 'does not get there' not in done.stdout
    podman('rm', '-f', '-t', '0', 'web')
    container.deployment(podman, world)
    assert lost(world), 'the VPN'
    sallyport('attach', 'vpn', ok=True)
    assert wrong_answers(world, doors=(LAN, VPN), families=(4,)) == []


def test_what_docker_publishes_is_let_through_by_it(world, sallyport, docker):
    docker.service('theirs', 8080, options=('-p', '8080:8080'))
    done = world.servera.run(sallyport.program, 'explain', '172.16.9.20',
                             '172.16.5.10:8080')
    assert 'does not get there' not in done.stdout
    docker.remove('theirs')
