# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with a second interface, whose router its own main table does not know:
only its rules do, by the address that was asked (as cloud images, DHCP clients
and administrators set them up). Whoever comes in by it is answered by it."""
import pytest

from lab import probe
from lab.probe import How
from lab.second import B4, B6, FAR4, FAR6, NEXT4, NEXT6, behind
from lab.world import A4, LAPTOP4, wrong_answers

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''
CASES = [(proto, *case) for proto in ('tcp', 'udp')
         for case in ((B4, FAR4), (B6, FAR6))]


@pytest.fixture(scope='module')
def far(world):
    """A client behind the router of the second LAN."""
    a = world.servera
    with behind(a) as client:
        a.ip(f'rule add from {B4} lookup 88',
             *[f'route add default via {next_hop} dev eth1 table 88'
               for next_hop in (NEXT4, NEXT6)])
        a.run('ip', '-6', 'rule', 'add', 'from', B6, 'lookup', '88')
        # Links to come are strict: the gate's own are not hindered by that.
        strict = a.sysctl('net/ipv4/conf/default/rp_filter')
        a.sysctl('net/ipv4/conf/default/rp_filter', 1)
        yield client
        a.sysctl('net/ipv4/conf/default/rp_filter', strict)
        a.ip(f'rule del from {B4} lookup 88')
        a.run('ip', '-6', 'rule', 'del', 'from', B6, 'lookup', '88')


@pytest.fixture(scope='module')
def gate(world, sallyport, far):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate


@pytest.mark.parametrize('proto, dst, saw', CASES)
def test_control_the_host_itself_answers_there(world, far, proto, dst, saw):
    child = world.serve(world.servera, 'host', 8081)
    try:
        got = probe.ask(far, proto, dst, 8081) if proto == 'tcp' else \
            probe.ask(far, 'tcp', dst, 8081)
        assert (got.by, got.saw) == ('host', saw)
    finally:
        child.kill()


@pytest.mark.parametrize('proto, dst', [c[:2] for c in CASES])
def test_a_neighbour_on_the_second_lan_is_answered(gate, far, proto, dst):
    got = probe.ask(far.router2, proto, dst, 80)
    assert (got.how, got.by, got.source) == (How.ANSWERED, 'room', dst)


@pytest.mark.parametrize('proto, dst, saw', CASES)
def test_a_client_behind_the_second_lans_router_is_answered(gate, far, proto,
                                                            dst, saw):
    got = probe.ask(far, proto, dst, 80)
    assert (got.how, got.by, got.saw, got.source) == (How.ANSWERED, 'room',
                                                      saw, dst)


@pytest.mark.parametrize('dst', [B4, B6])
def test_refusals_and_big_answers_come_back_there(gate, far, dst):
    assert probe.ask(far, 'tcp', dst, 81).how is How.REFUSED
    assert probe.fetch(far, dst, 80, 300000) == 300000


@pytest.mark.parametrize('dst, client', [(B4, FAR4), (B6, FAR6)])
def test_explain_says_so(gate, far, dst, client):
    done = gate.tool('explain', client, f'[{dst}]:80' if ':' in dst else f'{dst}:80')
    assert done.returncode == 0, done.stdout
    assert 'The reply leaves by eth1, where the request came in' in done.stdout


def test_rules_that_come_while_the_gate_stands(gate, world, far):
    """And until then a neighbour is answered all the same."""
    world.servera.ip(f'rule del from {B4} lookup 88')
    assert probe.ask(far.router2, 'tcp', B4, 80).by == 'room'
    world.servera.ip(f'rule add from {B4} lookup 88')
    assert probe.ask_until_answered(far, 'udp', B4, 80).saw == FAR4


def test_the_first_lan_is_answered_as_ever(gate, world, far):
    assert wrong_answers(world) == []
    assert probe.ask(world.laptop, 'tcp', A4, 80).saw == LAPTOP4
