# SPDX-License-Identifier: GPL-2.0-or-later
"""What many people build instead: the negative control."""
from .host import Host, join


class PlainRoom:
    """A namespace, a veth, a DNAT rule."""

    def __init__(self, world):
        self.host = world.servera
        self.room = Host('plain')
        join(self.host, 'plain0', self.room, 'eth0')
        self.host.ip('addr add 10.200.0.1/24 dev plain0')
        self.room.ip('addr add 10.200.0.2/24 dev eth0',
                     'route add default via 10.200.0.1')
        self.forward = self.host.sysctl('net/ipv4/ip_forward')
        self.host.sysctl('net/ipv4/ip_forward', 1)
        self.host.nft('''table ip plain {
            chain pre { type nat hook prerouting priority -100;
                iifname "eth0" tcp dport 80 dnat to 10.200.0.2:80;
                ip daddr 127.0.0.1 tcp dport 9090 dnat to 10.200.0.2:80; };
            chain post { type nat hook postrouting priority 100;
                ip saddr 10.200.0.0/24 oifname "eth0" masquerade; }; }''')
        self.child = world.serve(self.room, 'plain', 80, 90)

    def close(self):
        self.child.kill()
        self.host.nft('delete table ip plain')
        self.host.ip('link del plain0')
        self.host.run('conntrack', '-F')
        self.host.sysctl('net/ipv4/ip_forward', self.forward)
        self.room.close()
