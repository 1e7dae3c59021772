# SPDX-License-Identifier: GPL-2.0-or-later
"""Files as providers ship them."""
import os
import signal
import subprocess

import pytest

from lab import probe
from lab.host import Host, join, keep, stop, until
from lab.leak import Ear
from lab.names import Names
from lab.sniff import TCP, Sniffer
from lab.vpn import OpenVpnServer, wg_key
from lab.world import (A4, A_VPN4, A_VPN6, A_WG4, A_WG6, B_VPN4, B_VPN6,
                       LAPTOP4, LAPTOP6, PARTNER4, PARTNER6, wrong_answers)

CONF = '[room]\npublish = 80 80/udp\n[door {door}]\nvpn = {file}\n'


def up(sallyport, path, door='office', extra='', **kw):
    text = CONF.format(door=door, file=path) + extra
    gate = sallyport.up('main', text, **kw)
    gate.serve('room', 80)
    return gate


@pytest.fixture
def server(wide_world):
    """The first OpenVPN server as it is, afterwards too."""
    yield wide_world.openvpn
    wide_world.openvpn.give_a()


@pytest.fixture
def second(wide_world):
    """Starts one more OpenVPN server, of another make-up."""
    made = []

    def start(**kw):
        w = wide_world
        s = OpenVpnServer(w.vpnsrv, w.keys, w.dir, **kw)
        made.append(s)
        return s
    # One tun0 and one pool: the first server makes room.
    wide_world.openvpn.close()
    yield start
    for s in made:
        s.close()
    wide_world.openvpn_again()


def profile(world, name, **kw):
    return world.openvpn.profile(f'{world.dir}/{name}.ovpn', 'servera', **kw)


def test_the_first_of_several_remotes_is_dead(wide_world, wide):
    path = profile(wide_world, 'remotes', remotes=[
        '198.51.100.99 1194 udp', '198.51.100.2 1194 udp'])
    with up(wide, path):
        assert wrong_answers(wide_world) == []


def test_a_remote_by_name_is_resolved_on_the_host(wide_world, wide):
    hosts = wide_world.servera.path('/etc/hosts')
    with open(hosts) as f:
        old = f.read()
    with open(hosts, 'a') as f:
        f.write('198.51.100.2 vpn.office.example\n')
    try:
        path = profile(wide_world, 'byname',
                       remotes=['vpn.office.example 1194 udp'])
        with up(wide, path) as gate:
            assert wrong_answers(wide_world) == []
            assert gate.zombies() == []  # who resolved it
    finally:
        with open(hosts, 'w') as f:
            f.write(old)


@pytest.fixture
def etc_hosts(wide_world):
    """Writes lines below what the host's /etc/hosts says."""
    hosts = wide_world.servera.path('/etc/hosts')
    with open(hosts) as f:
        old = f.read()
    yield lambda text: keep(hosts, old + text)
    keep(hosts, old)


def test_a_server_that_moves_is_found_by_its_name(wide_world, wide, second,
                                                  etc_hosts):
    w = wide_world
    server = second(port=1199)
    etc_hosts('198.51.100.2 vpn.office.example\n')
    path = server.profile(f'{w.dir}/moves.ovpn', 'servera', remotes=[
        'vpn.office.example 1199 udp'], extra='user nobody\ngroup nogroup\n')
    with up(wide, path) as gate:
        pid = gate.vpn_pid()
        server.close()
        w.vpnsrv.ip('addr add 198.51.100.3/24 dev eth0')
        with open(server.conf) as f:
            keep(server.conf, f.read().replace('198.51.100.2', '198.51.100.3'))
        server.start()
        etc_hosts('198.51.100.3 vpn.office.example\n')
        since = len(gate.log.text())
        os.kill(pid, signal.SIGUSR1)  # what its ping-restart would do
        gate.wait_log('office: answers', since=since)
        assert probe.ask(w.vpnsrv, 'tcp', A_VPN4, 80).saw == '172.20.0.1'
        assert gate.vpn_pid() == pid
        etc_hosts('')  # nobody knows the name any more
        since = len(gate.log.text())
        os.kill(pid, signal.SIGKILL)
        gate.wait_log('office: answers', since=since)
        assert 'the addresses stay' in gate.log.text()[since:]
        assert probe.ask(w.vpnsrv, 'tcp', A_VPN4, 80).saw == '172.20.0.1'
        assert gate.zombies() == []
    w.vpnsrv.ip('addr del 198.51.100.3/24 dev eth0')


