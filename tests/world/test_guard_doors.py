# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose address was asked does not tell the door: a VPN peer may ask for the
LAN's. By the door that a request came in by goes its answer, and no connection
is tracked for it."""
import os
import re
import socket

import pytest

from lab import host as hosts
from lab import probe
from lab.guard import Guard, guarded, ike_daemon, quiet_session, tables
from lab.host import PATIENCE, until
from lab.leak import SECRET, Ear
from lab.probe import How
from lab.sniff import Sniffer, inject, inject_tun, mac, tcp_packet, udp_packet
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import (A4, A_VPN4, A_VPN6, B_VPN4, B_VPN6, LAPTOP4, MALLORY4)

SYN, SYN_ACK = 0x02, 0x12
LAN4, LAN6 = '172.16.5.12', 'fd00:16:5::12'
SYSCTLS = ('net/ipv4/tcp_fwmark_accept', 'net/ipv4/fwmark_reflect',
           'net/ipv6/fwmark_reflect')


@pytest.fixture(scope='module')
def net(world):
    """The VPN's peers reach an address of Server A's LAN by the VPN."""
    world.servera.ip(f'addr add {LAN4}/24 dev eth0',
                     f'addr add {LAN6}/64 dev eth0 nodad')
    world.openvpn.give_a(extra=f'iroute {LAN4} 255.255.255.255\n'
                         f'iroute-ipv6 {LAN6}/128\n')
    for host in (world.vpnsrv, world.serverb):
        host.ip(f'route add {LAN4}/32 dev tun0', f'route add {LAN6}/128 dev tun0')
    child = world.serve(world.servera, 'host', 80)
    yield world
    child.kill()
    world.openvpn.give_a()


def table(net):
    return tables(net.servera)


def test_control_without_a_guard_the_neighbour_is_answered(net):
    assert probe.tcp(net.mallory, LAN4, 80).answered
    client = OpenVpnClient(net.servera, net.office, net.dir).wait()
    with Sniffer(net.mallory, 'eth0') as victim:
        inject_tun(net.vpnsrv, 'tun0',
                   tcp_packet(MALLORY4, 4000, LAN4, 80, SYN))
        answer = victim.wait_for(lambda p: p.src == LAN4 and p.dport == 4000)
        assert (answer.flags, answer.ttl) == (SYN_ACK, 64)
    client.close()


def test_sysctls_are_as_before_at_the_end_whoever_ends_it(program, net):
    before = hoststate(net.servera)
    first = guarded(program, net, [])
    first.wait_stands()
    assert [net.servera.sysctl(s) for s in SYSCTLS] == ['1', '1', '1']
    first.kill9()
    second = guarded(program, net, [])
    second.wait_stands()
    assert second.stop() == 0
    assert difference(before, hoststate(net.servera)) == ''
    third = guarded(program, net, [])
    third.wait_stands()
    net.servera.sysctl(SYSCTLS[0], 0)
    net.servera.ip('link set lo down', 'link set lo up')  # something happens
    until(lambda: net.servera.sysctl(SYSCTLS[0]) == '1', third.log.text,
          PATIENCE)
    third.kill9()
    third.off()
    assert difference(before, hoststate(net.servera)) == ''
    for guard in (first, second, third):
        guard.close()


@pytest.mark.parametrize('dst', [LAN4, LAN6])
def test_a_vpn_peers_connection_that_is_older_than_the_guard_goes_on(
        program, net, dst):
    """And with the guard after one that was killed, which knows it no better. The
    LAN's go on by the LAN."""
    client = OpenVpnClient(net.servera, net.office, net.dir).wait()
    with probe.connect(net.serverb, dst, 80) as s, probe.connect(net.mallory, dst, 80) as lan:
        assert probe.line(s) and probe.line(lan)

        def echo(word):
            for end in s, lan:
                end.sendall(word + b'\n')
            return [probe.line(end).split()[-1] for end in (s, lan)] == [word.decode()] * 2
        for word in (b'first', b'second'):
            guard = guarded(program, net, [])
            guard.wait_stands()
            with Sniffer(net.mallory, 'eth0') as near:
                assert echo(word)
                # The VPN's server would bring it, too.
                assert near.wait_for(lambda p: p.src == dst and p.sport == 80).ttl == 64
            guard.kill9()
            assert echo(word)
        guard.off()
        assert echo(b'third')
    client.close()


