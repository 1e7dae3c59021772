# SPDX-License-Identifier: GPL-2.0-or-later
"""A namespace that services share with a VPN client, and with systemd-networkd,
which removes rules that are not its own."""
import pytest

from lab import probe
from lab.host import PATIENCE, join, until
from lab.machine import Machine
from lab.world import A_VPN4, LAPTOP4

INSIDE, OUTSIDE = '172.16.99.2', '172.16.99.1'
FILES = {
    '/etc/systemd/network/eth0.network': f"""
[Match]
Name=eth0
[Network]
Address={INSIDE}/24
Gateway={OUTSIDE}
IPv6AcceptRA=no
LinkLocalAddressing=no
""",
    '/etc/systemd/network/extra0.network': """
[Match]
Name=extra0
[Network]
Address=192.0.2.77/24
ConfigureWithoutCarrier=yes
""",
}
STRANGER = 'from 10.9.9.9 lookup 77'
CLIENT = 'openvpn-client@office'


@pytest.fixture
def machine(world, program):
    """Behind Server A as a container is; the LAN has a route to it."""
    box = world.host('box')
    join(world.servera, 'box', box, 'eth0')
    box.ip('link set eth0 down')
    world.servera.ip(f'addr add {OUTSIDE}/24 dev box')
    world.servera.sysctl('net/ipv4/ip_forward', 1)
    world.core.ip('route add 172.16.99.0/24 via 172.16.5.10')
    with open(world.office) as f:
        files = {'/etc/openvpn/client/office.conf': f.read(), **FILES}
    machine = Machine(box, world.dir, program, files,
                      enable=['systemd-networkd.service'])
    child = world.serve(box, 'boxed', 80)
    yield machine
    child.kill()
    machine.close()


def answers(host, address):
    got = [probe.ask(host, proto, address, 80, seconds=1) for proto in ('tcp', 'udp')]
    return [g.by for g in got] == ['boxed'] * 2 and {g.source for g in got} == {address}


def ours(machine):
    return [r for r in machine.out('ip', 'rule').splitlines() if ' lookup 59' in r]


def test_networkd_inside_takes_strangers_rules_and_leaves_ours(world, sallyport, machine):
    def settled():
        return 'configured' in machine.run('networkctl', 'list', '--no-pager', 'eth0',
                                           ok=False).stdout.split()
    until(settled, lambda: machine.journal('systemd-networkd'), PATIENCE)
    until(lambda: answers(world.laptop, INSIDE), 'without a VPN it answers')
    machine.run('systemctl', 'start', CLIENT)
    until(lambda: 'Initialization Sequence Completed' in machine.journal(CLIENT),
          lambda: machine.journal(CLIENT), PATIENCE)
    assert not answers(world.laptop, INSIDE), 'the control'
    sallyport('attach', machine.host.net, ok=True)
    until(lambda: answers(world.laptop, INSIDE), 'it answers')
    rules = ours(machine)
    assert len(rules) > 1
    machine.run('ip', 'rule', 'add', 'pref', '77', *STRANGER.split())
    machine.run('ip', 'link', 'add', 'extra0', 'type', 'veth', 'peer', 'name', 'extra1')
    until(lambda: STRANGER not in machine.out('ip', 'rule'), 'networkd takes it', PATIENCE)
    until(settled, lambda: machine.journal('systemd-networkd'), PATIENCE)
    assert ours(machine) == rules
    until(lambda: answers(world.laptop, INSIDE) and answers(world.serverb, A_VPN4),
          'both answer')
    got = probe.ask(world.laptop, 'tcp', INSIDE, 80)
    assert got.saw == LAPTOP4
