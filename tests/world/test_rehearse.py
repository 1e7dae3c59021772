# SPDX-License-Identifier: GPL-2.0-or-later
"""rehearse foretells what then really happens.

Every variant of what a VPN can push goes through the same: sessions are
opened, rehearse says which of them the VPN would cut, the VPN connects on the
bare server, and each session is tried.
"""
import concurrent.futures
import ipaddress
import json
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass

import pytest

from lab import probe
from lab.guard import Guard
from lab.host import PATIENCE, until
from lab.probe import How
from lab.ssh import SshServer
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import (A4, A6, B_INET4, LAPTOP2_4, LAPTOP4,
                       MALLORY4, MALLORY6, VPN_GW4, service_argv)

ROUTER4, ROUTER6 = '172.16.5.1', 'fd00:16:5::1'
CONNECTED = '172.16.5.0/24 dev eth0 proto kernel scope link src 172.16.5.10'

# As NetworkManager makes the connected route.
METRIC_100 = (('ip', 'route', 'del', *CONNECTED.split()),
              ('ip', 'route', 'add', *CONNECTED.split(), 'metric', '100'))
METRIC_0 = (('ip', 'route', 'add', *CONNECTED.split()),
            ('ip', 'route', 'del', *CONNECTED.split(), 'metric', '100'))
# The known cure, there before the VPN.
CURE = (('ip', 'rule', 'add', 'from', A4, 'lookup', '77'),
        ('ip', 'route', 'add', 'default', 'via', ROUTER4, 'table', '77'))
NO_CURE = (('ip', 'rule', 'del', 'from', A4, 'lookup', '77'),
           ('ip', 'route', 'flush', 'table', '77'))
BY_PORT = (('ip', 'rule', 'add', 'ipproto', 'tcp', 'sport', '80', 'lookup',
            '77'), CURE[1])
NO_BY_PORT = (('ip', 'rule', 'del', 'ipproto', 'tcp', 'sport', '80', 'lookup',
               '77'), NO_CURE[1])


def route(prefix, rest=''):
    net = ipaddress.ip_network(prefix)
    if net.version == 6:
        return f'route-ipv6 {prefix} {rest}'.strip()
    return f'route {net.network_address} {net.netmask} {rest}'.strip()


@dataclass(frozen=True)
class Variant:
    push: tuple
    before: tuple = ()
    after: tuple = ()


def pushes(*prefixes):
    return Variant(tuple(route(p) for p in prefixes))


