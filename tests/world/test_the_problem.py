# SPDX-License-Identifier: GPL-2.0-or-later
"""The case that sallyport was made for, without sallyport.

Negative controls: what the other tests show to work must fail here.
"""
import pytest

from lab import probe
from lab.host import PATIENCE
from lab.probe import How
from lab.sniff import Sniffer, tcp_packet, inject
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import (A4, A6, A_VPN4, A_VPN6, B_INET4, B_INET6, B_VPN4, B_VPN6,
                       LAPTOP4, LAPTOP6)


@pytest.fixture(scope='module')
def bare(world):
    child = world.serve(world.servera, 'host', 80)
    before = hoststate(world.servera)
    yield world
    child.kill()
    assert difference(before, hoststate(world.servera)) == ''


@pytest.fixture
def vpn(bare):
    client = OpenVpnClient(bare.servera, bare.office, bare.dir).wait()
    yield bare
    client.close()


BOTH = pytest.mark.parametrize('a, laptop', [(A4, LAPTOP4), (A6, LAPTOP6)],
                               ids=['ipv4', 'ipv6'])
PROTO = pytest.mark.parametrize('proto', ['tcp', 'udp'])


@BOTH
@PROTO
def test_without_a_vpn_the_laptop_is_answered(bare, proto, a, laptop):
    got = probe.ask(bare.laptop, proto, a, 80)
    assert (got.how, got.saw, got.source) == (How.ANSWERED, laptop, a)


@BOTH
@PROTO
def test_with_a_vpn_on_the_bare_server_the_laptop_is_lost(vpn, proto, a,
                                                          laptop):
    got = probe.ask(vpn.laptop, proto, a, 80, seconds=probe.SILENCE)
    assert got.how is How.SILENT


@pytest.mark.parametrize('a, b', [(A_VPN4, B_VPN4), (A_VPN6, B_VPN6)])
@PROTO
def test_with_a_vpn_on_the_bare_server_b_is_answered(vpn, proto, a, b):
    got = probe.ask(vpn.serverb, proto, a, 80)
    assert (got.how, got.saw, got.source) == (How.ANSWERED, b, a)


def test_an_open_connection_of_the_laptop_freezes(bare):
    flow = probe.Flow(bare.laptop, A4, 80, patience=probe.SILENCE)
    client = OpenVpnClient(bare.servera, bare.office, bare.dir).wait()
    flow.join(PATIENCE)
    client.close()
    assert isinstance(flow.stop().error, TimeoutError)


def test_the_known_cure_brings_back_tcp_but_not_wildcard_udp(vpn):
    vpn.servera.ip('rule add from 172.16.5.10 lookup 100',
                   'route add 172.16.0.0/16 via 172.16.5.1 table 100')
    try:
        tcp = probe.ask(vpn.laptop, 'tcp', A4, 80)
        udp = probe.ask(vpn.laptop, 'udp', A4, 80, seconds=probe.SILENCE)
        b = probe.ask(vpn.serverb, 'tcp', A_VPN4, 80)
    finally:
        vpn.servera.ip('rule del from 172.16.5.10 lookup 100',
                       'route del 172.16.0.0/16 via 172.16.5.1 table 100')
    assert (tcp.how, tcp.saw) == (How.ANSWERED, LAPTOP4)
    assert udp.how is How.SILENT
    assert (b.how, b.saw) == (How.ANSWERED, B_VPN4)


BEFORE_AND_AFTER = {
    'client killed': lambda server, client, tun: (client.child.kill(), client.child.wait()),
    'link down': lambda server, client, tun: server.ip(f'link set {tun} down'),
    'link deleted': lambda server, client, tun: server.ip(f'link del {tun}'),
    'routes withdrawn': lambda server, client, tun: [
        server.run('ip', family, 'route', 'flush', 'dev', tun, 'table', 'main')
        for family in ('-4', '-6')],
}


