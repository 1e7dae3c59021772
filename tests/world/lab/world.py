# SPDX-License-Identifier: GPL-2.0-or-later
"""The seed's world.

    laptop 172.16.9.20 ---+                       +--- vpnsrv 198.51.100.2 --- twin 172.16.9.20
    laptop2 172.16.9.21 --+                       |    (OpenVPN, pool 172.20.0.0/16,
    servera 172.16.5.10 --+-- core --- inet ------+     pushes 172.16.0.0/12)
    mallory 172.16.5.66 --+  (172.16.0.0/16)      +--- serverb 203.0.113.30, by VPN 172.20.0.30
    laptop3 172.16.77.20 -+                       +--- partner 203.0.113.77 (WireGuard, 10.66.0.1)
                                                  +--- corp 203.0.113.99 (openconnect, 10.77.0.1)

IPv6 has the same shape: fd00:16:5::/64, fd00:16:9::/64 and fd00:16:77::/64 on
the LAN, all inside the pushed fd00:16::/32; the pool is fd00:16:20::/64.

twin is a VPN peer that has the laptop's own address. mallory sits on Server
A's own LAN and is up to no good.
"""
import os
import signal
import tempfile

from . import host as hosts
from . import probe
from . import sandbox
from . import vpn
from .host import PATIENCE, Host, join, until

A4, A6 = '172.16.5.10', 'fd00:16:5::10'
A_VPN4, A_VPN6 = '172.20.0.10', 'fd00:16:20::10'
A_WG4, A_WG6 = '10.66.0.10', 'fd00:66::10'
LAPTOP4, LAPTOP6 = '172.16.9.20', 'fd00:16:9::20'
LAPTOP2_4, LAPTOP2_6 = '172.16.9.21', 'fd00:16:9::21'
LAPTOP3_4, LAPTOP3_6 = '172.16.77.20', 'fd00:16:77::20'
MALLORY4, MALLORY6 = '172.16.5.66', 'fd00:16:5::66'
B_VPN4, B_VPN6 = '172.20.0.30', 'fd00:16:20::30'
VPN_GW4, VPN_GW6 = '172.20.0.1', 'fd00:16:20::1'
PARTNER4, PARTNER6 = '10.66.0.1', 'fd00:66::1'
CORP4 = '10.77.0.1'
B_INET4, B_INET6 = '203.0.113.30', '2001:db8:203::30'

SERVICE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'service.py')


def service_argv(name, *ports):
    return ['/usr/bin/python3', '-I', SERVICE, '--name', name,
            *[str(p) for p in ports]]


