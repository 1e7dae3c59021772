# SPDX-License-Identifier: GPL-2.0-or-later
"""F11: a host whose network is systemd-networkd's, which removes rules and routes that
are not its own."""
import pytest

from lab import networkd, probe
from lab.host import PATIENCE, stopped, until
from lab.machine import Machine
from lab.world import A4, LAPTOP4, wrong_answers

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''
STRANGERS = {4: 'from 10.9.9.9 lookup 77', 6: 'from fd99::9 lookup 77'}


@pytest.fixture(scope='module')
def machine(world, program):
    """As one that was just switched on."""
    world.servera.ip('addr flush dev eth0', 'route flush table main', 'link set eth0 down')
    machine = Machine(world.servera, world.dir, program,
                      {'/etc/systemd/network/eth0.network': networkd.STATIC,
                       '/etc/systemd/network/extra0.network': networkd.EXTRA},
                      enable=['systemd-networkd.service'])
    networkd.is_done(machine)
    yield machine
    machine.close()
    world.servera.run('ip', 'link', 'del', 'extra0', ok=False)


def reconfigure(machine):
    machine.run('networkctl', 'reconfigure', 'eth0')


def restart(machine):
    machine.run('systemctl', 'restart', 'systemd-networkd')
    networkd.is_done(machine)
    networkd.another_link(machine)


def ours(host):
    """Rules at priority 0 and all routes of our tables."""
    return {f: ([l for l in host.out('ip', f, 'rule').splitlines()
                 if l.startswith('0:') and 'local' not in l],
                sorted(host.out('ip', f, 'route', 'show', 'table', '5900').splitlines()))
            for f in ('-4', '-6')}


@pytest.mark.parametrize('what', [networkd.another_link, reconfigure, restart],
                         ids=['another link', 'reconfigure', 'restart and another link'])
def test_networkd_takes_strangers_rules_and_leaves_a_gates(world, sallyport, machine, what):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        before = ours(world.servera)
        assert all(rules and routes for rules, routes in before.values()), before
        for family, stranger in STRANGERS.items():
            machine.run('ip', f'-{family}', 'rule', 'add', 'pref', '77', *stranger.split())
        flow = probe.Flow(world.laptop, A4, 80)
        with stopped(gate.child.pid):  # nobody puts back what networkd takes
            what(machine)
            for family, stranger in STRANGERS.items():
                until(lambda: stranger not in machine.out('ip', f'-{family}', 'rule'),
                      'networkd takes it')
            networkd.is_done(machine)
            assert ours(world.servera) == before
            got = flow.stop()
        assert got.error is None and got.greeting.split()[1] == LAPTOP4
        assert wrong_answers(world) == []