@pytest.mark.parametrize('fault', BEFORE_AND_AFTER.values(), ids=list(BEFORE_AND_AFTER))
def test_on_the_bare_server_packets_leak_before_the_tunnel_and_after_a_fault(bare, fault):
    """F1, F2, F3, F20. What goes to the VPN's range leaves by the LAN as long as there
    is no way into the tunnel: without a kill switch the sniffer must see it."""
    def say(words):
        for family, aim in (2, B_VPN4), (10, B_VPN6):
            with bare.servera.socket(family, 2) as s:
                s.sendto(words, (aim, 9))

    with Sniffer(bare.core, 'servera', (bare.servera, 'eth0')) as lan:
        def heard(words):
            return {p.dst for p in lan.seen(lambda p: p.payload == words)}

        say(b'before the tunnel')
        assert heard(b'before the tunnel') == {B_VPN4, B_VPN6}
        client = OpenVpnClient(bare.servera, bare.office, bare.dir).wait()
        say(b'by the tunnel')
        assert heard(b'by the tunnel') == set()
        fault(bare.servera, client, tunnel(bare.servera))
        say(b'in the clear')
        assert heard(b'in the clear') == {B_VPN4, B_VPN6}
    client.close()


def tunnel(server):
    return next(l.split(':')[1].strip() for l in server.out('ip', '-o', 'link').splitlines()
                if 'tun' in l)


def test_on_the_bare_server_an_ipv4_only_vpn_leaves_ipv6_to_the_lan(bare):
    """A13."""
    bare.openvpn.give('servera', A_VPN4, None, ('redirect-gateway def1',))
    client = OpenVpnClient(bare.servera, bare.office, bare.dir).wait()
    try:
        with Sniffer(bare.core, 'servera', (bare.servera, 'eth0')) as lan:
            for family, aim in (2, B_INET4), (10, B_INET6):
                with bare.servera.socket(family, 2) as s:
                    s.sendto(b'in the clear', (aim, 9))
            assert {p.dst for p in lan.seen(lambda p: p.payload == b'in the clear')} == {
                B_INET6}
    finally:
        client.close()
        bare.openvpn.give_a()


@pytest.mark.parametrize('mine, theirs', [(A4, A_VPN4), (A6, A_VPN6)], ids=['ipv4', 'ipv6'])
@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_on_the_bare_server_the_laptop_is_not_told_from_a_vpn_peer_of_its_address(
        vpn, proto, mine, theirs):
    """A2, A3: the same address and source port on both sides."""
    got = [probe.ask(host, proto, dst, 80, sport=40003, seconds=seconds).how
           for host, dst, seconds in ((vpn.twin, theirs, PATIENCE),
                                      (vpn.laptop, mine, probe.SILENCE))]
    assert got == [How.ANSWERED, How.SILENT]


def test_a_neighbour_reaches_the_tunnel_address_of_the_bare_server(vpn):
    """CVE-2019-14899: the weak host model."""
    vpn.mallory.ip(f'route add {A_VPN4} via {A4}')
    got = probe.ask(vpn.mallory, 'tcp', A_VPN4, 80, src='172.16.5.66')
    vpn.mallory.ip(f'route del {A_VPN4} via {A4}')
    assert got.how is How.ANSWERED


def test_hosts_are_private_and_complete(bare):
    """The harness itself: a planted packet is seen, a blind sniffer says so."""
    with Sniffer(bare.core, 'servera', (bare.servera, 'eth0')) as lan:
        inject(bare.servera, 'eth0', 'ff:ff:ff:ff:ff:ff',
               tcp_packet('192.0.2.99', 1, '192.0.2.98', 2))
        assert lan.seen(lambda p: p.src == '192.0.2.99')
    with pytest.raises(AssertionError):
        Sniffer(bare.core, 'lo', (bare.servera, 'eth0'), seconds=0.2)
    assert bare.servera.out('ls', '/etc/sallyport') == ''
