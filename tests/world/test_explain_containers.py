# SPDX-License-Identifier: GPL-2.0-or-later
"""explain looks into containers: of real daemons, by name, ID and number, and
from the host's published port on."""
import json

import pytest

from lab import container, probe
from lab.world import (A4, A_VPN4, B_VPN4, LAPTOP2_4, LAPTOP4, MALLORY4, wrong_answers)

ASKED = (('laptop', LAPTOP4, A4), ('laptop2', LAPTOP2_4, A4), ('mallory', MALLORY4, A4),
         ('serverb', B_VPN4, A_VPN4))


@pytest.fixture(scope='module')
def docker(world):
    engine = container.Docker(world.servera, f'{world.dir}/docker')
    container.deployment(engine, world)
    yield engine
    engine.close()


def address(engine, name):
    networks = engine.inspect(name)['NetworkSettings']['Networks']
    return next(iter(networks.values()))['IPAddress']


def explain(sallyport, *words):
    done = sallyport('explain', '--json', *words)
    assert done.stderr == '' and done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report['verdict']['same_door'] else 1)
    return report


def told_and_happened(world, sallyport, engine):
    """(host, protocol): what explain says from the host, what it says of the
    container, and whether there was an answer."""
    inside = address(engine, 'vpn')
    for host, client, server in ASKED:
        for proto in ('tcp', 'udp'):
            got = probe.ask(world.hosts[host], proto, server, 80, seconds=1.0)
            by_vpn = server == A_VPN4
            told = [explain(sallyport, '--gate', 'vpn', client,
                            f'{server if by_vpn else inside}:80', proto)]
            if not by_vpn:
                told.append(explain(sallyport, client, f'{server}:80', proto))
            yield host, proto, told, got.answered and got.source == server


def test_what_is_told_of_a_container_happens_before_and_after_attach(
        world, sallyport, docker):
    before = list(told_and_happened(world, sallyport, docker))
    assert {answered for *_, answered in before} == {True, False}
    cure = [c for *_, told, _ in before for r in told for cure in r['cures']
            for c in cure['commands'] if c.startswith('sallyport attach')]
    assert 'sallyport attach vpn' in cure
    sallyport('attach', 'vpn', ok=True)
    try:
        after = list(told_and_happened(world, sallyport, docker))
    finally:
        sallyport('detach', 'vpn', ok=True)
    assert {answered for *_, answered in after} == {True}
    for host, proto, told, answered in before + after:
        for report in told:
            assert report['verdict']['same_door'] == answered, (
                host, proto, report['verdict'])


def test_the_published_port_is_followed_from_the_host_into_the_container(
        world, sallyport, docker):
    inside = address(docker, 'vpn')
    done = sallyport('explain', LAPTOP4, f'{A4}:80')
    assert f'port 80 is published for a container: it goes on to {inside} port 80' in done.stdout
    assert (f'In container {inside} the reply leaves by tun0, not by eth0 where the request '
            'came in: the VPN') in done.stdout
    assert done.returncode == 1


@pytest.fixture
def raw(world, docker):
    """What Docker 28 adds for each container: nobody from elsewhere asks it by its
    own address."""
    at = docker.inspect('vpn')['NetworkSettings']
    rules = [(family, address, '!', '-i', 'docker0', '-j', 'DROP') for family, address in (
        ('iptables', at['IPAddress']), ('ip6tables', at['GlobalIPv6Address']))]
    for family, *rule in rules:
        world.servera.run(family, '-t', 'raw', '-A', 'PREROUTING', '-d', *rule)
    yield at['IPAddress']
    for family, *_ in rules:
        world.servera.run(family, '-t', 'raw', '-F')


def test_attach_stands_beside_the_rules_of_docker_28_and_explain_sees_them(
        world, sallyport, docker, raw):
    sallyport('attach', 'vpn', ok=True)
    world.mallory.ip(f'route add {raw}/32 via {A4}')
    try:
        assert wrong_answers(world) == []
        assert explain(sallyport, MALLORY4, f'{A4}:80')['verdict']['same_door']
        assert not probe.ask(world.mallory, 'tcp', raw, 80, seconds=probe.SILENCE).answered
        told = sallyport('explain', MALLORY4, f'{raw}:80')
        line = f'iptables -t raw -I PREROUTING -i eth0 -d {raw} -j ACCEPT'
        assert told.returncode == 1 and line in told.stdout, told
        world.servera.run(*line.split())
        assert probe.ask(world.mallory, 'tcp', raw, 80).answered
        assert explain(sallyport, MALLORY4, f'{raw}:80')['verdict']['same_door']
    finally:
        world.mallory.ip(f'route del {raw}/32 via {A4}')
        sallyport('detach', 'vpn', ok=True)


def test_a_container_is_found_by_name_id_and_number(world, sallyport, docker):
    inside = address(docker, 'vpn')
    for way in ('vpn', docker.inspect('vpn')['Id'][:12], str(docker.pid('vpn'))):
        report = explain(sallyport, '--gate', way, LAPTOP4, f'{inside}:80')
        assert report['meets']['kind'] == 'socket', way
        assert report['legs'][-1]['out'] == 'tun0'
        commands = [c for cure in report['cures'] for c in cure['commands']]
        assert any(c.startswith(f'nsenter -t {docker.pid("vpn")} -n ip ') for c in commands)


def test_a_container_that_is_not_there_is_one_clear_error(sallyport, docker):
    done = sallyport('explain', '--gate', 'nosuch', LAPTOP4, f'{A4}:80')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'there is no gate, namespace, process or container "nosuch"' in done.stderr
    assert done.stderr.count('\n') == 1


def test_a_container_of_podman_is_found_by_name(world, sallyport, docker):
    docker.close()
    engine = container.Podman(world.servera, f'{world.dir}/podman')
    try:
        container.deployment(engine, world)
        report = explain(sallyport, '--gate', 'vpn', LAPTOP4, f'{address(engine, "vpn")}:80')
        assert report['place'] == 'container "vpn"'
        assert report['legs'][-1]['out'] == 'tun0'
        assert not probe.ask(world.laptop, 'tcp', A4, 80, seconds=probe.SILENCE).answered
    finally:
        engine.close()