@pytest.mark.parametrize('dst, lan', [(A_VPN4, '172.20.0.0/16'), (A_VPN6, 'fd00:16:20::/64')])
def test_and_one_with_the_vpns_own_address_though_its_range_shall_be_on_the_lan(
        program, net, dst, lan):
    """--lan is for what the host begins."""
    client = OpenVpnClient(net.servera, net.office, net.dir).wait()
    with probe.connect(net.serverb, dst, 80) as s:
        assert probe.line(s)
        with Guard(program, net.servera, net.dir, [], ['--lan', lan]) as guard:
            guard.wait_stands()
            s.sendall(b'still there?\n')
            assert probe.line(s).endswith(' still there?\n')
    client.close()


OTHER_VPN = '''
ip tuntap add dev tun9 mode tun; ip link set tun9 up; ip address add 10.9.9.2/24 dev tun9
for half in 172.20.0.0/17 172.20.128.0/17; do ip route add $half dev tun9; done
for half in fd00:16:20::/65 fd00:16:20:0:8000::/65; do ip route add $half dev tun9; done
echo the other claims all; exec sleep infinity
'''


@pytest.mark.parametrize('dst', [A_VPN4, A_VPN6])
def test_and_one_with_the_vpns_own_address_though_another_vpn_claims_the_peer(
        program, net, dst):
    client = OpenVpnClient(net.servera, net.office, net.dir).wait()
    with probe.connect(net.serverb, dst, 80) as s:
        assert probe.line(s)
        with guarded(program, net, ['sh', '-ec', OTHER_VPN]) as guard:
            guard.wait_log('the other claims all')
            assert 'dev tun9' in net.servera.out(
                'ip', 'route', 'get', B_VPN6 if dst == A_VPN6 else B_VPN4)
            s.sendall(b'still there?\n')
            assert probe.line(s).endswith(' still there?\n')
            net.servera.ip('link del tun9')
            guard.stop()
    client.close()


@pytest.mark.parametrize('dst', [LAN4, LAN6, A_VPN4])
def test_and_one_in_which_the_host_speaks_first_where_ipsec_is_spoken(program, net, dst):
    """It is not taken for one of the LAN's, which go there in spite of policies."""
    client = OpenVpnClient(net.servera, net.office, net.dir).wait()
    with ike_daemon(net.servera), quiet_session(net.servera, dst, net.serverb) as (here, there), \
            guarded(program, net, []) as guard:
        guard.wait_stands()
        assert 'leave_xfrm' in table(net)
        for word in 'first\n', 'second\n':
            here.sendall(word.encode())
            assert probe.line(there) == word
            there.sendall(word.encode())
            assert probe.line(here) == word
    client.close()


def test_where_marks_were_taken_over_before_they_still_are(program, net):
    """Somebody has set these sysctls and rules by the mark. Answers of others
    are the guard's."""
    before = {s: net.servera.sysctl(s) for s in SYSCTLS}
    for sysctl in SYSCTLS:
        net.servera.sysctl(sysctl, 1)
    net.servera.nft('''table inet others { chain them {
        type filter hook prerouting priority -150;
        ip saddr 172.16.9.20 meta mark set 0x5; }; chain answers {
        type filter hook output priority 0;
        icmp type echo-reply meta mark 0x5 counter; }; }''')
    with guarded(program, net) as guard:
        guard.connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              'the tunnel is a door', PATIENCE)
        with probe.connect(net.laptop, A4, 80) as s:
            assert probe.line(s)
            assert fwmark(net, s) == '0x5'
        assert probe.ping(net.laptop, A4)
        assert 'counter packets 0 ' not in net.servera.out(
            'nft', 'list', 'chain', 'inet', 'others', 'answers')
        with probe.connect(net.serverb, LAN4, 80) as s:
            assert probe.line(s)
            assert fwmark(net, s).startswith('0x27')
    net.servera.run('nft', 'delete', 'table', 'inet', 'others')
    for sysctl, value in before.items():
        net.servera.sysctl(sysctl, value)


TAP4, FAR4 = '172.30.0.1', '172.31.0.5'


@pytest.fixture
def lan_of_the_vpn(net):
    """The other end of a tunnel of Ethernet frames; and the client's command."""
    key = f'{net.dir}/tap.key'
    net.vpnsrv.run('openvpn', '--genkey', 'secret', key)
    both = ['openvpn', '--secret', key, '--cipher', 'AES-256-CBC', '--port', '1199']
    child = net.vpnsrv.popen([*both, '--dev', 'tap7', '--dev-type', 'tap',
                              '--ifconfig', TAP4, '255.255.255.0'])
    until(lambda: TAP4 in net.vpnsrv.out('ip', 'address'), 'the other end is there',
          PATIENCE)
    net.vpnsrv.ip(f'addr add {FAR4}/32 dev lo')
    yield [*both, '--dev', 'tap7', '--dev-type', 'tap', '--remote', '198.51.100.2',
           '--ifconfig', '172.30.0.10', '255.255.255.0']
    net.vpnsrv.ip(f'addr del {FAR4}/32 dev lo')
    hosts.stop(child)


