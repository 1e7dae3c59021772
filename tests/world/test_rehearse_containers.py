# SPDX-License-Identifier: GPL-2.0-or-later
"""What rehearse foretells of a real engine's containers happens: to clients
that are connected to a published port, and to those that come later."""
import json
import signal

import pytest

from lab import container
from lab.host import PATIENCE
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