PROVIDERS = """\
# Made by the provider's web page\t
;another comment
client
dev\ttun0
dev-type tun
remote cvpn.example 1194 udp   # by name
remote-random-hostname
remote-random
resolv-retry infinite
nobind
persist-key
persist-tun
tun-mtu 1500
mssfix 1450
ping 15
ping-restart 0
ping-timer-rem
reneg-sec 0
auth-nocache
explicit-exit-notify 3
remote-cert-tls server
verify-x509-name 'server' name
script-security 2
up "/etc/openvpn/update-resolv-conf"
down /etc/openvpn/update-resolv-conf
block-outside-dns
setenv opt register-dns
ip-win32 dynamic
route-method exe
route-delay 0
setenv CLIENT_CERT 0
fast-io
user nobody
group nogroup
daemon
log-append /var/log/openvpn.log
pull-filter ignore "dhcp-option DNS 172.20.0.66"
"""


def test_what_providers_write_all_at_once(wide_world, wide, server):
    """With the marks of an editor of another system, and a push that changes."""
    w = wide_world
    server.give_a((*server.PUSH, 'dhcp-option DNS 172.20.0.66',
                   'dhcp-option DNS 172.20.0.67'))
    text = '\ufeff' + PROVIDERS + w.keys.inline('servera')
    path = keep(f'{w.dir}/providers.ovpn', text.replace('\n', '\r\n'), 0o600)
    resolv = keep(w.servera.path('/etc/resolv.conf'), 'nameserver 172.16.5.66\n')
    names = Names(w.mallory, '198.51.100.2')
    try:
        with up(wide, path) as gate:
            assert wrong_answers(w) == []
            asked = set(names.asked)
            assert asked and all(n.endswith('.cvpn.example') for n in asked)
            text = gate.log.text()
            for line in ('"up"', '"block-outside-dns"', '"register-dns"', '"daemon"'):
                assert f'{line} is left out' in text, text
            assert resolv_conf(gate).split()[-2:] == ['nameserver', '172.20.0.67']
            server.give('servera', '172.20.0.44', 'fd00:16:20::44', (
                *server.PUSH, 'dhcp-option DNS 172.20.0.68', 'tun-mtu 1400'))
            pid, since = gate.vpn_pid(), len(text)
            os.kill(pid, signal.SIGUSR1)  # connects anew, by now as nobody
            gate.wait_log('office: answers', since=since)
            for proto in ('tcp', 'udp'):
                for dst, saw in (('172.20.0.44', B_VPN4), ('fd00:16:20::44', B_VPN6)):
                    got = probe.ask(w.serverb, proto, dst, 80)
                    assert (got.by, got.saw, got.source) == ('room', saw, dst)
            assert wrong_answers(w, doors=('lan', 'self')) == []
            until(lambda: resolv_conf(gate).split()[-1] == '172.20.0.68',
                  lambda: resolv_conf(gate))
            assert set(names.asked) != asked and gate.vpn_pid() == pid
    finally:
        names.close()
        os.unlink(resolv)


def tool(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True,
                          timeout=60).stdout


def revocations(keys, where, *names):
    """What the authority of @keys has taken back."""
    conf = keep(f'{where}/ca.conf', f'''[ca]
default_ca = lab
[lab]
database = {keep(f'{where}/index', '')}
default_md = sha256
default_crl_days = 30
''')
    ca = ('openssl', 'ca', '-config', conf, '-cert', keys.path('ca.crt'),
          '-keyfile', keys.path('ca.key'))
    for name in names:
        tool(*ca, '-revoke', keys.path(f'{name}.crt'))
    return tool(*ca, '-gencrl')