class World:
    """Everything above, made in about a second. close() ends it."""

    def __init__(self, wireguard=False, openconnect=False, serverb=True):
        self.dir = tempfile.mkdtemp(prefix='world-', dir=sandbox.SCRATCH)
        self.closers = []
        self.hosts = {}
        for name in ('laptop', 'laptop2', 'laptop3', 'core', 'inet', 'vpnsrv',
                     'twin', 'serverb', 'mallory'):
            self.host(name)
        self.host('servera', mounts=True)
        self._lan()
        self._internet()
        self.keys = vpn.keys(self.dir)
        self.openvpn = self.closing(
            vpn.OpenVpnServer(self.vpnsrv, self.keys, self.dir))
        self.vpnsrv.ip('route add 172.16.9.20/32 via 10.255.0.2 dev twin',
                       'route add fd00:16:9::20/128 via fd00:255::2 dev twin')
        self.office = self.openvpn.profile(f'{self.dir}/office.ovpn', 'servera')
        self.partner_server = self.corp_server = None
        if wireguard:
            self.with_wireguard()
        if openconnect:
            self.with_openconnect()
        if serverb:
            self.connect_b()

    def __getattr__(self, name):
        try:
            return self.__dict__['hosts'][name]
        except KeyError:
            raise AttributeError(name) from None

    def host(self, name, mounts=False):
        self.hosts[name] = Host(name, mounts)
        return self.hosts[name]

    def closing(self, thing):
        self.closers.append(thing)
        return thing

    def _segment(self, router, bridge, addr4, addr6, members):
        """A LAN: @members are (host, interface, v4, v6 or none)."""
        router.ip(f'link add {bridge} type bridge', f'link set {bridge} up',
                  f'addr add {addr4} dev {bridge}',
                  f'addr add {addr6} dev {bridge} nodad')
        for host, link, a4, a6 in members:
            port = host.name[:13]
            join(router, port, host, link)
            router.ip(f'link set {port} master {bridge}')
            host.ip(f'addr add {a4} dev {link}',
                    f'addr add {a6} dev {link} nodad',
                    f'route add default via {addr4.split("/")[0]}',
                    f'route add default via {addr6.split("/")[0]}')

    def _lan(self):
        self.core.router()
        self._segment(self.core, 'br9', '172.16.9.1/24', 'fd00:16:9::1/64', [
            (self.laptop, 'eth0', f'{LAPTOP4}/24', f'{LAPTOP6}/64'),
            (self.laptop2, 'eth0', f'{LAPTOP2_4}/24', f'{LAPTOP2_6}/64')])
        self._segment(self.core, 'br5', '172.16.5.1/24', 'fd00:16:5::1/64', [
            (self.servera, 'eth0', f'{A4}/24', f'{A6}/64'),
            (self.mallory, 'eth0', f'{MALLORY4}/24', f'{MALLORY6}/64')])
        self._segment(self.core, 'br77', '172.16.77.1/24', 'fd00:16:77::1/64', [
            (self.laptop3, 'eth0', f'{LAPTOP3_4}/24', f'{LAPTOP3_6}/64')])

    def _internet(self):
        self.inet.router()
        join(self.core, 'wan', self.inet, 'core')
        self.core.ip('addr add 192.0.2.1/30 dev wan',
                     'addr add 2001:db8:c::1/64 dev wan nodad',
                     'route add default via 192.0.2.2',
                     'route add default via 2001:db8:c::2')
        self.inet.ip('addr add 192.0.2.2/30 dev core',
                     'addr add 2001:db8:c::2/64 dev core nodad',
                     'route add 172.16.0.0/16 via 192.0.2.1',
                     'route add fd00:16::/32 via 2001:db8:c::1')
        self._segment(self.inet, 'br198', '198.51.100.1/24',
                      '2001:db8:198::1/64',
                      [(self.vpnsrv, 'eth0', '198.51.100.2/24',
                        '2001:db8:198::2/64')])
        self._segment(self.inet, 'br203', '203.0.113.1/24',
                      '2001:db8:203::1/64',
                      [(self.serverb, 'eth0', f'{B_INET4}/24',
                        f'{B_INET6}/64')])
        self.vpnsrv.router()
        join(self.vpnsrv, 'twin', self.twin, 'eth0')
        self.vpnsrv.ip('addr add 10.255.0.1/30 dev twin',
                       'addr add fd00:255::1/64 dev twin nodad')
        self.twin.ip('addr add 10.255.0.2/30 dev eth0',
                     'addr add fd00:255::2/64 dev eth0 nodad',
                     f'addr add {LAPTOP4}/32 dev eth0',
                     f'addr add {LAPTOP6}/128 dev eth0 nodad',
                     f'route add default via 10.255.0.1 src {LAPTOP4}',
                     f'route add default via fd00:255::1 src {LAPTOP6}')

    def more_internet(self, name, address4, address6):
        host = self.host(name, mounts=True)
        join(self.inet, name, host, 'eth0')
        self.inet.ip(f'link set {name} master br203')
        host.ip(f'addr add {address4}/24 dev eth0',
                f'addr add {address6}/64 dev eth0 nodad',
                'route add default via 203.0.113.1',
                'route add default via 2001:db8:203::1')
        return host

    def with_wireguard(self):
        host = self.more_internet('partner', '203.0.113.77',
                                  '2001:db8:203::77')
        self.partner_server = self.closing(vpn.WireGuardServer(host, self.dir))
        self.partner_conf = self.partner_server.conf(
            f'{self.dir}/partner.conf')

    def with_openconnect(self):
        host = self.more_internet('corp', '203.0.113.99', '2001:db8:203::99')
        host.ip('link set lo up')
        self.corp_server = self.closing(
            vpn.OpenConnectServer(host, self.keys, self.dir))

    def connect_b(self):
        """Server B is a VPN client like any other, and stays so."""
        profile = self.openvpn.profile(f'{self.dir}/b.ovpn', 'serverb')
        self.b_client = self.closing(
            vpn.OpenVpnClient(self.serverb, profile, self.dir)).wait()

    def openvpn_again(self):
        """Starts the OpenVPN server after a close(); B comes back at once
        instead of when its patience ends."""
        self.openvpn.start()
        self.b_client.child.send_signal(signal.SIGUSR1)
        until(lambda: probe.ping(self.serverb, VPN_GW4, seconds=1),
              'B is connected again')

    def serve(self, host, name, *ports):
        """Runs the service on @host itself; returns its process."""
        child = host.popen(service_argv(name, *ports), stdout=-1)
        assert child.stdout.readline() == 'ready\n'
        return child

    def close(self):
        for thing in reversed(self.closers):
            thing.close()
        for host in self.hosts.values():
            host.close()
        hosts.remove_tree(self.dir)


