# SPDX-License-Identifier: GPL-2.0-or-later
"""A gate needs the host to forward; that does not make the host a router for its
neighbours. Here a network behind its second interface is nobody's business."""
import pytest

from lab import probe
from lab.host import until
from lab.probe import How
from lab.second import B4, B6, beside
from lab.second import NEXT4 as IN4
from lab.second import NEXT6 as IN6
from lab.state import difference, hoststate
from lab.world import A4, A6, LAPTOP4, wrong_answers

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''
ASKED = pytest.mark.parametrize('proto, dst', [
    (proto, dst) for proto in ('tcp', 'udp') for dst in (IN4, IN6)])


@pytest.fixture(scope='module')
def inside(world):
    """A server that only Server A is to reach, and mallory's wish to."""
    with beside(world.servera, 'inside') as host:
        host.ip(*[f'route add default via {a}' for a in (B4, B6)])
        child = world.serve(host, 'inside', 7000)
        routes = [f'{IN4}/32 via {A4}', f'{IN6}/128 via {A6}']
        world.mallory.ip(*[f'route add {r}' for r in routes])
        yield host
        world.mallory.ip(*[f'route del {r}' for r in routes])
        child.kill()


@pytest.fixture(scope='module')
def gate(world, sallyport, inside):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate


@pytest.fixture
def router(world):
    """Whoever administers Server A wants it to be one."""
    switches = 'net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'
    for key in switches:
        world.servera.sysctl(key, 1)
    yield
    for key in switches:
        world.servera.sysctl(key, 0)


def ask(world, proto, dst, seconds=probe.SILENCE):
    return probe.ask(world.mallory, proto, dst, 7000, seconds=seconds)


@ASKED
def test_control_a_router_lets_a_neighbour_in(world, inside, router, proto, dst):
    assert ask(world, proto, dst, probe.PATIENCE).by == 'inside'


@ASKED
def test_a_router_goes_on_to_be_one(world, sallyport, inside, router, proto, dst):
    with sallyport.up('main', CONF.format(office=world.office)):
        assert ask(world, proto, dst, probe.PATIENCE).by == 'inside'


@ASKED
def test_the_host_of_a_gate_does_not_become_one(world, gate, proto, dst):
    assert ask(world, proto, dst).how in (How.SILENT, How.UNREACHABLE)
    assert probe.ask(world.servera, 'tcp', dst, 7000).by == 'inside'


def test_everybody_is_answered_on_either_side(world, gate, inside):
    assert wrong_answers(world) == []
    assert probe.ask(inside, 'tcp', '192.168.50.10', 80).saw == IN4
    assert probe.ask(inside, 'udp', 'fd00:50::10', 80).saw == IN6


def test_of_two_gates_the_first_ends(world, sallyport, gate, inside):
    """Who switched it on is gone, and it is still on."""
    with sallyport.up('other', '[room]\npublish = 8000:80\n') as other:
        other.serve('other', 80)
        gate.stop()
        assert probe.ask(world.laptop, 'tcp', A4, 8000).saw == LAPTOP4
        for dst in IN4, IN6:
            assert ask(world, 'tcp', dst).how in (How.SILENT, How.UNREACHABLE)