def tls_crypt_v2(where):
    """The path of a server's key, and a client's."""
    for name, argv in (('server', ()),
                       ('client', ('--tls-crypt-v2', f'{where}/server'))):
        tool('openvpn', *argv, '--genkey', f'tls-crypt-v2-{name}',
             f'{where}/{name}')
    with open(f'{where}/client') as f:
        return f'{where}/server', f.read()


@pytest.mark.parametrize('port, form, revoked', [
    (1210, 'inline', []), (1211, 'beside', []),
    (1212, 'inline', ['server']), (1213, 'beside', ['server'])])
def test_keys_and_ciphers_of_other_providers(wide_world, wide, second, tmp_path,
                                             port, form, revoked):
    """tls-crypt-v2 and revocations, in the file or in files beside it, and what is said
    for the sake of old servers."""
    w = wide_world
    server_key, v2 = tls_crypt_v2(tmp_path)
    server = second(port=port, extra=f'tls-crypt-v2 {server_key}\ncomp-lzo no\n'
                    'data-ciphers AES-256-CBC\nauth SHA512\n')
    server.give_a()
    parts = {'ca': w.keys.read('ca.crt'), 'cert': w.keys.read('servera.crt'),
             'key': w.keys.read('servera.key'), 'tls-crypt-v2': v2,
             'crl-verify': revocations(w.keys, tmp_path, *revoked)}
    text = (f'client\ndev tun\nnobind\nremote {server.address} {server.port} udp\n'
            'verb 3\nremote-cert-tls server\ncipher AES-256-CBC\nauth SHA512\ncomp-lzo no\n'
            'data-ciphers AES-256-GCM:AES-256-CBC\ndata-ciphers-fallback AES-256-CBC\n')
    for word, value in parts.items():
        if form == 'inline':
            text += f'<{word}>\n{value}</{word}>\n'
        else:
            keep(f'{tmp_path}/office.{word}', value, 0o600)
            text += f'{word} office.{word}\n'
    path = keep(f'{tmp_path}/office.ovpn', text, 0o600)
    if revoked:
        with wide.up('main', CONF.format(door='office', file=path), ready=False) as gate:
            gate.wait_log('office', 'certificate revoked')
        return
    with up(wide, path) as gate:
        assert "Data Channel: cipher 'AES-256-CBC'" in gate.log.text()
        assert wrong_answers(w, doors=('lan', 'self')) == []
        assert probe.ask(w.vpnsrv, 'tcp', A_VPN4, 80).saw == '172.20.0.1'


def test_inline_connection_blocks(wide_world, wide):
    path = profile(wide_world, 'blocks', remotes=[], extra='''
<connection>
remote 198.51.100.2 1194 udp
</connection>''')
    with up(wide, path):
        assert wrong_answers(wide_world) == []


def resolv_conf(gate):
    return gate.exec('cat', '/etc/resolv.conf', ok=True).stdout


def test_dns_and_ipv6_of_the_push_reach_the_room(wide_world, wide, server):
    server.give_a((*server.PUSH, 'dhcp-option DNS 172.20.0.1',
                   'dhcp-option DNS6 fd00:16:20::1',
                   'dhcp-option DOMAIN corp.example'))
    with up(wide, profile(wide_world, 'dns')) as gate:
        text = resolv_conf(gate)
        assert 'nameserver 172.20.0.1' in text
        assert 'nameserver fd00:16:20::1' in text
        assert 'search corp.example\n' in text
        server.give_a((*server.PUSH, 'dhcp-option DNS 172.20.0.2'))
        os.kill(gate.vpn_pid(), signal.SIGUSR1)  # connects anew
        until(lambda: 'nameserver 172.20.0.2' in resolv_conf(gate), gate.log.text)
        assert [l for l in resolv_conf(gate).splitlines() if l[0] != '#'] == [
            'nameserver 172.20.0.2']


