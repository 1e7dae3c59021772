# SPDX-License-Identifier: GPL-2.0-or-later
"""A guarded host whose network is NetworkManager's: it applies a connection
anew, follows a lease, sees the carrier go, and takes routes and rules of every
table that it means to have for itself."""
import re

import pytest

from lab import probe
from lab.dhcp import Dhcp
from lab.guard import Guard, Sessions, lived_in
from lab.host import PATIENCE, until
from lab.machine import Machine
from lab.state import difference, hoststate
from lab.world import A4, A6, LAPTOP4

OFFICE = '/etc/openvpn/client/office.conf'
CONNECTION = '/etc/NetworkManager/system-connections/lan.nmconnection'
# No udev says that a device is ready, and nobody has to be asked for leave.
CONF = '''
[main]
plugins=keyfile
auth-polkit=false
no-auto-default=*
rc-manager=unmanaged
[device]
match-device=interface-name:eth0
managed=1
[keyfile]
unmanaged-devices=except:interface-name:eth0
'''
LAN = f'''
[connection]
id=lan
type=ethernet
interface-name=eth0
[ipv4]
method=manual
address1={A4}/24,172.16.5.1
[ipv6]
method=manual
address1={A6}/64,fd00:16:5::1
addr-gen-mode=eui64
'''
LEASED = '''
[connection]
id=lan
type=ethernet
interface-name=eth0
[ipv4]
method=auto
[ipv6]
method=disabled
'''
OTHER4 = '172.16.5.11'
CONNECTED = '100 (connected)'


@pytest.fixture(scope='module')
def net(world):
    with lived_in(world) as net:
        yield net


@pytest.fixture
def boot(program, net):
    """Boots Server A, as a machine that was just switched on, with this
    connection of NetworkManager's."""
    machines = []

    def boot(connection):
        net.servera.ip('addr flush dev eth0', 'route flush table main',
                       'link set eth0 down')
        with open(net.office) as f:
            files = {OFFICE: f.read(), CONNECTION: (connection, 0o600),
                     '/etc/NetworkManager/NetworkManager.conf': CONF}
        machine = Machine(net.servera, net.dir, program, files, None,
                          ['NetworkManager.service'], ['network-manager'])
        machines.append(machine)
        until(lambda: state(machine) == CONNECTED,
              lambda: machine.journal('NetworkManager'), PATIENCE)
        return machine
    yield boot
    for machine in machines:
        machine.close()


def nmcli(machine, *argv):
    return machine.out('nmcli', *argv).strip()


def state(machine):
    return machine.run('nmcli', '-g', 'GENERAL.STATE', 'device', 'show', 'eth0',
                       ok=False).stdout.strip()


def guarded(machine, net):
    return Guard(machine.program, machine, net.dir,
                 ['openvpn', '--config', OFFICE])


def connected(guard):
    guard.connected()
    until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
          guard.log.text, PATIENCE)


def ended(guard):
    guard.off()
    return guard.child.wait(PATIENCE)


def sessions(net):
    lines = Sessions(net.ssh, net.beside, [(net.laptop, A4), (net.laptop, A6),
                                           (net.laptop3, A4)])
    lines.GAP = 20.0  # it may take the address away, and TCP is patient
    return lines


def rules(machine):
    return [l for l in machine.out('ip', 'rule').splitlines() if 'lookup 100' in l]


def own_state(machine):
    """But for what NetworkManager notes, and which units run just now: its
    dispatcher ends when it had nothing to do for ten seconds."""
    return re.sub(r'(?m)^/run/(NetworkManager|systemd/(units|journal))/.*\n', '',
                  hoststate(machine))


def answers(net, address):
    got = probe.ask(net.laptop, 'tcp', address, 80, seconds=2)
    udp = probe.ask(net.laptop, 'udp', address, 80, seconds=2)
    return got.answered and udp.answered and got.saw == udp.saw == LAPTOP4


def routes(machine):
    return sorted(l for family in ('-4', '-6') for l in machine.out(
        'ip', family, 'route', 'show', 'table', 'all').splitlines() if 'table 100' in l)


def reapply(machine):
    nmcli(machine, 'device', 'reapply', 'eth0')


