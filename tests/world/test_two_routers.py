# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with two interfaces that each have a router, and no rules by its own
addresses: main sends everything by the first. Or with a VPN of its own. Whoever
comes in to a room by one of them is answered by it."""
import pytest

from lab import probe
from lab.host import until
from lab.probe import How
from lab.second import B4, B6, FAR4, FAR6, NEXT4, NEXT6, behind
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import A4, A6, LAPTOP4, LAPTOP6, wrong_answers

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''
CASES = pytest.mark.parametrize('proto, dst, saw', [
    (proto, *case) for proto in ('tcp', 'udp')
    for case in ((B4, FAR4), (B6, FAR6))])


@pytest.fixture(scope='module')
def far(world):
    """A client behind the router of the second LAN."""
    with behind(world.servera) as client:
        world.servera.ip(*[f'route add default via {next_hop} dev eth1 metric 5000'
                           for next_hop in (NEXT4, NEXT6)])
        yield client


@pytest.fixture(scope='module')
def gate(world, sallyport, far):
    before = hoststate(world.servera)
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate
        assert gate.down().returncode == 0
        assert difference(before, hoststate(world.servera)) == ''


def test_control_the_host_itself_does_not_answer_there(world, far):
    child = world.serve(world.servera, 'host', 8081)
    try:
        for dst in B4, B6:
            got = probe.ask(far, 'tcp', dst, 8081, seconds=probe.SILENCE)
            assert got.how is How.SILENT
    finally:
        child.kill()


@CASES
def test_who_comes_by_the_second_router_is_answered_by_it(gate, far, proto, dst, saw):
    got = probe.ask(far, proto, dst, 80)
    assert (got.by, got.saw, got.source) == ('room', saw, dst)


@pytest.mark.parametrize('dst', [B4, B6])
def test_neighbours_refusals_and_big_answers(gate, far, dst):
    assert probe.ask(far.router2, 'udp', dst, 80).source == dst
    assert probe.fetch(far, dst, 80, 300000) == 300000


def test_the_first_one_is_answered_as_ever(gate, world, far):
    assert wrong_answers(world) == []


def test_a_strict_filter_is_warned_of(world, sallyport, far):
    """The kernel drops the request before anybody sees it."""
    for link in 'eth0', 'eth1':
        world.servera.sysctl(f'net/ipv4/conf/{link}/rp_filter', 1)
    try:
        with sallyport.up('strict', '[room]\npublish = 8001:80\n') as gate:
            gate.serve('strict', 80)
            gate.wait_log('sysctl -w net.ipv4.conf.eth1.rp_filter=2')
            assert 'eth0.rp_filter' not in gate.log.text()
            assert probe.ask(far, 'tcp', B4, 8001,
                             seconds=probe.SILENCE).how is How.SILENT
            world.servera.sysctl('net/ipv4/conf/eth1/rp_filter', 2)
            assert probe.ask(far, 'tcp', B4, 8001).by == 'strict'
    finally:
        for link in 'eth0', 'eth1':
            world.servera.sysctl(f'net/ipv4/conf/{link}/rp_filter', 0)


def test_who_asks_the_other_interfaces_address_is_answered_where_he_is(
        gate, world, far):
    """It is not the address that tells."""
    world.core.ip(f'route add {B4}/32 via {A4}')
    try:
        for proto in 'tcp', 'udp':
            got = probe.ask(world.laptop, proto, B4, 80)
            assert (got.saw, got.source) == (LAPTOP4, B4)
    finally:
        world.core.ip(f'route del {B4}/32 via {A4}')


@pytest.mark.parametrize('dst, client', [(B4, FAR4), (B6, FAR6)])
def test_explain_says_so(gate, far, dst, client):
    done = gate.tool('explain', client, f'[{dst}]:80' if ':' in dst else f'{dst}:80')
    assert 'The reply leaves by eth1, where the request came in' in done.stdout
    assert done.returncode == 0, done.stdout


def test_a_router_that_goes_and_comes(gate, world, far):
    world.servera.ip('route del default dev eth1')
    until(lambda: probe.ask(far, 'tcp', B4, 80, seconds=probe.SILENCE).how is
          How.SILENT, 'nobody knows the way to it')
    world.servera.ip('route add default via 192.168.50.1 dev eth1 metric 5000')
    for proto in 'tcp', 'udp':
        got = probe.ask_until_answered(far, proto, B4, 80)
        assert got.saw == FAR4


def side_routes(world):
    """What the gate made of main's gateways on eth1."""
    return [line for line in world.servera.out('ip', '-4', 'route', 'show', 'table', 'all')
            .splitlines() if 'dev eth1' in line and 'table' in line and 'via' in line]