VARIANTS = {
    'nothing': Variant(()),
    'the enclosing /12': pushes('172.16.0.0/12'),
    'the enclosing /12 and /32': pushes('172.16.0.0/12', 'fd00:16::/32'),
    'the /16 of the LAN': pushes('172.16.0.0/16'),
    'the /24 itself, connected with metric 0': pushes('172.16.5.0/24'),
    'the /24 itself, connected with metric 100': Variant(
        (route('172.16.5.0/24'),), METRIC_100, METRIC_0),
    'the /24 itself with metric 200, connected with metric 100': Variant(
        (route('172.16.5.0/24', 'vpn_gateway 200'),), METRIC_100, METRIC_0),
    'both halves of the /24': pushes('172.16.5.0/25', '172.16.5.128/25'),
    'the other half of the /24': pushes('172.16.5.128/25'),
    'the client itself': pushes(f'{LAPTOP4}/32'),
    'the neighbour itself': pushes(f'{MALLORY4}/32'),
    'the router': pushes(f'{ROUTER4}/32'),
    'the router and the range': pushes(f'{ROUTER4}/32', '172.16.0.0/12'),
    'a default (def1)': Variant(('redirect-gateway def1',)),
    'a default': Variant(('redirect-gateway',)),
    'both halves of everything': pushes('0.0.0.0/1', '128.0.0.0/1'),
    'the upper half of everything': pushes('128.0.0.0/1'),
    'several': pushes('172.16.9.0/24', '172.16.77.0/25', '10.0.0.0/8',
                      '203.0.113.0/24'),
    'what misses': pushes('10.8.0.0/16', '192.168.0.0/16', 'fd99::/48'),
    'the clients by the gateway that is there': Variant(
        (route('172.16.0.0/12'), route('172.16.9.0/24', 'net_gateway'))),
    'the neighbour by the gateway that is there': Variant(
        (route(f'{MALLORY4}/32', 'net_gateway'),)),
    'the network of the VPN server': pushes('198.51.100.0/24'),
    'everything, IPv6': Variant(('redirect-gateway ipv6 !ipv4',)),
    'both families': Variant(('redirect-gateway def1 ipv6',)),
    'the enclosing prefix, IPv6': pushes('fd00:16::/32'),
    'the /64 itself, IPv6': pushes('fd00:16:5::/64'),
    'both halves of the /64, IPv6': pushes('fd00:16:5::/65',
                                           'fd00:16:5:0:8000::/65'),
    'the clients, IPv6': pushes('fd00:16:9::/64'),
    'the neighbour itself, IPv6': pushes(f'{MALLORY6}/128'),
    'the router, IPv6': pushes(f'{ROUTER6}/128'),
    'the enclosing /12 after the known cure': Variant(
        (route('172.16.0.0/12'),), CURE, NO_CURE),
    'a default after the known cure': Variant(
        ('redirect-gateway def1',), CURE, NO_CURE),
    'the enclosing /12 after a rule for one port': Variant(
        (route('172.16.0.0/12'),), BY_PORT, NO_BY_PORT),
}

# Who has a session: host, address of Server A, port.
CLIENTS = (('laptop', A4, 80), ('laptop', A6, 80), ('laptop3', A4, 443),
           ('mallory', A4, 80), ('mallory', A6, 80), ('serverb', A4, 80))
SSH_FROM = (('laptop2', A4), ('laptop2', A6))


class Session:
    """A TCP connection to the echoing service."""

    def __init__(self, host, address, port):
        self.socket = probe.connect(host, address, port)
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile('r')
        self.file.readline()
        self.end = self.socket.getsockname()[:2]

    def answers(self, seconds):
        try:
            self.socket.settimeout(seconds)
            self.socket.sendall(b'there?\n')
            return self.file.readline().endswith('there?\n')
        except OSError:
            return False

    def close(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack('ii', 1, 0))
        self.file.close()
        self.socket.close()


@pytest.fixture(scope='module')
def scene(world, sallyport):
    children = [world.serve(world.servera, 'host', 80, 443)]
    # Server B talks to Server A by the Internet here.
    world.b_client.child.send_signal(signal.SIGTERM)
    world.b_client.child.wait(PATIENCE)
    server = SshServer(world.servera, world.dir)
    yield world, server
    server.close()
    for child in children:
        child.kill()


def open_sessions(world, server):
    sessions = [Session(world.hosts[h], a, p) for h, a, p in CLIENTS]
    return sessions + [server.session(world.hosts[h], a) for h, a in SSH_FROM]


def take_back(world, variant, sessions):
    for s in sessions:
        s.close()
    for argv in variant.after:
        world.servera.run(*argv)


def connections(host):
    return host.out('ss', '-Htn', 'state', 'established').strip()


def no_connections(host):
    until(lambda: not connections(host), lambda: connections(host))


def patience(expected):
    """An answer that is foretold may take its time on a busy machine."""
    return PATIENCE if expected else 1.0


def alive(sessions, expected=None):
    """Which of them are answered; @expected says so of each end."""
    def answers(s):
        return s.answers(patience(expected is None or expected.get(s.end)))
    with concurrent.futures.ThreadPoolExecutor(len(sessions)) as pool:
        return dict(zip((s.end for s in sessions), pool.map(answers, sessions)))


def foretold(report):
    return {(c['peer'], c['peer_port']): {'kept': True, 'cut': False}[c['fate']]
            for c in report['connections']}


