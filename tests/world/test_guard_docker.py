# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports that a real dockerd publishes keep answering while a VPN runs on the
host beside it."""
import pytest

from lab import probe
from lab.container import Docker
from lab.guard import Guard
from lab.host import PATIENCE
from lab.probe import How
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import A4, LAPTOP4, LAPTOP3_4, MALLORY4

PUSHES = {
    'the enclosing prefix': ('route 172.16.0.0 255.240.0.0',),
    'the containers, too': ('route 172.16.0.0 255.240.0.0',
                            'route 172.17.0.0 255.255.128.0'),
    'everything': ('redirect-gateway def1',),
}


@pytest.fixture(scope='module')
def docker(world):
    engine = Docker(world.servera, f'{world.dir}/docker')
    engine.service('web', 80, options=['-p', '80:80', '-p', '80:80/udp'],
                   by='web')
    yield engine
    engine.remove('web')
    engine.close()
    world.openvpn.give_a()


def clients(world):
    return [(world.laptop, LAPTOP4), (world.laptop3, LAPTOP3_4),
            (world.mallory, MALLORY4)]


def line(s):
    s.settimeout(PATIENCE)
    data = b''
    while not data.endswith(b'\n'):
        data += s.recv(4096)
    return data


def wrong(world):
    said = []
    for host, address in clients(world):
        for proto in ('tcp', 'udp'):
            got = probe.ask(host, proto, A4, 80, seconds=8)
            if (got.how, got.by, got.saw, got.source) != (
                    How.ANSWERED, 'web', address, A4):
                said.append(f'{host.name} {proto}: {got}')
    return said


def guarded(program, world):
    return Guard(program, world.servera, world.dir,
                 ['openvpn', '--config', world.office])


@pytest.mark.parametrize('push', list(PUSHES.values()), ids=list(PUSHES))
def test_published_ports_answer_and_a_flow_goes_on(program, world, docker,
                                                   push):
    world.openvpn.give_a(push)
    before = hoststate(world.servera)
    older = probe.Flow(world.laptop, A4, 80)
    with guarded(program, world) as guard:
        guard.connected()
        assert wrong(world) == []
        assert guard.stop() == 0
    assert older.stop().error is None
    assert difference(before, hoststate(world.servera)) == ''


def test_control_without_a_guard_they_do_not_answer(world, docker):
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    got = [probe.ask(world.laptop, proto, A4, 80, seconds=probe.SILENCE).how
           for proto in ('tcp', 'udp')]
    client.close()
    assert got == [How.SILENT, How.SILENT]


def test_a_silent_flow_that_is_older_than_the_guard_is_answered(program, world,
                                                                docker):
    """The container speaks first after the VPN is up: nothing came in by any
    door since the guard stands."""
    s = probe.connect(world.laptop, A4, 80)
    with s, guarded(program, world) as guard:
        line(s)
        guard.connected()
        s.sendall(b'still there?\n')
        assert line(s).endswith(b' still there?\n')


@pytest.fixture
def rp_filter(world):
    def set_filters(value):
        for link in ('all', 'eth0', 'docker0'):
            world.servera.sysctl(f'net/ipv4/conf/{link}/rp_filter', value)
    old = world.servera.sysctl('net/ipv4/conf/eth0/rp_filter')
    yield set_filters
    set_filters(old)


def test_with_loose_reverse_path_filters(program, world, docker, rp_filter):
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    rp_filter(2)
    before = hoststate(world.servera)
    with guarded(program, world) as guard:
        guard.connected()
        assert wrong(world) == []
    assert difference(before, hoststate(world.servera)) == ''


def test_of_strict_reverse_path_filters_it_is_warned(program, world, docker,
                                                     rp_filter):
    """The kernel asks by which way a container would answer, before anybody
    can say that it is a reply."""
    rp_filter(1)
    with guarded(program, world) as guard:
        guard.wait_log('rp_filter', 'eth0')


def test_containers_reach_the_vpn_and_each_other(program, world, docker):
    world.openvpn.give_a(PUSHES['the enclosing prefix'])
    child = world.serve(world.serverb, 'b', 8000)
    with guarded(program, world) as guard, docker.inside('web') as inside:
        guard.connected()
        got = probe.ask(inside, 'tcp', '172.20.0.30', 8000, seconds=8)
        assert (got.how, got.saw) == (How.ANSWERED, '172.20.0.10')
        # The host itself, by the containers' gateway and by its LAN address.
        assert probe.ask(world.servera, 'tcp', '172.17.0.2', 80,
                         seconds=8).answered
        assert probe.ask(world.servera, 'tcp', '172.17.0.2', 80,
                         src=A4, seconds=8).answered
    child.kill()
