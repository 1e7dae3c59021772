# SPDX-License-Identifier: GPL-2.0-or-later
"""Docker and podman on one host."""
import os

import pytest

from lab import container, probe
from lab.host import join
from lab.world import A4, LAN, VPN, wrong_answers


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
    told = sallyport('attach', 'web', ok=True).stderr
    # Podman lists them in no order.
    told = told.replace('80/udp, 80/tcp', '80/tcp, 80/udp')
    assert ('container "web": its port 80/tcp, 80/udp is cut off by a firewall: '
            'chain FORWARD of table ip filter has policy drop') in told
    assert line.splitlines()[1] in told
    world.servera.run(*line.splitlines()[1].split())
    assert 'cut off' not in sallyport('attach', 'web', ok=True).stderr
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
    docker.run('unpublished', 'sleep', '1000')
    for name in 'theirs', 'unpublished':
        assert 'cut off' not in sallyport('attach', name, ok=True).stderr
    docker.remove('theirs', 'unpublished')


def test_a_namespace_that_the_lan_has_a_route_to_is_behind_that_firewall_too(
        world, sallyport, docker):
    inside = world.host('plain')
    join(world.servera, 'plain', inside, 'eth0')
    world.servera.ip('addr add 172.16.99.1/24 dev plain')
    inside.ip('addr add 172.16.99.2/24 dev eth0', 'route add default via 172.16.99.1')
    world.core.ip(f'route add 172.16.99.0/24 via {A4}')
    child = world.serve(inside, 'plain', 80)
    path = f'/proc/{os.getpid()}/fd/{inside.fd}'

    def answered(**kw):
        return probe.ask(world.laptop, 'tcp', '172.16.99.2', 80, **kw).answered
    assert not answered(seconds=probe.SILENCE)
    told = sallyport('attach', path, ok=True).stderr
    assert 'from beyond this host it is cut off by a firewall: chain FORWARD' in told
    there, back = [l for l in told.splitlines() if l.startswith('  ')]
    for line in there, back:
        assert not answered(seconds=probe.SILENCE)
        assert 'cut off' in sallyport('attach', path, ok=True).stderr
        world.servera.run(*line.split())
    assert answered()
    assert 'cut off' not in sallyport('attach', path, ok=True).stderr
    child.kill()