def is_lost(report, proto, port, ip):
    """Would a new client with address @ip get no answer, as the report says?"""
    ip = ipaddress.ip_address(ip)
    best = (-1, False)
    for listener in report['listeners']:
        if (listener['proto'], listener['port']) != (proto, port):
            continue
        for loss in listener['lost']:
            for key, lost in (('networks', True), ('nobody_known', True),
                              ('except', False), ('in_except', True)):
                for text in loss[key]:
                    net = ipaddress.ip_network(text)
                    if net.version == ip.version and ip in net:
                        best = max(best, (net.prefixlen, lost))
    return best[1]


def new_clients(world):
    """(protocol, port, host, address of A): each asks once."""
    for host, a, port in CLIENTS:
        for proto in ('tcp', 'udp'):
            yield proto, port, world.hosts[host], a


def answered(world, clients, report):
    def ask(client):
        proto, port, host, a = client
        lost = is_lost(report, proto, port, address_of(world, host, a))
        got = probe.ask(host, proto, a, port, seconds=patience(not lost))
        # The VPN's server may pass on an answer with the tunnel's address,
        # which is none to whoever asked @a.
        return got.how is How.ANSWERED and got.source == a
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(ask, clients))


def address_of(world, host, a):
    for link in json.loads(host.out('ip', '-j', 'addr', 'show', 'dev', 'eth0')):
        for info in link['addr_info']:
            if (':' in info['local']) == (':' in a) and \
                    info['scope'] == 'global':
                return info['local']
    raise KeyError(host.name)


@pytest.mark.parametrize('name', VARIANTS)
def test_what_is_foretold_happens(scene, sallyport, name):
    world, server = scene
    variant = VARIANTS[name]
    world.openvpn.give_a(push=variant.push)
    for argv in variant.before:
        world.servera.run(*argv)
    client = None
    sessions = open_sessions(world, server)
    try:
        state = hoststate(world.servera)
        done = sallyport('rehearse', '--json', world.office)
        assert difference(state, hoststate(world.servera)) == ''
        report = json.loads(done.stdout)
        assert all(alive(sessions).values())
        client = OpenVpnClient(world.servera, world.office, world.dir).wait()
        happened = alive(sessions, foretold(report))
        clients = list(new_clients(world))
        lost = [not a for a in answered(world, clients, report)]
    finally:
        if client:
            client.close()
        take_back(world, variant, sessions)
    no_connections(world.servera)
    assert foretold(report) == happened
    assert done.returncode == (1 if report['cut'] else 0)
    assert report['cut'] or all(happened.values())
    for (proto, port, host, a), gone in zip(clients, lost):
        ip = address_of(world, host, a)
        assert is_lost(report, proto, port, ip) == gone, (proto, host.name, ip)


@pytest.mark.parametrize('name', [
    'nothing', 'the enclosing /12 and /32', 'both families', 'the router',
    'the /24 itself, connected with metric 100',
    'the clients by the gateway that is there',
    'the enclosing /12 after a rule for one port'])
def test_what_a_snapshot_foretells_elsewhere_is_what_the_host_foretells(
        scene, program, sallyport, name):
    """Server A's snapshot on Server B, whose client learns the pushes."""
    world, server = scene
    variant = VARIANTS[name]
    world.openvpn.give_a(push=variant.push)
    for argv in variant.before:
        world.servera.run(*argv)
    sessions = open_sessions(world, server)
    path = f'{world.dir}/servera.json'
    try:
        here = sallyport('rehearse', '--json', world.office)
        sallyport('snapshot', '-o', path)
        there = world.serverb.run(program, 'rehearse', '--json',
                                  '--from-snapshot', path, world.office,
                                  ok=False)
    finally:
        take_back(world, variant, sessions)
    no_connections(world.servera)
    assert there.stdout, there.stderr
    assert len(json.loads(there.stdout)['connections']) == len(sessions)
    assert json.loads(there.stdout) == json.loads(here.stdout)
    assert there.returncode == here.returncode


