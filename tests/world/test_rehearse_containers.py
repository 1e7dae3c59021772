# SPDX-License-Identifier: GPL-2.0-or-later
"""What rehearse foretells of a real engine's containers happens: to clients
that are connected to a published port, and to those that come later."""
import json
import signal

import pytest

from lab import container
from lab.host import PATIENCE, keep
from lab.vpn import OpenVpnClient
from lab.world import A4, B_INET4, LAPTOP4, MALLORY4
from test_rehearse import (Session, VARIANTS, alive, foretold, is_lost, pushes)

PORT = 8080
CLIENTS = ('laptop', 'laptop3', 'mallory', 'serverb')

PUSHES = {
    'what misses': VARIANTS['what misses'],
    'the enclosing /12': VARIANTS['the enclosing /12'],
    'both halves of the /24': VARIANTS['both halves of the /24'],
    'the client itself': VARIANTS['the client itself'],
    'a default (def1)': VARIANTS['a default (def1)'],
    'the network of the containers': pushes('172.17.0.0/17', '10.88.0.0/17'),
}


def docker(world):
    return container.Docker(world.servera, f'{world.dir}/docker')


def docker_without_proxy(world):
    return container.Docker(world.servera, f'{world.dir}/plain',
                            '--userland-proxy=false')


def podman(world):
    return container.Podman(world.servera, f'{world.dir}/podman')


@pytest.fixture(scope='module', params=[docker, docker_without_proxy, podman],
                ids=lambda f: f.__name__)
def engine(request, world):
    # Server B talks to Server A by the Internet here.
    if world.b_client.child.poll() is None:
        world.b_client.child.send_signal(signal.SIGTERM)
        world.b_client.child.wait(PATIENCE)
    it = request.param(world)
    try:
        it.service('web', 80, options=('-p', f'{PORT}:80'))
        yield it
    finally:
        it.close()


@pytest.fixture
def pooled(request, world):
    """An engine that takes new networks from 10.201.0.0/16, and how to have
    it take them from elsewhere: words of its configuration."""
    made = []

    def docker_with(words):
        if made:
            made.pop().stop()
        keep(world.servera.path('/etc/docker/daemon.json'), words)
        made.append(container.Docker(world.servera, f'{world.dir}/pools'))
        return made[-1]

    def podman_with(words):
        keep(world.servera.path('/etc/containers/containers.conf'),
             f'[network]\n{words}\n')
        if not made:
            made.append(container.Podman(world.servera, f'{world.dir}/pools'))
        return made[-1]

    yield {'Docker': docker_with, 'Podman': podman_with}[request.param]
    made.pop().close()
    for path in ('docker/daemon.json', 'containers/containers.conf'):
        world.servera.run('rm', '-f', f'/etc/{path}')


POOLS = {'Docker': '{"default-address-pools": '
                   '[{"base": "10.201.0.0/16", "size": 24}]}',
         'Podman': 'default_subnet_pools = '
                   '[{"base" = "10.201.0.0/16", "size" = 24}]'}


def swallowed(sallyport, engine, routes='10.201.0.0/16'):
    """What rehearse says of the engine's pools: taken or not, and the cure."""
    report = json.loads(sallyport('rehearse', '--json', '--routes',
                                  routes).stdout)
    return ([(p['base'], p['taken']) for p in report['pools']
             if p['engine'] == engine],
            ['\n'.join(c['commands']) for c in report['cures']
             if c['what'].startswith(engine)])


@pytest.mark.parametrize('pooled, name', [(n, n) for n in POOLS],
                         indirect=['pooled'], ids=list(POOLS))
def test_pools_that_would_be_swallowed_move_by_the_cure(world, sallyport,
                                                        pooled, name):
    engine = pooled(POOLS[name])
    engine('network', 'create', 'one')
    assert '10.201.' in engine('network', 'inspect', 'one').stdout
    engine.run('holder', 'sleep', '1000', options=('--network', 'one'))
    pools, cures = swallowed(sallyport, name)
    assert pools == [('10.201.0.0/16', True)]
    assert len(cures) == 1
    engine.remove('holder')
    engine('network', 'rm', 'one')
    engine = pooled(cures[0])
    engine('network', 'create', 'two')
    assert '10.201.' not in engine('network', 'inspect', 'two').stdout
    engine.run('holder', 'sleep', '1000', options=('--network', 'two'))
    pools, cures = swallowed(sallyport, name)
    assert [taken for _, taken in pools] == [False] and cures == []
    engine.remove('holder')
    engine('network', 'rm', 'two')


def containers_of(report):
    return {(c['peer'], c['peer_port']): c for c in report['connections']
            if 'container' in c}


@pytest.mark.parametrize('name', PUSHES)
def test_what_is_foretold_of_containers_happens(world, engine, sallyport,
                                                name):
    world.openvpn.give_a(push=PUSHES[name].push)
    sessions = [Session(world.hosts[h], A4, PORT) for h in CLIENTS]
    client = None
    try:
        done = sallyport('rehearse', '--json', world.office)
        assert done.stdout, done.stderr
        report = json.loads(done.stdout)
        assert all(alive(sessions).values())
        client = OpenVpnClient(world.servera, world.office, world.dir).wait()
        happened = alive(sessions, foretold(report))
    finally:
        if client:
            client.close()
        for s in sessions:
            s.close()
    told = {end: c['fate'] == 'kept' for end, c in
            containers_of(report).items()}
    assert told == happened
    assert {c['container_port'] for c in containers_of(report).values()} == {80}
    assert report['cut'] or all(happened.values())
    for end, lives in happened.items():
        assert is_lost(report, 'tcp', PORT, end[0]) != lives


def test_a_published_port_is_named_with_its_container(world, engine,
                                                      sallyport):
    """With docker-proxy and without, once."""
    inside = engine('inspect', '-f', '{{.NetworkSettings.IPAddress}}',
                    'web').stdout.strip()
    report = json.loads(sallyport('rehearse', '--json', '--routes',
                                  '172.16.0.0/12').stdout)
    ports = [l for l in report['listeners'] if l['port'] == PORT and
             ':' not in l['address']]
    assert [(l['container'], l['container_port']) for l in ports] == \
        [(inside, 80)]
    text = sallyport('rehearse', '--routes', '172.16.0.0/12').stdout
    assert f'{PORT}/tcp container {inside}:80' in text


def test_a_snapshot_tells_of_containers_what_the_host_tells(world, engine,
                                                            sallyport, program):
    sessions = [Session(world.hosts[h], A4, PORT) for h in CLIENTS]
    path = f'{world.dir}/containers.json'
    words = ('rehearse', '--json', '--routes', '172.16.0.0/12,203.0.113.0/24')
    try:
        here = sallyport(*words).stdout
        sallyport('snapshot', '-o', path)
    finally:
        for s in sessions:
            s.close()
    there = world.laptop.run(program, *words, '--from-snapshot', path, ok=False)
    assert {end[0] for end in containers_of(json.loads(here))} == {
        LAPTOP4, MALLORY4, B_INET4, '172.16.77.20'}
    assert json.loads(there.stdout) == json.loads(here)
