# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports that podman publishes keep answering while a VPN runs on the host beside
it, and containers that have a VPN of their own are left alone."""
import pytest

from lab import probe
from lab.container import Podman
from lab.host import PATIENCE, until
from lab.probe import How
from lab.world import A4, B_VPN4
from test_guard_docker import (another_gateway_answers, answer_and_go_on, guarded, second_lan,
                               without_a_guard_they_do_not, wrong)
from test_guard_xfrm import add_policies, delete_policies

PUSHES = {
    'the enclosing prefix': ('route 172.16.0.0 255.240.0.0',),
    'the containers, too': ('route 172.16.0.0 255.240.0.0',
                            'route 10.88.0.0 255.255.128.0'),
    'everything': ('redirect-gateway def1',),
}
CONTAINERS_VPN4 = '172.20.0.11'


@pytest.fixture(scope='module')
def podman(world):
    engine = Podman(world.servera, f'{world.dir}/podman')
    engine.service('web', 80, options=['-p', '80:80', '-p', '80:80/udp'],
                   by='web')
    until(lambda: 'state UP' in world.servera.out('ip', 'link', 'show', 'podman0'),
          'the bridge is up', PATIENCE)
    child = world.serve(world.servera, 'host', 81)
    yield engine
    child.kill()
    engine.close()
    world.openvpn.give_a()


@pytest.mark.parametrize('push', list(PUSHES.values()), ids=list(PUSHES))
def test_published_ports_answer_and_a_flow_goes_on(program, world, podman, push):
    answer_and_go_on(program, world, push)


def test_who_comes_by_another_gateway_is_answered_by_it(program, world, podman):
    """Unlike dockerd nobody has made the guard look after IPsec here."""
    with second_lan(world) as far:
        another_gateway_answers(program, world, far)


def test_published_ports_answer_beside_policies_of_ipsec(program, world, podman):
    """Those of forwarded packets too: what comes in must not be encrypted, and
    what goes back is not."""
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    ssh = probe.Flow(world.laptop, A4, 81)
    older = probe.Flow(world.laptop, A4, 80)
    with guarded(program, world) as guard:
        guard.connected()
        add_policies(world)
        guard.wait_log('IPsec is at work here')
        assert wrong(world) == []
        delete_policies(world)
    assert older.stop().error is None
    assert ssh.stop().error is None


def test_control_without_a_guard_they_do_not_answer(world, podman):
    without_a_guard_they_do_not(world)


def container_state(inside):
    tables = inside.out('ip', 'route', 'show', 'table', 'all')
    return [inside.out('ip', 'rule'), inside.out('ip', '-6', 'rule'),
            inside.out('nft', 'list', 'ruleset'), 'table 100' in tables]


def test_a_container_with_a_vpn_of_its_own_is_left_alone(program, world, podman):
    """Its client goes on over the host's LAN, whatever the host's VPN claims,
    and nothing of the guard is in it."""
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    profile = world.openvpn.profile(f'{world.dir}/own.ovpn', 'servera2')
    podman.vpn('own', profile)
    podman.service('beside', 8000, options=['--network', 'container:own'],
                   by='own')
    with podman.inside('own') as inside:
        before = container_state(inside)
        with guarded(program, world) as guard:
            guard.connected()
            assert container_state(inside) == before
            for proto in ('tcp', 'udp'):
                got = probe.ask(world.serverb, proto, CONTAINERS_VPN4, 8000)
                assert (got.how, got.by, got.saw) == (How.ANSWERED, 'own',
                                                      B_VPN4), got
            assert probe.ping(inside, '172.20.0.1')
            assert guard.stop() == 0
        assert container_state(inside) == before
    for name in ('beside', 'own'):
        podman('rm', '-f', '-t', '0', name)


def test_a_container_that_comes_later_answers(program, world, podman):
    world.openvpn.give_a(PUSHES['everything'])
    with guarded(program, world) as guard:
        guard.connected()
        podman('network', 'create', '--subnet', '10.89.7.0/24', 'later')
        podman.service('late', 81, options=['--network', 'later', '-p', '82:81'],
                       by='late')
        until(lambda: probe.ask(world.laptop, 'tcp', A4, 82, seconds=2).answered,
              guard.log.text, PATIENCE)
        podman('rm', '-f', '-t', '0', 'late')
        podman('network', 'rm', 'later')
