# SPDX-License-Identifier: GPL-2.0-or-later
"""What many people build instead: the negative control."""
from .host import Host, join


FORWARDING = ('net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding')


class PlainRoom:
    """A namespace, a veth, a DNAT rule."""

    def __init__(self, world):
        self.host = world.servera
        self.room = Host('plain')
        join(self.host, 'plain0', self.room, 'eth0')
        self.host.ip('addr add 10.200.0.1/24 dev plain0',
                     'addr add fd00:200::1/64 dev plain0 nodad')
        self.room.ip('addr add 10.200.0.2/24 dev eth0',
                     'addr add fd00:200::2/64 dev eth0 nodad',
                     'route add default via 10.200.0.1',
                     'route add default via fd00:200::1')
        self.forward = {key: self.host.sysctl(key) for key in FORWARDING}
        for key in FORWARDING:
            self.host.sysctl(key, 1)
        self.host.nft('''table ip plain {
            chain pre { type nat hook prerouting priority -100;
                iifname "eth0" tcp dport 80 dnat to 10.200.0.2:80;
                ip daddr 127.0.0.1 tcp dport 9090 dnat to 10.200.0.2:80; };
            chain post { type nat hook postrouting priority 100;
                ip saddr 10.200.0.0/24 oifname "eth0" masquerade; }; }
            table ip6 plain {
            chain post { type nat hook postrouting priority 100;
                ip6 saddr fd00:200::/64 oifname "eth0" masquerade; }; }''')
        self.child = world.serve(self.room, 'plain', 80, 90)

    def close(self):
        self.child.kill()
        self.host.nft('delete table ip plain; delete table ip6 plain')
        self.host.ip('link del plain0')
        self.host.run('conntrack', '-F')
        for key, value in self.forward.items():
            self.host.sysctl(key, value)
        self.room.close()
