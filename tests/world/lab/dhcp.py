# SPDX-License-Identifier: GPL-2.0-or-later
"""A DHCP server on Server A's LAN."""
import os

from . import host as hosts


class Dhcp:
    """Has one address to give."""

    def __init__(self, net, address):
        self.net = net
        self.serve(address)

    def serve(self, address):
        d = f'{self.net.dir}/dhcp'
        os.makedirs(d, exist_ok=True)
        open(f'{d}/leases', 'w').close()
        conf = hosts.keep(f'{d}/conf', f'''
start {address}
end {address}
interface br5
lease_file {d}/leases
pidfile {d}/pid
option subnet 255.255.255.0
option router 172.16.5.1
option lease 600
''')
        self.child = self.net.core.popen(['busybox', 'udhcpd', '-f', conf])

    def close(self):
        hosts.stop(self.child)