def test_name_servers_in_openvpns_newer_words_reach_the_room(
        wide_world, wide, server):
    """dns server N: the lowest number first, and before any dhcp-option."""
    server.give_a((*server.PUSH, 'dhcp-option DNS 172.20.0.1',
                   'dns server 9 address 172.20.0.9',
                   'dns server 2 address [fd00:16:20::2]:53 172.20.0.2',
                   'dns search-domains corp.example lab.example'))
    with up(wide, profile(wide_world, 'dnswords')) as gate:
        lines = resolv_conf(gate).splitlines()
        assert [l for l in lines if l[0] != '#'] == [
            'nameserver fd00:16:20::2', 'nameserver 172.20.0.2',
            'nameserver 172.20.0.9', 'search corp.example lab.example']


def test_redirect_gateway_in_the_file(wide_world, wide, server):
    server.give_a(())
    path = profile(wide_world, 'redirect', extra='redirect-gateway def1 ipv6')
    with up(wide, path) as gate, Sniffer(wide_world.vpnsrv, 'tun0') as tun:
        assert wrong_answers(wide_world) == []
        with gate.room() as room:
            s = room.socket(2, 2)
            s.sendto(b'out', ('203.0.113.30', 4001))
            assert tun.wait_for(lambda p: p.dport == 4001)
            s.close()


def test_user_and_password_from_a_file(wide_world, wide, second):
    w = wide_world
    check = keep(f'{w.dir}/check', '#!/bin/sh\n'
                 '[ "$(cat "$1")" = "$(printf \'me\\nsecret\')" ]\n', 0o755)
    server = second(port=1195, extra='script-security 2\n'
                    f'auth-user-pass-verify {check} via-file\n'
                    'tmp-dir /tmp')
    server.give_a()
    keep(f'{w.dir}/pass', 'me\nsecret\n', 0o600)
    path = server.profile(f'{w.dir}/userpass.ovpn', 'servera',
                          extra='auth-user-pass pass')
    with up(wide, path):
        assert wrong_answers(w, doors=('lan', 'self')) == []
        assert probe.ask(w.vpnsrv, 'tcp', A_VPN4, 80).saw == '172.20.0.1'


def test_a_wrong_password_is_told(wide_world, wide, second):
    w = wide_world
    check = keep(f'{w.dir}/check', '#!/bin/sh\nexit 1\n', 0o755)
    server = second(port=1196, extra='script-security 2\n'
                    f'auth-user-pass-verify {check} via-file\n'
                    'tmp-dir /tmp')
    keep(f'{w.dir}/pass', 'me\nwrong\n', 0o600)
    path = server.profile(f'{w.dir}/wrongpass.ovpn', 'servera',
                          extra='auth-user-pass pass')
    gate = wide.up('main', CONF.format(door='office', file=path), ready=False)
    with gate:
        gate.wait_log('office', 'password')


def test_over_tcp(wide_world, wide, second):
    w = wide_world
    server = second(port=1197, proto='tcp')
    path = server.profile(f'{w.dir}/tcp.ovpn', 'servera')
    with up(wide, path):
        assert probe.ask(w.vpnsrv, 'tcp', A_VPN4, 80).saw == '172.20.0.1'
        assert wrong_answers(w, doors=('lan', 'self')) == []


def test_transport_over_ipv6(wide_world, wide, second):
    w = wide_world
    server = second(port=1198, proto='udp6', address='2001:db8:198::2')
    path = server.profile(f'{w.dir}/six.ovpn', 'servera')
    server.give_a(('redirect-gateway def1 ipv6',))
    with up(wide, path):
        assert probe.ask(w.vpnsrv, 'tcp', A_VPN4, 80).saw == '172.20.0.1'
        assert wrong_answers(w, doors=('lan', 'self')) == []


# MSS --------------------------------------------------------------------

SMALL = 1280
LARGE = 1500000
# Nobody hears of "too big".
DEAF = 'table inet deaf {' + ''.join(f'''
    chain {hook} {{ type filter hook {hook} priority -300
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }}''' for hook in ('input', 'forward', 'output')) + '\n}'


class Narrow:
    """A tunnel of a small MTU with @behind, on a link of 1500, behind its far end."""

    def __init__(self, near, link, behind, door, path, dsts, addresses):
        self.near, self.link, self.behind = near, link, behind
        self.door, self.path = door, path
        self.dsts, self.addresses = dsts, addresses


