# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's policy rules beside ours: all gates have one, and those of others
that cannot concern a gate are passed by."""
import pytest

from lab.host import until
from lab.state import difference, hoststate
from lab.world import LAPTOP4, wrong_answers

CONF = '[room]\npublish = {publish}\n'

POOL4, POOL6 = '198.18.0.0/15', 'fd5a:1179:927::/48'
OTHERS = 64  # of each family; as of a host with many addresses


def rules(host, family):
    return [l.split(':', 1)[1].replace('[detached]', '').strip()
            for l in host.out('ip', f'-{family}', 'rule').splitlines()]


def past(pool):
    return f'from {pool} lookup main'


def ours(host, family):
    return [r for r in rules(host, family) if 'lookup 5900' in r]


def is_past(host):
    return past(POOL4) in rules(host, 4) and past(POOL6) in rules(host, 6)


def none_past(host):
    return not any(r.startswith(f'from {p}') for f, p in ((4, POOL4), (6, POOL6))
                   for r in rules(host, f))


@pytest.fixture
def gate(sallyport):
    with sallyport.up('main', CONF.format(publish='80 80/udp')) as gate:
        gate.serve('room', 80)
        yield gate


def change_rules(host, what, n=OTHERS):
    for family, source in (4, '192.0.2.{}'), (6, '2001:db8:99::{:x}'):
        host.run('ip', f'-{family}', '-batch', '-', input=''.join(
            f'rule {what} pref {1000 + i} from {source.format(i)} lookup 100\n'
            for i in range(n)))


@pytest.fixture
def others(world):
    """Rules that speak of addresses of the host's own, as Amazon's and
    NetworkManager's do."""
    change_rules(world.servera, 'add')
    yield
    change_rules(world.servera, 'del')


def right(world):
    return wrong_answers(world, doors=('lan',)) == []


@pytest.mark.usefixtures('others')
def test_rules_that_cannot_concern_a_gate_are_passed_by(world, gate):
    """And no longer when they have gone: `down` has nothing to tidy up."""
    assert gate
    until(lambda: is_past(world.servera), 'the way past')
    assert right(world)
    change_rules(world.servera, 'del', OTHERS - 4)
    until(lambda: none_past(world.servera), 'no way past so few')
    change_rules(world.servera, 'add', OTHERS - 4)
    until(lambda: is_past(world.servera), 'the way past again')


@pytest.mark.parametrize('selector', [
    'to {laptop}', 'fwmark 7', 'iif lo', 'not from 192.0.2.7', 'from 198.18.0.0/15'])
@pytest.mark.usefixtures('others')
def test_a_rule_that_may_concern_a_gate_is_heeded(world, gate, selector):
    """It sends what the room answers nowhere, as it does without other rules:
    whether that is right is for the host's owner to say."""
    assert gate
    host = world.servera
    until(lambda: is_past(host), 'the way past')
    line = f'rule add pref 500 {selector.format(laptop=LAPTOP4)} lookup 101'
    host.run('ip', 'route', 'add', 'unreachable', 'default', 'table', '101')
    try:
        host.ip(line)
        until(lambda: past(POOL4) not in rules(host, 4), 'nothing passes it by')
        if 'laptop' in selector or selector.startswith('not'):
            assert wrong_answers(world, families=(4,), doors=('lan',),
                                 seconds=0.5) != []
    finally:
        host.ip(line.replace(' add ', ' del '))
        host.run('ip', 'route', 'flush', 'table', '101')
    until(lambda: is_past(host), 'the way past again')
    assert right(world)


def test_gates_have_one_rule_between_them_and_the_last_takes_it_away(
        world, sallyport):
    host = world.servera
    before = hoststate(host)
    with sallyport.up('first', CONF.format(publish='8001:80')) as first:
        alone = ours(host, 4), ours(host, 6)
        with sallyport.up('second', CONF.format(publish='8002:80')) as second:
            second.serve('room', 80)
            assert (ours(host, 4), ours(host, 6)) == alone
            first.stop()
            assert (ours(host, 4), ours(host, 6)) == alone
            assert wrong_answers(world, 8002, protos=('tcp',), doors=('lan',)) == []
    assert difference(before, hoststate(host)) == ''


def test_the_rule_of_all_gates_comes_back_once(world, sallyport):
    """Every gate misses it at the same moment."""
    host = world.servera
    gates = [sallyport.up(f'g{i}', CONF.format(publish=f'{8000 + i}:80'))
             for i in range(6)]
    try:
        rule = f'from all to {POOL4} lookup 5900'
        for _ in range(10):
            host.ip(f'rule del pref 0 to {POOL4} lookup 5900')
            until(lambda: rules(host, 4).count(rule) == 1, 'it is back')
        assert rules(host, 4).count(rule) == 1
    finally:
        for gate in gates:
            gate.close()