SWITCHES = {4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding'}


@pytest.mark.parametrize('family', [4, 6])
def test_it_becomes_one_when_somebody_says_so(world, sallyport, inside, family):
    """As dockerd does when it starts. IPv6's switch is on already, for the gate."""
    dst = {4: IN4, 6: IN6}[family]
    left = hoststate(world.servera)
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        assert ask(world, 'tcp', dst).how is How.SILENT
        before = hoststate(world.servera)
        world.servera.sysctl(SWITCHES[family], 1)
        until(lambda: ask(world, 'tcp', dst).by == 'inside', 'it forwards')
        gate.wait_log(f"router of IPv{family} by somebody's will")
        world.servera.sysctl(SWITCHES[family], 0)
        until(lambda: ask(world, 'tcp', dst).how is How.SILENT, 'no longer')
        gate.wait_log(f'no router of IPv{family} any more')
        until(lambda: difference(before, hoststate(world.servera)) == '',
              lambda: difference(before, hoststate(world.servera)))
    assert difference(left, hoststate(world.servera)) == ''


def test_what_was_said_while_a_gate_stood_is_left_behind(world, sallyport, inside):
    """Also when that gate is killed and comes back, and with two of them."""
    switch = SWITCHES[6]
    with sallyport.up('main', '[room]\npublish = 8000:80\n') as main, \
            sallyport.up('other', '[room]\npublish = 8001:80\n') as other:
        world.servera.sysctl(switch, 1)
        main.wait_log("router of IPv6 by somebody's will")
        until(lambda: 'ipv6/conf/all/forwarding 1' in world.servera.out(
            'nft', 'list', 'chain', 'inet', 'sallyport', 'before_main'), 'it is noted')
        main.kill9()
        with sallyport.up('main') as main:
            assert ask(world, 'tcp', IN6, probe.PATIENCE).by == 'inside'
        assert ask(world, 'tcp', IN6, probe.PATIENCE).by == 'inside'
        other.stop()
    try:
        assert ask(world, 'tcp', IN6, probe.PATIENCE).by == 'inside'
        for link in 'all', 'default', 'lo', 'eth0', 'eth1':
            assert world.servera.sysctl(f'net/ipv6/conf/{link}/forwarding') == '1'
    finally:
        world.servera.sysctl(switch, 0)


def test_an_interface_that_comes_later_is_left_as_it_would_have_been(
        world, sallyport, inside):
    with sallyport.up('main', '[room]\npublish = 8000:80\n'):
        world.servera.ip('link add late type veth peer name late2')
        until(lambda: world.servera.sysctl('net/ipv4/conf/late/forwarding') == '1',
              'the gate has seen it')
    try:
        for family in 'ipv4', 'ipv6':
            assert world.servera.sysctl(f'net/{family}/conf/late/forwarding') == '0'
    finally:
        world.servera.ip('link del late')


@pytest.fixture
def unlike(world, inside):
    """Of the two interfaces one lets through what comes in by it, the other one does not."""
    for link, value in ('eth0', 0), ('eth1', 1):
        world.servera.sysctl(f'net/ipv4/conf/{link}/forwarding', value)
    yield hoststate(world.servera)
    world.servera.sysctl('net/ipv4/conf/eth1/forwarding', 0)


EXCHANGE = [f'link set {s}' for s in ('eth0 name x', 'eth1 name eth0', 'x name eth1')]


def names(path):
    """What the interfaces of the copy were called, by their indices."""
    with open(path) as f:
        return dict(line.split() for line in f if ' ' in line)


def test_interfaces_that_exchange_their_names_meanwhile_are_left_as_they_were(
        world, sallyport, unlike):
    a = world.servera
    with sallyport.up('main', '[room]\npublish = 8000:80\n') as gate:
        links = a.path('/run/sallyport/main/before.links')
        was = names(links)
        turned = {'eth0': 'eth1', 'eth1': 'eth0'}
        a.ip(*EXCHANGE)
        try:
            until(lambda: names(links) == {i: turned.get(n, n) for i, n in was.items()},
                  lambda: f'the gate has seen it: {was}, {names(links)}')
            gate.stop()
        finally:
            a.ip(*EXCHANGE)
    assert difference(unlike, hoststate(a)) == ''


def test_an_interface_that_is_renamed_meanwhile_is_no_way_in_and_left_as_it_was(
        world, sallyport, inside):
    """As udev does with what has just been plugged in."""
    a = world.servera
    before = hoststate(a)
    with sallyport.up('main', '[room]\npublish = 8000:80\n') as gate:
        gate.serve('room', 80)
        a.ip('link set eth0 name lan7')
        try:
            for dst in IN4, IN6:
                until(lambda dst=dst: ask(world, 'tcp', dst).how is How.SILENT,
                      'nobody is let in by the new name')
            assert probe.ask(world.laptop, 'tcp', A4, 8000).saw == LAPTOP4
            gate.stop()
        finally:
            a.ip('link set lan7 name eth0')
    assert difference(before, hoststate(a)) == ''


def down(world, sallyport):
    assert sallyport('down', 'main').returncode == 0


def up_and_down(world, sallyport):
    """Who takes over has to know whose settings those are."""
    with sallyport.up('main') as again:
        again.stop()


def another_ends(world, sallyport):
    """Which leaves to the dead one what it knew; and that is taken away then."""
    sallyport('down', 'first', ok=True)
    down(world, sallyport)


@pytest.mark.parametrize('end', [down, up_and_down, another_ends])
@pytest.mark.parametrize('there, back', [
    (['link set eth0 name lan9'], ['link set lan9 name eth0']),
    (EXCHANGE, EXCHANGE)], ids=['renamed', 'exchanged'])
def test_an_interface_that_is_renamed_while_nobody_looks_is_left_as_it_was(
        world, sallyport, unlike, there, back, end):
    a = world.servera
    first = end is another_ends and sallyport.up('first', '[room]\npublish = 8001:80\n')
    gate = sallyport.up('main', '[room]\npublish = 8000:80\n')
    try:
        assert a.sysctl('net/ipv4/conf/eth0/forwarding') == '1'
        gate.kill9()
        a.ip(*there)
        end(world, sallyport)
    finally:
        a.ip(*back)
        gate.close()
        if first:
            first.close()
    assert difference(unlike, hoststate(a)) == ''