def put_back(net, machine):
    """An address that somebody took, and with it routes of every table."""
    machine.run('ip', 'addr', 'del', f'{A4}/24', 'dev', 'eth0')
    reapply(machine)
    until(lambda: f'{A4}/' in machine.out('ip', 'addr'), 'it has done so', PATIENCE)


def another_address(net, machine):
    """And a rule, as NetworkManager makes them; then without them again."""
    for sign, rule in (('+', 'priority 7 from 10.9.9.9 table 77'), ('-', '')):
        nmcli(machine, 'connection', 'modify', 'lan', f'{sign}ipv4.addresses',
              f'{OTHER4}/24', 'ipv4.routing-rules', rule)
        reapply(machine)
        until(lambda: (f'{OTHER4}/' in machine.out('ip', 'addr')) == (sign == '+'),
              'it has done so', PATIENCE)
        until(lambda: (f'from {OTHER4} ' in '\n'.join(rules(machine))) ==
              (sign == '+'), lambda: rules(machine), PATIENCE)
        if sign == '+':
            assert 'lookup 77' in machine.out('ip', 'rule')
            assert answers(net, OTHER4)


def own_table(net, machine):
    """Its routes are in a table of their own then, and in main again."""
    for table, where in (('100', '100'), ('0', 'main')):
        nmcli(machine, 'connection', 'modify', 'lan', 'ipv4.route-table', table)
        nmcli(machine, 'connection', 'up', 'lan')
        until(lambda: 'default via' in machine.run(
            'ip', 'route', 'show', 'table', where, ok=False).stdout,
              'it has done so', PATIENCE)
    machine.run('ip', 'route', 'flush', 'table', '100', ok=False)


def activated_again(net, machine):
    nmcli(machine, 'connection', 'up', 'lan')


def disconnected(net, machine):
    nmcli(machine, 'device', 'disconnect', 'eth0')
    until(lambda: f'{A4}/' not in machine.out('ip', 'addr'), 'it is', PATIENCE)
    nmcli(machine, 'connection', 'up', 'lan')


def without_carrier(net, machine):
    net.core.ip('link set servera down')
    until(lambda: 'NO-CARRIER' in machine.out('ip', 'link', 'show', 'eth0'),
          'the carrier is gone', PATIENCE)
    # It waits some seconds whether it comes again.
    until(lambda: f'{A4}/' not in machine.out('ip', 'addr'), 'so is the address', PATIENCE)
    net.core.ip('link set servera up')


@pytest.mark.parametrize('what', [put_back, another_address, own_table,
                                  activated_again, disconnected,
                                  without_carrier])
def test_whatever_networkmanager_does_sessions_go_on(net, boot, what):
    machine = boot(LAN)
    before = own_state(machine)
    lines = sessions(net)
    with guarded(machine, net) as guard:
        connected(guard)
        had = rules(machine), routes(machine)
        what(net, machine)
        until(lambda: state(machine) == CONNECTED,
              lambda: machine.journal('NetworkManager'), PATIENCE)
        until(lambda: (rules(machine), routes(machine)) == had,
              lambda: f'{rules(machine)} {routes(machine)} {had}', PATIENCE)
        lines.wait_lines()
        assert answers(net, A4), guard.log.text()
        assert 'rules of the guard' not in guard.log.text()
        assert ended(guard) == 0
    assert lines.wrong() == []
    assert difference(before, own_state(machine)) == ''


@pytest.fixture
def dhcp(net):
    server = Dhcp(net, A4)
    yield server
    server.close()


def test_a_lease_of_another_address_is_guarded(net, boot, dhcp):
    """While the VPN stands, the DHCP server gives the host a new address."""
    machine = boot(LEASED)
    with guarded(machine, net) as guard:
        connected(guard)
        until(lambda: answers(net, A4), guard.log.text, PATIENCE)
        dhcp.close()
        dhcp.serve(OTHER4)
        nmcli(machine, 'connection', 'up', 'lan')
        until(lambda: f'{OTHER4}/' in machine.out('ip', 'addr') and
              f'{A4}/' not in machine.out('ip', 'addr'),
              lambda: machine.journal('NetworkManager'), PATIENCE)
        until(lambda: answers(net, OTHER4), guard.log.text, PATIENCE)
        eth0 = [d for d in guard.status()['doors'] if d['name'] == 'eth0']
        assert eth0[0]['addresses'] == [OTHER4], eth0
        assert ended(guard) == 0
    assert rules(machine) == []