@pytest.fixture
def narrow_openvpn(wide_world, second):
    w = wide_world
    # Its own mssfix would do the same for IPv4 and IPv6.
    small = f'tun-mtu {SMALL}\nmssfix 0\n'
    server = second(port=1200, extra=small)
    server.give_a()
    return Narrow(w.vpnsrv, 'tun0', w.twin, 'office', server.profile(
        f'{w.dir}/narrow.ovpn', 'servera', extra=small), (A_VPN4, A_VPN6),
        (LAPTOP4, LAPTOP6))


@pytest.fixture
def narrow_wireguard(wide_world):
    w = wide_world
    near = w.partner
    behind = Host('behind')
    near.router()
    join(near, 'behind', behind, 'eth0')
    near.ip('addr add 10.67.0.1/24 dev behind', 'addr add fd00:67::1/64 dev behind nodad',
            f'link set wg0 mtu {SMALL}')
    behind.ip('addr add 10.67.0.2/24 dev eth0', 'addr add fd00:67::2/64 dev eth0 nodad',
              'route add default via 10.67.0.1', 'route add default via fd00:67::1')
    yield Narrow(near, 'wg0', behind, 'wg', w.partner_server.conf(
        f'{w.dir}/narrow.conf', f'MTU = {SMALL}\n',
        allowed='10.66.0.0/16, 10.67.0.0/24, fd00:66::/64, fd00:67::/64'),
        (A_WG4, A_WG6), ('10.67.0.2', 'fd00:67::2'))
    near.ip('link set wg0 mtu 1420', 'link del behind')
    behind.close()


@pytest.mark.parametrize('kind', ['openvpn', 'wireguard'])
def test_a_small_tunnel_mtu_never_stalls_a_connection(wide_world, wide, request, kind):
    w, n = wide_world, request.getfixturevalue(f'narrow_{kind}')
    with up(wide, n.path, n.door) as gate, gate.room() as room:
        where = (n.near, n.behind, room)
        server = w.serve(n.behind, 'behind', 80)
        try:
            for host in where:
                host.run('nft', '-f', '-', input=DEAF)
            for family, dst, address in zip((4, 6), n.dsts, n.addresses):
                with Sniffer(n.behind, 'eth0') as far, Sniffer(room, 'eth0') as here:
                    assert probe.ask_until_answered(n.behind, 'tcp', dst, 80).by == 'room'
                    # The way is as narrow as that, and not heard of.
                    assert not probe.ping(n.behind, dst, size=1400, seconds=1,
                                          dont_fragment=True)
                    moved = [probe.fetch(n.behind, dst, 80, LARGE, 5),
                             probe.push(n.behind, dst, 80, LARGE, 5),
                             probe.fetch(room, address, 80, LARGE, 5),
                             probe.push(room, address, 80, LARGE, 5)]
                    heard = [s.seen(lambda p: p.proto == TCP and p.flags & 2 and
                                    not p.outgoing) for s in (far, here)]
                said = [{(p.flags & 0x10 != 0, p.mss) for p in packets}
                        for packets in heard]
                mss = SMALL - (40 if family == 4 else 60)
                assert (moved, said) == ([LARGE] * 4, [{(False, mss), (True, mss)}] * 2)
                for host, to in ((n.behind, dst), (room, address)):
                    assert 'mtu' not in host.out('ip', 'route', 'get', to)
        finally:
            for host in where[:2]:
                host.run('nft', 'delete', 'table', 'inet', 'deaf', ok=False)
            stop(server, signal.SIGKILL)


def test_mss_of_the_configuration(wide_world, wide):
    with up(wide, profile(wide_world, 'mss'), extra='mss = 900\n') as gate, \
            Sniffer(wide_world.vpnsrv, 'tun0') as tun:
        assert probe.fetch(wide_world.serverb, A_VPN4, 80, 500000) == 500000
        biggest = max(len(p.payload) for p in tun.seen(
            lambda p: p.proto == TCP and p.sport == 80))
        assert 0 < biggest <= 900
        assert gate.child.poll() is None


# WireGuard ----------------------------------------------------------------