def test_who_comes_out_of_a_tunnel_with_neighbours_is_answered_by_it(
        program, net, lan_of_the_vpn):
    """Neighbours, as soon as it has an address; others by the gateway that its
    client knows."""
    with guarded(program, net, lan_of_the_vpn) as guard:
        guard.connected()
        net.vpnsrv.ip(f'route replace {LAN4}/32 via 172.30.0.10')
        try:
            got = probe.ask_until_answered(net.vpnsrv, 'tcp', LAN4, 80)
            assert (got.by, got.saw) == ('host', TAP4)
            net.servera.ip(f'route add 172.31.0.0/16 via {TAP4}')
            got = probe.ask_until_answered(net.vpnsrv, 'tcp', LAN4, 80, src=FAR4)
            assert (got.by, got.saw) == ('host', FAR4)
        finally:
            net.vpnsrv.ip(f'route replace {LAN4}/32 dev tun0')
        assert guard.stop() == 0


@pytest.fixture
def strict(net):
    """What some distributions give every interface that comes."""
    net.servera.sysctl('net/ipv4/conf/default/rp_filter', 1)
    yield
    net.servera.sysctl('net/ipv4/conf/default/rp_filter', 0)


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_a_vpn_peer_that_asks_for_the_lans_address_is_heard_by_a_strict_filter(
        program, net, strict, proto):
    """As it was before there were rules that lead what says that address to the LAN."""
    with guarded(program, net) as guard:
        guard.connected()
        guard.wait_log('tun0: rp_filter is strict, which would silence peers who ask')
        got = probe.ask_until_answered(net.serverb, proto, LAN4, 80)
        assert (got.saw, got.source) == (B_VPN4, LAN4)
        assert guard.stop() == 0


@pytest.fixture(scope='module')
def guard(program, net):
    with guarded(program, net) as guard:
        guard.connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              'the tunnel is a door', PATIENCE)
        yield guard


@pytest.mark.parametrize('dst, saw', [(LAN4, B_VPN4), (LAN6, B_VPN6)])
@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_a_vpn_peer_that_asks_for_the_lans_address_is_answered_by_the_vpn(
        net, guard, proto, dst, saw):
    got = probe.ask(net.serverb, proto, dst, 80)
    assert (got.how, got.by, got.saw, got.source) == (
        How.ANSWERED, 'host', saw, dst)


@pytest.mark.parametrize('dst', [LAN4, LAN6])
@pytest.mark.parametrize('size', [56, 3000])
def test_and_so_are_its_pings(net, guard, dst, size):
    assert probe.ping(net.serverb, dst, size=size)


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('dst', [LAN4, LAN6])
def test_and_it_is_refused_by_the_vpn_where_nobody_listens(net, guard, proto,
                                                          dst):
    assert probe.ask(net.serverb, proto, dst, 4999).how is How.REFUSED


def padded(host, kind):
    """A socket whose packets have an extension header that says nothing (RFC 8200,
    4.2: PadN): the next header is not TCP's or UDP's."""
    s = host.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes((0, 0, 1, 4, 0, 0, 0, 0)))
    s.settimeout(PATIENCE)
    return s


def test_and_so_is_one_with_extension_headers(net, guard):
    with padded(net.serverb, socket.SOCK_STREAM) as s:
        s.connect((LAN6, 80))
        assert probe.line(s).split()[:2] == ['host', B_VPN6]
        s.sendall(b'more\n')
        assert probe.line(s).endswith(' more\n')


def test_and_so_is_one_by_udp_with_extension_headers_both_ways(net, guard):
    with padded(net.servera, socket.SOCK_DGRAM) as service, \
            padded(net.serverb, socket.SOCK_DGRAM) as client:
        service.bind(('::', 50055))
        client.sendto(b'question', (LAN6, 50055))
        data, peer = service.recvfrom(64)
        assert (data, peer[0]) == (b'question', B_VPN6)
        service.sendto(b'answer', peer)
        data, source = client.recvfrom(64)
        assert (data, source[0]) == (b'answer', LAN6)


