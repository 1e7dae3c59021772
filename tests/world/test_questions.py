# SPDX-License-Identifier: GPL-2.0-or-later
"""What README answers under "Questions", done as it stands there."""
import re

import pytest

from lab import container, probe
from lab.host import PATIENCE, until
from lab.installed import Installed
from lab.world import A4, LAN, VPN, wrong_answers

UNIT = f'''
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c '/usr/bin/python3 -I {container.LAB}/service.py --name room 80 | \\
    while read -r line; do systemd-notify --ready; done'
'''
CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = office.ovpn
'''


def blocks():
    with open(f'{container.LAB}/../../../README.md', encoding='utf-8') as f:
        answers = f.read().split('\n## Questions\n')[1].split('\n## ')[0]
    return re.findall(r'^```\n(.*?)^```', answers, re.M | re.S)


@pytest.fixture(scope='module')
def machine(world, program):
    drop_in = next(b for b in blocks() if 'NetworkNamespacePath=' in b)
    with open(world.office) as f:
        files = {'/etc/sallyport/office.ovpn': f.read(), '/etc/sallyport/home.conf': CONF,
                 '/etc/systemd/system/jellyfin.service': UNIT,
                 '/etc/systemd/system/jellyfin.service.d/override.conf': drop_in}
    machine = Installed(world.servera, world.dir, program, files)
    yield machine
    machine.close()


def inside(machine, *argv, ok=True):
    """As the service sees files and the network."""
    return machine.run('nsenter', '-m', '-n', '-t', machine.prop('jellyfin', 'MainPID'), *argv,
                       ok=ok)


def journals(machine):
    return machine.journal('sallyport@home') + machine.journal('jellyfin')


def call(machine, *words):
    done = machine.run('systemctl', *words, timeout=2 * PATIENCE, ok=False)
    assert done.returncode == 0, done.stderr + journals(machine)


def answered(world, machine):
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: '\n'.join([*wrong_answers(world), journals(machine)]), PATIENCE, 0.2)


@pytest.mark.parametrize('resolved', [False, True], ids=['plain', 'systemd-resolved'])
def test_a_service_of_systemds_gets_behind_the_gate_by_what_is_added_to_its_unit(
        world, machine, resolved):
    if resolved:
        machine.run('sh', '-c', 'mkdir -p /run/systemd/resolve; cd /run/systemd/resolve; '
                    'touch io.systemd.Resolve; echo nameserver 127.0.0.53 >stub-resolv.conf; '
                    'ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf')
    else:
        machine.run('sh', '-c', 'echo nameserver 192.0.2.1 >/etc/resolv.conf')
    call(machine, 'restart', 'jellyfin')
    assert machine.is_active('sallyport@home')
    answered(world, machine)
    seen = inside(machine, 'cat', '/etc/resolv.conf').stdout
    assert seen == machine.run('cat', '/run/sallyport/home/resolv.').stdout
    assert 'gate home' in seen and 'nameserver' not in seen  # this VPN offers none
    for socket in '/run/dbus/system_bus_socket', '/run/systemd/resolve/io.systemd.Resolve':
        there = machine.run('test', '-e', socket, ok=False).returncode == 0
        assert there or not resolved
        assert inside(machine, 'test', '-e', socket, ok=False).returncode


def test_it_is_restarted_with_the_gate(world, machine):
    call(machine, 'start', 'jellyfin')
    before = machine.prop('jellyfin', 'MainPID')
    call(machine, 'restart', 'sallyport@home')
    until(lambda: machine.prop('jellyfin', 'MainPID') not in ('0', before),
          lambda: machine.journal('jellyfin'), PATIENCE)
    answered(world, machine)


def test_listen_on_this_host_alone(world, sallyport):
    conf = '[room]\npublish = 88\n[door lan]\nlisten = 127.0.0.1\n'
    with sallyport.up('local', conf) as gate:
        gate.serve('room', 88)
        assert probe.ask(world.servera, 'tcp', '127.0.0.1', 88).how == probe.How.ANSWERED
        for asker in world.servera, world.laptop:
            assert probe.ask(asker, 'tcp', A4, 88, seconds=1).how != probe.How.ANSWERED


def test_an_upgrade_takes_over_the_gate_as_it_stands(world, machine):
    def room():
        return machine.out('stat', '-c', '%i', '/run/netns/home', '/run/netns/home.gate')

    call(machine, 'start', 'jellyfin')
    answered(world, machine)
    before, first = room(), machine.prop('sallyport@home', 'MainPID')
    call(machine, 'kill', '-s', 'KILL', 'sallyport@home')
    until(lambda: machine.prop('sallyport@home', 'MainPID') not in (first, '0') and
          machine.is_active('sallyport@home'), lambda: journals(machine), PATIENCE)
    answered(world, machine)
    assert room() == before