def test_what_rp_filter_drops_is_foretold(scene, sallyport):
    """A socket bound to eth0 goes on answering by it, so only rp_filter, if it
    is strict, cuts its clients: it finds their way back in the tunnel."""
    world, _ = scene
    child = world.servera.popen(
        service_argv('bound', '--device', 'eth0', 8088),
        stdout=subprocess.PIPE)
    assert child.stdout.readline() == 'ready\n'
    world.openvpn.give_a(push=(route('172.16.0.0/12'),))
    hosts = [world.hosts[h] for h in ('laptop', 'laptop3', 'mallory')]
    before = world.servera.sysctl('net/ipv4/conf/eth0/rp_filter')
    try:
        for strict, lives in (('0', [True, True, True]),
                              ('1', [False, False, True])):
            world.servera.sysctl('net/ipv4/conf/eth0/rp_filter', strict)
            sessions = [Session(host, A4, 8088) for host in hosts]
            report = json.loads(sallyport('rehearse', '--json',
                                          world.office).stdout)
            client = OpenVpnClient(world.servera, world.office,
                                   world.dir).wait()
            try:
                happened = alive(sessions, foretold(report))
                new = [probe.ask(host, proto, A4, 8088, seconds=patience(
                    not is_lost(report, proto, 8088, address_of(world, host, A4)))
                                 ).how is How.ANSWERED
                       for proto in ('tcp', 'udp') for host in hosts]
            finally:
                client.close()
                for s in sessions:
                    s.close()
            assert foretold(report) == happened
            assert list(happened.values()) == lives
            assert new == lives * 2
            assert [not is_lost(report, proto, 8088, address_of(world, host, A4))
                    for proto in ('tcp', 'udp') for host in hosts] == new
            why = [c['why'] for c in report['connections']
                   if c['fate'] == 'cut']
            assert all(c['curable'] for c in report['connections']
                       if c['fate'] == 'cut')
            assert all('rp_filter drops what the client sends' in w
                       for w in why) and len(why) == lives.count(False)
    finally:
        world.servera.sysctl('net/ipv4/conf/eth0/rp_filter', before)
        child.kill()
    until(lambda: not connections(world.servera),
          lambda: connections(world.servera))


# wg-quick's ways: EXCL routes, and a default by rules and a table of its own.
ALLOWED = {
    'what misses': '10.66.0.0/24',
    'the enclosing /12': '10.66.0.0/24, 172.16.0.0/12',
    'both halves of the /24': '172.16.5.0/25, 172.16.5.128/25',
    'the clients, both families': '172.16.9.0/24, fd00:16:9::/64',
    'everything': '0.0.0.0/0',
    'everything, both families': '0.0.0.0/0, ::/0',
}


@pytest.fixture(scope='module')
def wireguard(scene):
    world, _ = scene
    world.with_wireguard()
    return world


def wg_quick(world, what, conf):
    """wg-quick(8) itself, with wireguard-go where the kernel has none; its
    exit status and what it said. wireguard-go stays and keeps the output."""
    with open(f'{world.dir}/wg-quick.log', 'w+') as log:
        child = world.servera.popen(
            ['env', 'WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go',
             'LOG_LEVEL=error', 'wg-quick', what, conf],
            stdout=log, stderr=log)
        status = child.wait(PATIENCE)
        log.seek(0)
        return status, log.read()