@pytest.mark.parametrize('flags', ['0', '1'])
def test_a_first_packet_that_speaks_of_congestion_is_one(net, guard, flags):
    """ECN's SYN has two flags more (RFC 3168, 6.1.1)."""
    before = net.serverb.sysctl('net/ipv4/tcp_ecn')
    net.serverb.sysctl('net/ipv4/tcp_ecn', flags)
    try:
        for dst in (LAN4, LAN6):
            with Sniffer(net.servera, 'tun0') as door:
                assert probe.tcp(net.serverb, dst, 80).answered
                syn = door.wait_for(lambda p: p.dst == dst and p.flags & SYN)
                assert syn.flags == (SYN | 0xc0 if flags == '1' else SYN)
    finally:
        net.serverb.sysctl('net/ipv4/tcp_ecn', before)


@pytest.mark.parametrize('near, far', [(A4, A_VPN4), (LAN4, LAN4)],
                         ids=['each its own', 'the same'])
def test_one_client_on_two_doors_is_answered_by_the_one_that_it_asks_by(
        net, guard, near, far):
    """UDP, from one address and port: it asks by the LAN and by the VPN in
    turns, for addresses of their own or for the same."""
    for host in (net.laptop, net.twin) * 3:
        got = probe.udp(host, near if host is net.laptop else far, 80,
                        src=LAPTOP4, sport=40123)
        assert (got.how, got.saw) == (How.ANSWERED, LAPTOP4)


def test_the_vpn_does_not_have_the_host_answer_a_neighbour(net, guard):
    """A SYN through the tunnel in a neighbour's name. What the VPN sends on to
    the neighbour has been through routers."""
    assert probe.tcp(net.mallory, LAN4, 80).answered  # they know each other
    with Sniffer(net.mallory, 'eth0') as victim:
        inject_tun(net.vpnsrv, 'tun0',
                   tcp_packet(MALLORY4, 4000, LAN4, 80, SYN))
        answer = victim.wait_for(lambda p: p.src == LAN4 and p.dport == 4000)
        assert answer.ttl < 64


def test_whom_the_host_asked_is_no_client_of_it(net, guard):
    """A neighbour speaks in a VPN peer's name; the next question would come to
    it."""
    s = net.servera.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', 50053))
    s.settimeout(PATIENCE)
    s.sendto(b'question', (B_VPN4, 53))
    inject(net.mallory, 'eth0', mac(net.servera, 'eth0'),
           udp_packet(B_VPN4, 53, A4, 50053, b'forged'))
    assert s.recv(64) == b'forged'
    with Ear(net) as ear:
        s.sendto(SECRET, (B_VPN4, 53))
        assert ear.heard() == []
    s.close()


def fwmark(net, client):
    """Of our end of the connection: others of the same port may be ending yet."""
    text = net.servera.out('ss', '-Htne', 'state', 'established', 'dport',
                           f'= :{client.getsockname()[1]}')
    mark, = re.findall(r'fwmark:(\S+)', text)
    return mark


def test_a_mark_that_others_give_a_packet_does_not_become_the_sockets(net,
                                                                    guard):
    """As a transparent proxy marks: what it means it to do is done by then, and
    its rule would lead all replies astray."""
    net.servera.nft('''table inet others { chain them {
        type filter hook prerouting priority -150;
        tcp dport 80 meta mark set 0x5; }; }''')
    net.servera.ip('rule add pref 9 fwmark 0x5 blackhole')
    try:
        for host, dst in ((net.laptop, A4), (net.serverb, LAN4)):
            with probe.connect(host, dst, 80) as s:
                assert probe.line(s)
                mark = fwmark(net, s)
                assert mark.startswith('0x27') and mark.endswith('0000')
    finally:
        net.servera.ip('rule del pref 9')
        net.servera.run('nft', 'delete', 'table', 'inet', 'others')


def test_nor_does_that_of_a_client_on_the_host_itself(net, guard):
    """On loopback a packet comes in with the mark of the socket at the other end."""
    s = net.servera.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x5)
    with s:
        s.settimeout(PATIENCE)
        s.connect((LAN4, 80))
        assert probe.line(s)
        ends = net.servera.out('ss', '-Htne', 'state', 'established', 'dport',
                               f'= :{s.getsockname()[1]}')
        assert ends and 'fwmark' not in ends


def test_no_connection_is_tracked(net, guard):
    assert ' ct ' not in table(net)
    net.servera.run('conntrack', '-F', ok=False)  # what was tracked before
    assert probe.tcp(net.laptop, A4, 80).answered
    assert not os.path.exists('/proc/sys/net/netfilter') or net.servera.sysctl(
        'net/netfilter/nf_conntrack_count') == '0'
