# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever the VPN pushes, every door answers its own."""
import ipaddress
import os
import signal

import pytest

from lab import probe
from lab.host import until
from lab.probe import How
from lab.vpn import OpenVpnClient, OpenVpnServer
from lab.world import A4, A6, A_VPN4, A_VPN6, wrong_answers

PLAIN = OpenVpnServer.PUSH

PUSHES = {
    'nothing': (),
    'the enclosing prefix': PLAIN,
    'the LAN and its enclosing /16': (
        'route 172.16.0.0 255.255.0.0', 'route 172.16.5.0 255.255.255.0',
        'route 172.16.9.0 255.255.255.0', 'route-ipv6 fd00:16:5::/64',
        'route-ipv6 fd00:16:9::/64'),
    'halves of the LAN': (
        'route 172.16.5.0 255.255.255.128', 'route 172.16.9.0 255.255.255.128',
        'route-ipv6 fd00:16:5::/65', 'route-ipv6 fd00:16:9::/65'),
    'default': ('redirect-gateway ipv6',),
    'the two halves of everything': ('redirect-gateway def1 ipv6',),
    'default without the local network': (
        'redirect-gateway def1 block-local ipv6',),
    'the LAN router and the host': (
        'route 172.16.5.1 255.255.255.255', 'route 172.16.5.10 255.255.255.255',
        'route-ipv6 fd00:16:5::1/128', 'route-ipv6 fd00:16:5::10/128'),
    'the clients': (
        'route 172.16.9.20 255.255.255.255', 'route 172.16.9.21 255.255.255.255',
        'route-ipv6 fd00:16:9::20/128', 'route-ipv6 fd00:16:9::21/128'),
    'everything private': (
        'route 10.0.0.0 255.0.0.0', 'route 172.16.0.0 255.240.0.0',
        'route 192.168.0.0 255.255.0.0', 'route 198.18.0.0 255.254.0.0',
        'route-ipv6 fc00::/7'),
    'the way to the VPN server': (
        'route 198.51.100.2 255.255.255.255', 'route 192.0.2.0 255.255.255.0'),
}

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''

ANY_PUSH = pytest.mark.parametrize('push', list(PUSHES.values()),
                                   ids=list(PUSHES))


@pytest.fixture(autouse=True)
def plain_pushes_afterwards(world):
    yield
    world.openvpn.give_a()


def links_of(gate):
    """What a VPN could push to hit the gate's own links."""
    net, net6 = (ipaddress.ip_network(f'{gate.address(family=f)}/{size}', strict=False)
                 for f, size in ((4, 26), (6, 64)))
    # Of the host, the gate, the first room, and that on its short link.
    numbers = (1, 2, 3, 33)
    return {
        'the range of the links': (
            f'route {net.network_address} 255.255.255.192', f'route-ipv6 {net6}'),
        'every end of the links': (
            *(f'route {net[i]} 255.255.255.255' for i in numbers),
            *(f'route-ipv6 {net6[i]}/128' for i in numbers)),
        'halves of the links': (
            *(f'route {half.network_address} 255.255.255.224' for half in net.subnets()),
            *(f'route-ipv6 {half}' for half in net6.subnets())),
    }


def reconnect(gate, world, push, **kw):
    """The same client gets new pushes, as after a change at the provider."""
    world.openvpn.give_a(push, **kw)
    since = len(gate.log.text())
    os.kill(gate.vpn_pid(), signal.SIGUSR1)
    gate.wait_log('Initialization Sequence Completed', since=since)
    until(lambda: gate.door('office')['state'] == 'up', 'office is up')


@ANY_PUSH
def test_pushed_before_the_gate_is_ready(world, sallyport, push):
    world.openvpn.give_a(push)
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        assert wrong_answers(world) == []


@pytest.fixture(scope='module')
def standing(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate


@ANY_PUSH
def test_pushed_while_the_gate_stands(world, standing, push):
    flow = probe.Flow(world.laptop, A4, 80)
    reconnect(standing, world, push)
    assert flow.stop().error is None
    assert wrong_answers(world) == []


@pytest.mark.parametrize('push', ['nothing', 'the enclosing prefix'])
def test_what_the_gate_itself_says_goes_by_the_door_too(world, standing, push):
    """Pings and refusals: no route of the VPN may lead to who asked."""
    reconnect(standing, world, PUSHES[push])
    for asker, dst in ((world.serverb, A_VPN4), (world.serverb, A_VPN6),
                       (world.twin, A_VPN4), (world.twin, A_VPN6)):
        assert probe.ping(asker, dst)
        for proto in 'tcp', 'udp':
            assert probe.ask(asker, proto, dst, 83).how is How.REFUSED


@pytest.mark.parametrize('what', ['the range of the links',
                                  'every end of the links',
                                  'halves of the links'])
def test_pushed_over_the_gates_own_links(world, standing, what):
    reconnect(standing, world, links_of(standing)[what])
    assert wrong_answers(world) == []


def test_a_gate_that_starts_with_its_links_pushed_answers(world, sallyport,
                                                         standing):
    pushes = [p for ps in links_of(standing).values() for p in ps]
    standing.stop()
    world.openvpn.give_a(pushes)
    with sallyport.up('main') as gate:
        gate.serve('room', 80)
        assert wrong_answers(world) == []


@pytest.mark.parametrize('push', [
    PUSHES['the enclosing prefix'], PUSHES['halves of the LAN'],
    PUSHES['the two halves of everything']])
def test_control_on_the_bare_host_these_pushes_lose_the_laptop(world, push):
    child = world.serve(world.servera, 'host', 80)
    world.openvpn.give_a(push)
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    got = [probe.ask(world.laptop, 'tcp', a, 80, seconds=probe.SILENCE).how
           for a in (A4, A6)]
    client.close()
    child.kill()
    assert got == [How.SILENT, How.SILENT]
