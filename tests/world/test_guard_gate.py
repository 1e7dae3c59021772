# SPDX-License-Identifier: GPL-2.0-or-later
"""A guarded host that has a gate, too: neither takes the other's for a stranger's."""
import pytest

from lab.guard import Guard, Sessions, lived_in
from lab.host import PATIENCE, until
from lab.state import difference, hoststate
from lab.vpn import wg_quick
from lab.world import A4, A6, LAPTOP4, wrong_answers

CONF = '''
[room]
publish = 8000:80 8000:80/udp
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def net(wide_world):
    with lived_in(wide_world) as net:
        yield net


def wrong(net, guard):
    """The host's own services and the gate's, while a VPN claims the laptop."""
    if guard:
        until(lambda: 'dev wgq' in net.servera.out('ip', 'route', 'get', LAPTOP4),
              guard.log.text, PATIENCE)
        assert [d['name'] for d in guard.status()['doors']
                if d['name'].startswith('sp-')] == []
    return wrong_answers(net, port=8000) + \
        wrong_answers(net, by='host', doors=('lan', 'self'))


@pytest.mark.parametrize('first', ['the gate', 'the guard'])
def test_a_gate_and_a_guard_stand_side_by_side(program, wide, net, first):
    conf = net.partner_server.conf(f'{net.dir}/wgq.conf', allowed='172.16.0.0/12, '
                                   'fd00:16::/32, 10.66.0.0/24, fd00:66::/64')
    before = hoststate(net.servera)
    lines = Sessions(net.ssh, net.beside, [(net.laptop, A4), (net.laptop, A6)])

    def up():
        gate = wide.up('main', CONF.format(office=net.office))
        gate.serve('room', 80)
        return gate
    gate = up() if first == 'the gate' else None
    with Guard(program, net.servera, net.dir, wg_quick('up', conf)) as guard:
        guard.wait_log('left wgq')
        gate = gate or up()
        assert wrong(net, guard) == []
        since = len(guard.log.text())
        gate.close()
        assert 'repaired' not in guard.log.text()[since:]
        gate = up()
        assert wrong(net, guard) == []
        net.servera.run(*wg_quick('down', conf), timeout=PATIENCE)
        assert guard.child.wait(PATIENCE) == 0, guard.log.text()
    assert wrong(net, None) == []
    assert 'repaired' not in gate.log.text(), gate.log.text()
    gate.close()
    assert lines.wrong() == []
    assert difference(before, hoststate(net.servera)) == ''