# Who is answered by which door ------------------------------------------

LAN, VPN, SELF = 'lan', 'vpn', 'self'


def askers(world, families=(4, 6)):
    """(door, host, source or '', destination, address that must be seen)"""
    all_ = [
        (LAN, 'laptop', A4, LAPTOP4), (LAN, 'laptop', A6, LAPTOP6),
        (LAN, 'laptop2', A4, LAPTOP2_4), (LAN, 'laptop2', A6, LAPTOP2_6),
        (LAN, 'laptop3', A4, LAPTOP3_4), (LAN, 'laptop3', A6, LAPTOP3_6),
        (LAN, 'mallory', A4, MALLORY4), (LAN, 'mallory', A6, MALLORY6),
        (VPN, 'serverb', A_VPN4, B_VPN4), (VPN, 'serverb', A_VPN6, B_VPN6),
        (VPN, 'twin', A_VPN4, LAPTOP4), (VPN, 'twin', A_VPN6, LAPTOP6),
        (VPN, 'vpnsrv', A_VPN4, VPN_GW4), (VPN, 'vpnsrv', A_VPN6, VPN_GW6),
        (SELF, 'servera', A4, A4), (SELF, 'servera', A6, A6),
    ]
    return [(door, world.hosts[host], dst, saw) for door, host, dst, saw in all_
            if (6 if ':' in dst else 4) in families]


def wrong_answers(world, port=80, by='room', protos=('tcp', 'udp'),
                  families=(4, 6), doors=(LAN, VPN, SELF), seconds=PATIENCE,
                  lan_seen_as=''):
    """Asks from everywhere; a line of text for each that is not as it must
    be. Empty is right. @lan_seen_as: by a proxy, the LAN's clients all are.
    After the first wrong one nobody waits for long: it is wrong in any case."""
    wrong = []
    for door, host, dst, saw in askers(world, families):
        if door not in doors:
            continue
        for proto in protos:
            got = probe.ask(host, proto, dst, port,
                            seconds=min(seconds, 2) if wrong else seconds)
            want = (probe.How.ANSWERED, by,
                    door == LAN and lan_seen_as or saw, dst)
            if (got.how, got.by, got.saw, got.source) != want:
                wrong.append(f'{door}: {host.name} asks {dst} port {port} '
                             f'{proto}: {got}')
    return wrong
