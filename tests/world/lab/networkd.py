# SPDX-License-Identifier: GPL-2.0-or-later
"""Server A's network as systemd-networkd has it on a machine (machine.py)."""
from .host import until
from .world import A4, A6

STATIC = f'''
[Match]
Name=eth0
[Network]
Address={A4}/24
Address={A6}/64
Gateway=172.16.5.1
Gateway=fd00:16:5::1
IPv6AcceptRA=no
LinkLocalAddressing=no
'''
EXTRA = '''
[Match]
Name=extra0
[Network]
Address=192.0.2.77/24
ConfigureWithoutCarrier=yes
'''


def is_done(machine):
    until(lambda: 'configured' in machine.run(
        'networkctl', 'list', '--no-pager', 'eth0', ok=False).stdout.split(),
          lambda: machine.journal('systemd-networkd'))


def another_link(machine):
    machine.run('ip', 'link', 'add', 'extra0', 'type', 'veth', 'peer', 'name',
                'extra1')
    until(lambda: '192.0.2.77' in machine.out('ip', 'addr'), 'networkd has seen it')
    machine.run('ip', 'link', 'del', 'extra0')