@pytest.mark.parametrize('name', ALLOWED)
def test_what_is_foretold_of_wg_quick_happens(scene, wireguard, sallyport,
                                              name):
    world, server = scene
    world.servera.run('mkdir', '-p', '/run/wireguard')
    conf = world.partner_server.conf(f'{world.dir}/wgq.conf',
                                     allowed=ALLOWED[name])
    sessions = open_sessions(world, server)
    before = hoststate(world.servera)
    try:
        done = sallyport('rehearse', '--json', conf)
        report = json.loads(done.stdout)
        status, said = wg_quick(world, 'up', conf)
        assert status == 0, said
        happened = alive(sessions, foretold(report))
        clients = list(new_clients(world))
        lost = [not a for a in answered(world, clients, report)]
    finally:
        wg_quick(world, 'down', conf)
        for s in sessions:
            s.close()
    until(lambda: not connections(world.servera),
          lambda: connections(world.servera))
    world.servera.run('sysctl', '-q', 'net.ipv4.conf.all.src_valid_mark=0')
    assert foretold(report) == happened
    assert report['cut'] or all(happened.values())
    for (proto, port, host, a), gone in zip(clients, lost):
        ip = address_of(world, host, a)
        assert is_lost(report, proto, port, ip) == gone, (proto, host.name, ip)
    assert difference(before, hoststate(world.servera)) == ''


def test_that_wg_quick_gives_up_is_foretold(scene, wireguard, sallyport):
    world, _ = scene
    world.servera.run('mkdir', '-p', '/run/wireguard')
    conf = world.partner_server.conf(f'{world.dir}/wgq.conf',
                                     allowed='172.16.5.0/24')
    text = sallyport('rehearse', conf).stdout
    report = json.loads(sallyport('rehearse', '--json', conf).stdout)
    status, said = wg_quick(world, 'up', conf)
    assert status != 0 and 'File exists' in said
    assert 'wg-quick would give up' in text
    assert [r['outcome'] for r in report['push']['routes']] == ['not taken']


def works(host, address, expected):
    return probe.ping(host, address, seconds=patience(expected))


@pytest.mark.parametrize('name', [
    'what misses', 'the router', 'the router, IPv6', 'both halves of the /24',
    'both halves of the /64, IPv6', 'the network of the VPN server',
    'a default (def1)'])
def test_the_ways_out_are_as_foretold(scene, sallyport, name):
    """The router, the neighbour's network and the tunnel itself, by ping."""
    world, _ = scene
    world.openvpn.give_a(push=VARIANTS[name].push)
    report = json.loads(sallyport('rehearse', '--json', world.office).stdout)
    assert works(world.servera, VPN_GW4, False) is False
    outs = {o['address']: o['fate'] == 'kept' for o in report['ways_out']}
    lost = {n['prefix'] for n in report['networks']
            if n['relation'] == 'swallowed'}
    expected = {
        VPN_GW4: outs['198.51.100.2'],  # the tunnel
        ROUTER4: outs[ROUTER4], ROUTER6: outs[ROUTER6],
        MALLORY4: '172.16.5.0/24' not in lost,
        MALLORY6: 'fd00:16:5::/64' not in lost}
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    try:
        happened = {a: works(world.servera, a, expected[a]) for a in expected}
    finally:
        client.close()
    assert happened == expected


def undo(command):
    words = command.split()
    words[words.index('add')] = 'del'
    return words


@pytest.mark.parametrize('name', [
    'the enclosing /12 and /32', 'both families', 'both halves of the /24',
    'both halves of the /64, IPv6', 'the router', 'the client itself'])
def test_the_cures_that_are_told_help(scene, sallyport, name):
    """Typed before the VPN connects, they keep every session."""
    world, server = scene
    world.openvpn.give_a(push=VARIANTS[name].push)
    sessions = open_sessions(world, server)
    before = hoststate(world.servera)
    report = json.loads(sallyport('rehearse', '--json', world.office).stdout)
    typed = [c.split() for cure in report['cures'] for c in cure['commands']
             if c.startswith('ip ') and 'unreachable' not in c]
    assert typed
    for words in typed:
        world.servera.run(*words)
    cured = json.loads(sallyport('rehearse', '--json', world.office).stdout)
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    try:
        happened = alive(sessions)
        assert all(works(world.servera, a, True) for a in (ROUTER4, ROUTER6))
    finally:
        client.close()
        for s in sessions:
            s.close()
        for words in typed:
            world.servera.run(*undo(' '.join(words)))
    until(lambda: not connections(world.servera),
          lambda: connections(world.servera))
    assert all(happened.values())
    assert all(foretold(cured).values())
    assert difference(before, hoststate(world.servera)) == ''