def test_of_two_routers_the_better_one_is_used(gate, world, far):
    """Whichever is known first. Nobody is at the other's address."""
    a = world.servera
    better, other = '192.168.50.1', '192.168.50.2'

    def tell(what, via, metric):
        a.ip(f'route {what} default via {via} dev eth1 metric {metric}')
        until(lambda: any(f'via {via} ' in r for r in side_routes(world)) ==
              (what == 'add'), lambda: side_routes(world))

    for _ in range(2):
        tell('add', other, 6000)
        for proto in 'tcp', 'udp':
            assert probe.ask_until_answered(far, proto, B4, 80).saw == FAR4
        tell('del', better, 5000)
        tell('add', better, 5000)
        for proto in 'tcp', 'udp':
            assert probe.ask_until_answered(far, proto, B4, 80).saw == FAR4
        tell('del', other, 6000)


def test_a_router_that_no_prefix_of_the_host_holds(gate, world, far):
    """As clouds give it: the address alone, and a router that is on the link."""
    a = world.servera

    def takes(length4, length6, word):
        a.ip(f'addr add {B4}/{length4} dev eth1', f'addr add {B6}/{length6} dev eth1 nodad',
             f'route add default via 192.168.50.1 dev eth1 {word} metric 5000',
             f'route add default via fd00:50::1 dev eth1 {word} metric 5000')
        for proto in 'tcp', 'udp':
            assert probe.ask_until_answered(far, proto, B4, 80).saw == FAR4
            assert probe.ask_until_answered(far, proto, B6, 80).saw == FAR6

    def lets_go():
        a.ip('addr flush dev eth1 scope global')
        a.run('ip', '-6', 'route', 'del', 'default', 'dev', 'eth1')

    lets_go()
    takes(32, 128, 'onlink')
    lets_go()
    takes(24, 64, '')


def test_two_gates_want_the_same(gate, world, sallyport, far):
    before = hoststate(world.servera)
    with sallyport.up('other', '[room]\npublish = 8000:80\n') as other:
        other.serve('other', 80)
        assert probe.ask(far, 'tcp', B4, 8000).by == 'other'
        assert probe.ask(far, 'tcp', B4, 80).by == 'room'
    assert difference(before, hoststate(world.servera)) == ''
    assert probe.ask(far, 'udp', B6, 80).saw == FAR6


def test_none_of_that_is_a_repair(gate):
    assert gate.status()['repairs'] == []


def test_what_somebody_takes_away_is(gate, world, far):
    a = world.servera
    for family in '-4', '-6':
        rule = next(l for l in a.out('ip', family, 'rule').splitlines()
                    if l.startswith('0:') and 'fwmark' in l)
        a.run('ip', family, 'rule', 'del', 'pref', '0', *rule.split(':', 1)[1].split())
        a.run('ip', family, 'route', 'flush', 'table', rule.split()[-1])
    for dst, saw in (B4, FAR4), (B6, FAR6):
        assert probe.ask_until_answered(far, 'tcp', dst, 80).saw == saw
    until(lambda: gate.status()['repairs'], 'it is told')


def test_a_vpn_on_the_host_itself_does_not_take_the_rooms_replies(gate, world):
    """It takes those of the host's own programs, for which there is the guard."""
    child = world.serve(world.servera, 'host', 8082)
    # Not the gate's own name with the server: it would take the gate's address away.
    profile = world.openvpn.profile(f'{world.dir}/host.ovpn', 'servera2')
    world.openvpn.give('servera2', '172.20.0.11', 'fd00:16:20::11')
    client = OpenVpnClient(world.servera, profile, world.dir).wait()
    try:
        for a, saw in (A4, LAPTOP4), (A6, LAPTOP6):
            assert probe.ask(world.laptop, 'tcp', a, 8082,
                             seconds=probe.SILENCE).how is How.SILENT
            for proto in 'tcp', 'udp':
                got = probe.ask_until_answered(world.laptop, proto, a, 80)
                assert got.saw == saw
    finally:
        client.close()
        child.kill()