@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_wireguard_as_a_provider_ships_it(wide_world, wide, proto):
    w = wide_world
    path = w.partner_server.conf(
        f'{w.dir}/wg-prov.conf', 'DNS = 10.66.0.1, corp.example\nMTU = 1380\n'
        'Table = off\nPostUp = touch /tmp/never\n')
    with up(wide, path, 'wg') as gate:
        for dst, saw in ((A_WG4, PARTNER4), (A_WG6, PARTNER6)):
            got = probe.ask(w.partner, proto, dst, 80)
            assert (got.by, got.saw, got.source) == ('room', saw, dst)
        text = gate.log.text()
        for word in ('Table', 'PostUp'):
            assert any(word in l and 'ignored' in l
                       for l in text.splitlines()), text
        assert 'nameserver 10.66.0.1' in gate.exec(
            'cat', '/etc/resolv.conf').stdout
        with gate.inner as inner:
            assert 'mtu 1380' in inner.out('ip', 'link', 'show', 'wg')


def test_wireguard_that_claims_everything(wide_world, wide):
    """AllowedIPs = 0.0.0.0/0, ::/0: the way to its own server stays."""
    w = wide_world
    path = w.partner_server.conf(f'{w.dir}/wg-all.conf',
                                 allowed='0.0.0.0/0, ::/0')
    with up(wide, path, 'wg') as gate, Ear(w) as ear, \
            Sniffer(w.partner, 'wg0') as far:
        assert wrong_answers(w, doors=('lan', 'self')) == []
        assert probe.ask(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4
        with gate.room() as room:
            s = room.socket(2, 2)
            s.sendto(b'said-in-the-room', ('203.0.113.30', 4444))
            assert far.wait_for(lambda p: p.dport == 4444)
            s.close()
        assert ear.heard() == []


def test_wireguard_with_several_peers(wide_world, wide):
    w = wide_world
    other, other_public = wg_key()
    path = w.partner_server.conf(f'{w.dir}/wg-two.conf', extra_peer=f'''
[Peer]
PublicKey = {other_public}
AllowedIPs = 10.67.0.0/24
''')
    with up(wide, path, 'wg') as gate:
        assert probe.ask(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4
        with gate.inner as inner:
            assert 'dev wg' in inner.out('ip', 'route', 'get', '10.67.0.1')
    assert other


def test_wireguard_endpoint_by_name_and_over_ipv6(wide_world, wide):
    w = wide_world
    hosts = w.servera.path('/etc/hosts')
    with open(hosts) as f:
        old = f.read()
    with open(hosts, 'a') as f:
        f.write('203.0.113.77 wg.partner.example\n')
    try:
        for endpoint in ('wg.partner.example:51820',
                         '[2001:db8:203::77]:51820'):
            path = w.partner_server.conf(f'{w.dir}/wg-end.conf',
                                         endpoint=endpoint)
            with up(wide, path, 'wg'):
                got = probe.ask_until_answered(w.partner, 'tcp', A_WG4, 80)
                assert got.saw == PARTNER4
    finally:
        with open(hosts, 'w') as f:
            f.write(old)


def test_openvpn_and_wireguard_do_not_disturb_each_other(wide_world, wide):
    w = wide_world
    extra = f'[door wg]\nvpn = {w.partner_conf}\n'
    with up(wide, w.office, extra=extra) as gate:
        assert wrong_answers(w) == []
        assert probe.ask(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4
        until(lambda: gate.door('wg')['state'] == 'up', 'wg is up')
        got = [probe.ask(w.serverb, p, d, 80).saw
               for p in ('tcp', 'udp') for d in (A_VPN4, A_VPN6)]
        assert got == [B_VPN4, B_VPN6] * 2
        assert probe.ask(w.laptop, 'tcp', A4, 80).answered


def test_a_door_that_is_taken_down_is_not_told_to_be_silent(wide_world, wide):
    extra = f'[door wg]\nvpn = {wide_world.partner_conf}\n'
    with up(wide, wide_world.office, extra=extra) as gate:
        for door in 'office', 'wg':
            gate.wait_log(f'{door}: answers')
        assert gate.down().returncode == 0
        assert 'does not answer' not in gate.log.text()


# Tunnels without IPv6 -------------------------------------------------------

def stands(gate):
    """It does what it should, and what is taken away is still put back."""
    assert 'trying again' not in gate.log.text(), gate.log.text()
    assert 'repaired' not in gate.log.text(), gate.log.text()
    with gate.inner as inner:
        inner.run('ip', '-6', 'rule', 'del', 'iif', 'room', 'lookup', 'main')
        until(lambda: 'iif room lookup main' in inner.out('ip', '-6', 'rule'),
              gate.log.text)


def test_wireguard_with_an_mtu_too_small_for_its_ipv6(wide_world, wide):
    w = wide_world
    path = w.partner_server.conf(f'{w.dir}/wg-1200.conf', 'MTU = 1200\n',
                                 allowed='0.0.0.0/0, ::/0')
    with up(wide, path, 'wg') as gate:
        assert probe.ask(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4
        assert wrong_answers(w, doors=('lan', 'self')) == []
        line = 1 + open(path).read().split('\n').index('MTU = 1200')
        assert f'wg-1200.conf:{line}:1: with MTU 1200' in gate.log.text()
        stands(gate)


def test_a_tunnel_where_a_script_switched_ipv6_off(wide_world, wide, server):
    w = wide_world
    server.give('servera', A_VPN4, None, server.PUSH[:1],
                'push-remove route-ipv6\npush-remove ifconfig-ipv6\n'
                'push-remove tun-ipv6')
    script = keep(f'{w.dir}/six-off', '#!/bin/sh\n'
                  'echo 1 > /proc/sys/net/ipv6/conf/$dev/disable_ipv6\n', 0o755)
    path = profile(w, 'sixoff', extra=f'script-security 2\nup {script}')
    with up(wide, path) as gate:
        assert probe.ask(w.serverb, 'tcp', A_VPN4, 80).saw == B_VPN4
        assert wrong_answers(w, doors=('lan', 'self')) == []
        assert 'runs inside the gate' in gate.log.text()
        stands(gate)


def test_a_file_that_cannot_be_read_again_costs_nothing_but_its_door(
        wide_world, wide, monkeypatch):
    """Of what was read of it nothing is left, and nothing looks there, though an interface
    of the door's name stands, as a kernel's would: glibc overwrites what is freed."""
    w = wide_world
    monkeypatch.setenv('MALLOC_PERTURB_', '165')
    path = w.partner_server.conf(f'{w.dir}/goes.conf')
    with up(wide, path, 'wg') as gate:
        assert probe.ask_until_answered(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4
        os.rename(path, f'{path}.away')
        os.kill(gate.vpn_pid('wireguard-go'), signal.SIGKILL)
        gate.wait_log(f'wg: {path}: No such file or directory')
        with gate.inner as inner:
            inner.ip('tuntap add wg mode tun')
            until(lambda: 'default dev wg' in inner.out('ip', 'route', 'show', 'table', 'all'),
                  gate.log.text)
            stands(gate)
            # But for IPv6's own.
            assert 'inet' not in inner.out('ip', 'address', 'show', 'wg',
                                           'scope', 'global')
            inner.ip('link del wg')
        assert wrong_answers(w, doors=('lan', 'self')) == []
        os.rename(f'{path}.away', path)
        assert probe.ask_until_answered(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4


def test_search_domains_of_two_vpns_are_all_searched(wide_world, wide, server):
    w = wide_world
    server.give_a((*server.PUSH, 'dhcp-option DOMAIN corp.example'))
    path = w.partner_server.conf(f'{w.dir}/wg-search.conf',
                                 'DNS = 10.66.0.1, partner.example\n')
    extra = f'[door wg]\nvpn = {path}\n'
    with up(wide, w.office, extra=extra) as gate:
        # Of several such lines libc takes the last alone.
        until(lambda: [l for l in resolv_conf(gate).splitlines()
                       if l.startswith('search')] ==
              ['search corp.example partner.example'],
              lambda: resolv_conf(gate))