@pytest.mark.parametrize('name', [
    'the enclosing /12 and /32', 'both families', 'a default (def1)'])
def test_the_guard_that_is_told_keeps_every_session(scene, program, sallyport, name):
    world, server = scene
    world.openvpn.give_a(push=VARIANTS[name].push)
    sessions = open_sessions(world, server)
    before = hoststate(world.servera)
    report = json.loads(sallyport('rehearse', '--json', world.office).stdout)
    assert not all(foretold(report).values())
    typed, = [c.split() for cure in report['cures'] for c in cure['commands']
              if c.startswith('sallyport guard')]
    assert typed[:3] == ['sallyport', 'guard', '--']
    try:
        with Guard(program, world.servera, world.dir, typed[3:]) as guard:
            guard.connected()
            happened = alive(sessions)
            assert works(world.servera, VPN_GW4, True)
    finally:
        for s in sessions:
            s.close()
    until(lambda: not connections(world.servera),
          lambda: connections(world.servera))
    assert all(happened.values())
    assert difference(before, hoststate(world.servera)) == ''


def test_ones_own_session_is_told(scene, program, sallyport):
    """Also where sudo has taken SSH_CONNECTION away."""
    world, server = scene
    world.openvpn.give_a(push=VARIANTS['the enclosing /12'].push)
    for env in ('', 'env -u SSH_CONNECTION '):
        text = server.run(world.laptop2, A4,
                          f'{env}{program} rehearse {world.office}')
        mine = [l for l in text.splitlines() if 'your own session' in l]
        assert mine[0].split()[0] == 'CUT', text
        assert LAPTOP2_4 in mine[0]
        assert text.splitlines()[2].startswith('SSH sessions')
        assert 'your own session, too' in text.splitlines()[-1]


def test_a_server_that_does_not_answer_leaves_nothing_behind(scene, sallyport):
    world, _ = scene
    silent = world.openvpn.profile(f'{world.dir}/silent.ovpn', 'servera',
                                   [f'{B_INET4} 1194 udp'])
    before = hoststate(world.servera)
    done = sallyport('rehearse', '--timeout', '2', silent)
    assert done.returncode == 1
    assert 'not connected within 2 s' in done.stderr
    assert difference(before, hoststate(world.servera)) == ''


def test_a_file_that_openvpn_does_not_take_is_told_at_once_with_its_line(scene, sallyport):
    """Not after a minute of trying, and not as a file of /proc."""
    world, _ = scene
    path = f'{world.dir}/unknown.ovpn'
    with open(path, 'w') as f:
        f.write('client\nremote 198.51.100.2 1194\nlog x\nfrobnicate yes\n')
    before = hoststate(world.servera)
    done = sallyport('rehearse', '--timeout', '3600', path)
    assert done.returncode == 1
    assert f'{path}:4: frobnicate' in done.stderr, done.stderr
    assert 'ended 3 times without a connection' in done.stderr.splitlines()[-1]
    assert difference(before, hoststate(world.servera)) == ''


@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_rehearsal_leaves_nothing_behind(scene, program, sig):
    world, _ = scene
    silent = world.openvpn.profile(f'{world.dir}/silent.ovpn', 'servera',
                                   [f'{B_INET4} 1194 udp'])
    before = hoststate(world.servera)
    child = world.servera.popen([program, 'rehearse', silent],
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
    until(lambda: 'sp-rh' in world.servera.out('ip', 'link'), 'the gate stands')
    child.send_signal(sig)
    assert child.wait(PATIENCE) == (130 if sig != signal.SIGKILL else -sig)
    until(lambda: difference(before, hoststate(world.servera)) == '',
          lambda: difference(before, hoststate(world.servera)))
