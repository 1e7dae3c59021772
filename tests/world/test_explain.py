# SPDX-License-Identifier: GPL-2.0-or-later
"""explain tells what then really happens.

In a small world of two wires every scene is built on the server, explain is
asked, the client asks too, and sniffers at the far ends of the wires see by
which of them the reply left, and from which address. Every rule that is told
stands in `ip rule`, and the route is the one that the kernel takes.
"""
import ipaddress
import json
import re
from dataclasses import dataclass

import pytest

from lab import probe
from lab.gate import Sallyport
from lab.guard import Guard
from lab.host import Host, join, until
from lab.probe import How
from lab.sniff import ICMP, ICMPV6, TCP, UDP, Sniffer
from lab.vpn import OpenVpnClient
from lab.world import (A4, A6, A_VPN4, A_VPN6, B_VPN4, B_VPN6, LAPTOP4,
                       LAPTOP6, LAPTOP2_4, MALLORY4, World, askers, service_argv)
from test_rehearse import VARIANTS

# The server's addresses on its two wires, and the client far behind both.
S4, S6, T4, T6 = '192.0.2.5', '2001:db8:2::5', '198.51.100.5', '2001:db8:51::5'
MORE4 = '192.0.2.6'
FAR4, FAR6 = '10.9.9.9', 'fd09::9'
VIA4, VIA6 = 'via 198.51.100.9 dev eth1', 'via 2001:db8:51::9 dev eth1'
PROTOS = ('tcp', 'udp', 'icmp')


class Wires:
    """srv and cli with two wires between them: eth0 is the LAN, eth1 takes
    the part of a VPN or of a second network."""

    def __init__(self):
        self.dir = None
        self.srv = Host('srv', mounts=True)
        self.cli = Host('cli')
        for n, net4, net6 in ((0, '192.0.2', '2001:db8:2'),
                              (1, '198.51.100', '2001:db8:51')):
            join(self.srv, f'eth{n}', self.cli, f'eth{n}')
            self.srv.ip(f'addr add {net4}.5/24 dev eth{n}',
                        f'addr add {net6}::5/64 dev eth{n} nodad')
            self.cli.ip(f'addr add {net4}.9/24 dev eth{n}',
                        f'addr add {net6}::9/64 dev eth{n} nodad')
            self.cli.sysctl(f'net/ipv4/conf/eth{n}/rp_filter', 0)
        self.cli.sysctl('net/ipv4/conf/all/rp_filter', 0)
        self.srv.sysctl('net/ipv4/conf/all/rp_filter', 0)
        self.cli.ip(f'addr add {FAR4}/32 dev lo', f'addr add {FAR6}/128 dev lo nodad')
        self.srv.ip(f'addr add {MORE4}/24 dev eth0', 'route add default via 192.0.2.9',
                    'route add default via 2001:db8:2::9')
        self.service = self.srv.popen(service_argv('srv', 80), stdout=-1)
        assert self.service.stdout.readline() == 'ready\n'
        self.sniffers = {n: Sniffer(self.cli, n, far=(self.srv, n))
                         for n in ('eth0', 'eth1')}
        self.before = self.state()

    def state(self):
        return {what: self.srv.out('ip', *what.split()) for what in (
            'rule', '-6 rule', 'route show table all', '-6 route show table all')}

    def close(self):
        for s in self.sniffers.values():
            s.close()
        self.srv.close()
        self.cli.close()


@pytest.fixture(scope='module')
def wires():
    wires = Wires()
    yield wires
    wires.close()


@pytest.fixture(scope='module')
def tool(program, wires):
    return Sallyport(program, wires, wires.srv)


@pytest.fixture(scope='module')
def explain(tool):
    return lambda *words, **kw: tool('explain', *words, **kw)


def both(line):
    """The same of IPv6: {client}, {net} and {via} are each family's."""
    return [line, '-6 ' + line]


@dataclass(frozen=True)
class Scene:
    lines: tuple = ()     # of ip(8); with {names} for both families
    undo: tuple = ()
    sysctls: tuple = ()   # (path, value, value before)
    server4: str = S4
    server6: str = S6
    unsure: bool = False  # the kernel takes one of several ways


def rules(*lines):
    """`rule add` lines and what takes them away."""
    return dict(lines=lines, undo=tuple(
        line.replace(' add ', ' del ', 1).replace('replace', 'del') for line in reversed(lines)))


RANGE = 'route add {net} {via}'
TABLE = 'route add default {via} table 77'
STRICT = (('net/ipv4/conf/eth0/rp_filter', 1, 0),)
LOOSE = (('net/ipv4/conf/eth0/rp_filter', 2, 0),)
HOME = 'route add default {home} table 78'

SCENES = {
    'nothing': Scene(),
    'a range by the other wire': Scene(**rules(RANGE)),
    'the client by the other wire': Scene(**rules('route add {client} {via}')),
    'both halves of everything': Scene(**rules(
        'route add {half} {via}', 'route add {other_half} {via}')),
    'a default with a lower metric': Scene(
        ('route add default {via} metric 5', 'route del default {home}',
         'route add default {home} metric 9'),
        ('route add default {home}', 'route del default {home} metric 9',
         'route del default {via} metric 5')),
    'no way to the client': Scene(('route del default {home}',),
                                  ('route add default {home}',)),
    'blackhole': Scene(**rules('route add blackhole {client}')),
    'unreachable': Scene(**rules('route add unreachable {net}')),
    'prohibit': Scene(**rules('route add prohibit {net}')),
    'a throw in front of main': Scene(**rules(
        'route add throw {client} table 77', TABLE, 'rule add to all lookup 77')),
    'a rule that refuses': Scene(**rules('rule add to {client} prohibit')),
    'a rule for the client': Scene(**rules(TABLE, 'rule add to {client} lookup 77')),
    'a rule for another client': Scene(**rules(TABLE, 'rule add to {wrong} lookup 77')),
    'the known cure': Scene(**rules(RANGE, HOME, 'rule add from {server} lookup 78')),
    "a VPN's rules as wg-quick makes them": Scene(**rules(
        'route add default {via} table 51820',
        'rule add not fwmark 51820 table 51820',
        'rule add table main suppress_prefixlength 0')),
    'a rule for a port': Scene(**rules(
        TABLE, 'rule add ipproto tcp sport 80 lookup 77')),
    'a rule for another port': Scene(**rules(
        TABLE, 'rule add ipproto tcp sport 81-90 lookup 77')),
    'a rule for a user': Scene(**rules(TABLE, 'rule add uidrange 0-0 lookup 77')),
    'a rule for another user': Scene(**rules(TABLE, 'rule add uidrange 7-9 lookup 77')),
    'a rule for a mark': Scene(**rules(TABLE, 'rule add fwmark 7/15 lookup 77')),
    'a rule for packets from outside': Scene(**rules(TABLE, 'rule add iif eth0 lookup 77')),
    'a rule for what is made here': Scene(**rules(TABLE, 'rule add iif lo lookup 77')),
    'a rule that jumps over main': Scene(**rules(
        TABLE, 'rule add pref 40000 to all lookup 77', 'rule add pref 300 to all goto 40000')),
    'a rule that does nothing': Scene(**rules(RANGE, 'rule add pref 5 to {client} nop')),
    'strict rp_filter': Scene(sysctls=STRICT),
    'strict rp_filter and a range': Scene(**rules(RANGE), sysctls=STRICT),
    'strict rp_filter and the known cure': Scene(
        **rules(RANGE, HOME, 'rule add from {server} lookup 78'), sysctls=STRICT),
    'strict rp_filter and a rule that it does not ask': Scene(
        **rules(RANGE, HOME, 'rule add iif lo uidrange 0-0 lookup 78'), sysctls=STRICT),
    'loose rp_filter and a range': Scene(**rules(RANGE), sysctls=LOOSE),
    'loose rp_filter and no way back': Scene(
        ('route del default {home}',), ('route add default {home}',), LOOSE),
    'the second address': Scene(server4=MORE4),
    'a route that prefers the second address': Scene(
        ('route add 10.0.0.0/8 via 192.0.2.9 src 192.0.2.6',),
        ('route del 10.0.0.0/8',)),
    'two wires, asked on the other': Scene(server4=T4, server6=T6),
    'two wires, asked on the other, with a cure': Scene(
        **rules(TABLE, 'rule add from {server} lookup 77'), server4=T4, server6=T6),
    'several ways': Scene(
        ('route add {net} nexthop {via} nexthop {home}',), ('route del {net}',),
        unsure=True),
}


def names(scene, v6):
    return {'client': FAR6 if v6 else FAR4, 'net': 'fd00::/8' if v6 else '10.0.0.0/8',
            'via': VIA6 if v6 else VIA4, 'half': '::/1' if v6 else '0.0.0.0/1',
            'other_half': '8000::/1' if v6 else '128.0.0.0/1',
            'home': 'via 2001:db8:2::9 dev eth0' if v6 else 'via 192.0.2.9 dev eth0',
            'wrong': 'fd09::8' if v6 else '10.9.9.8',
            'server': scene.server6 if v6 else scene.server4}


def apply(wires, scene, lines):
    for v6 in (False, True):
        for line in lines:
            if v6 and '{' not in line and 'route' in line:
                continue  # for IPv4 alone
            wires.srv.run('ip', *(('-6',) if v6 else ()), *line.format(
                **names(scene, v6)).split())


@pytest.fixture
def built(wires, request):
    scene = SCENES[request.param]
    apply(wires, scene, scene.lines)
    for path, value, _ in scene.sysctls:
        wires.srv.sysctl(path, value)
    # The client speaks to each address of the server by the wire it stands on.
    wires.cli.ip(f'route replace {MORE4} dev eth0')
    yield scene
    for path, _, value in scene.sysctls:
        wires.srv.sysctl(path, value)
    apply(wires, scene, scene.undo)
    until(lambda: wires.state() == wires.before,
          lambda: f'the server is as before: {wires.state()}')


def is_reply(packet, client, proto):
    if packet.dst != client:
        return False
    if proto == 'icmp':
        return (packet.proto, packet.kind) in ((ICMP, 0), (ICMPV6, 129))
    if proto == 'udp':
        return packet.proto == UDP and packet.sport == 80
    return packet.proto == TCP and packet.sport == 80 and packet.flags & 2


def ask(host, proto, server, client):
    if proto == 'icmp':
        probe.ping(host, server, src=client, seconds=probe.SILENCE)
    else:
        probe.ask(host, proto, server, 80, src=client, seconds=probe.SILENCE)


def happened(wires, proto, server, client):
    """{wire: source} of the replies that were seen."""
    for s in wires.sniffers.values():
        s.forget()
    ask(wires.cli, proto, server, client)
    return {name: {p.src for p in s.seen(lambda p: is_reply(p, client, proto))}
            for name, s in wires.sniffers.items()}


def foretold(report, server):
    """The same as the report has it; None where it does not say."""
    kind = report['verdict']['kind']
    reply = [leg for leg in report['legs'] if leg['direction'] == 'reply'][-1:]
    seen = {'eth0': set(), 'eth1': set()}
    if kind == 'unsure':
        return None
    if kind in ('same door', 'other door', 'other source'):
        seen[reply[0]['out']] = {reply[0]['source']}
    if kind == 'same door':
        assert reply[0]['source'] == server
        assert reply[0]['out'] == report['door']['interface']
    return seen


def target(server, proto):
    if proto == 'icmp':
        return (server, 'icmp')
    return (f'[{server}]:80' if ':' in server else f'{server}:80', proto)


@pytest.mark.parametrize('proto', PROTOS)
@pytest.mark.parametrize('built', SCENES, indirect=True)
def test_what_is_told_happens(wires, explain, built, proto):
    for client, server in ((FAR4, built.server4), (FAR6, built.server6)):
        done = explain('--json', client, *target(server, proto))
        assert done.stderr == ''
        report = json.loads(done.stdout)
        seen = happened(wires, proto, server, client)
        told = foretold(report, server)
        if told is None:
            assert built.unsure, report['verdict']
            continue
        assert told == seen, report['verdict']
        assert done.returncode == (0 if report['verdict']['same_door'] else 1)


def kernels_answer(wires, leg, proto, port):
    """What `ip route get` says of the reply."""
    words = ['to', leg['to'], 'uid', '0']
    if leg['from']:
        words += ['from', leg['from']]
    if proto != 'icmp':
        words += ['ipproto', proto, 'sport', str(port)]
    elif ':' in leg['to']:
        words += ['ipproto', 'ipv6-icmp', 'oif', 'eth0']
    else:
        words += ['ipproto', 'icmp']
    done = wires.srv.run('ip', '-j', 'route', 'get', *words, ok=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('built', SCENES, indirect=True)
def test_every_rule_told_is_the_kernels_and_so_is_the_route(wires, explain, built, proto):
    for client, server in ((FAR4, built.server4), (FAR6, built.server6)):
        v6 = ('-6',) if ':' in client else ()
        has = {re.sub(r'\s+', ' ', line).strip()
               for line in wires.srv.out('ip', *v6, 'rule').splitlines()}
        text = explain(client, *target(server, proto)).stdout
        told = re.findall(r'^  rule (\d+: .*)$', text, re.M)
        assert told or 'dropped' in text
        assert [rule for rule in told if rule not in has] == []
        # In the kernel's order, each once.
        order = [int(rule.split(':')[0]) for rule in told]
        assert order == sorted(order) and len(set(told)) == len(told)
        report = json.loads(explain('--json', client, *target(server, proto)).stdout)
        for leg in report['legs']:
            if leg['direction'] != 'reply' or built.unsure:
                continue
            answer = kernels_answer(wires, leg, proto, 80)
            if answer is None or answer.get('type', 'unicast') != 'unicast':
                assert leg['out'] is None, (leg, answer)
                continue
            assert leg['out'] == answer['dev']
            assert leg['gateway'] == answer.get('gateway')
            if not leg['from']:
                assert leg['source'] == answer['prefsrc']


@pytest.mark.parametrize('built', [
    n for n, s in SCENES.items() if not s.unsure], indirect=True)
def test_the_rule_that_is_told_helps(wires, explain, built):
    """Typed as it stands, it turns the verdict, and the reply. Who is asked
    for the router's address knows it."""
    for client, server in ((FAR4, built.server4), (FAR6, built.server6)):
        report = json.loads(explain('--json', client, *target(server, 'tcp')).stdout)
        door = report['door']['interface']
        router = names(built, ':' in client)['home' if door == 'eth0' else 'via'].split()[1]
        commands = [c.replace('ROUTER', router) for cure in report['cures']
                    for c in cure['commands'] if c.startswith(('ip ', 'sysctl '))]
        assert bool(commands) != report['verdict']['same_door']
        if not commands:
            continue
        for c in commands:
            wires.srv.run(*c.split())
        try:
            done = explain(client, *target(server, 'tcp'))
            assert done.returncode == 0, done.stdout
            assert happened(wires, 'tcp', server, client)[door] == {server}
        finally:
            for c in reversed(commands):
                if c.startswith('ip '):
                    wires.srv.run(*c.replace(' add ', ' del ', 1).split())
                else:
                    wires.srv.sysctl('net/ipv4/conf/eth0/rp_filter', 1)


def test_what_hangs_on_a_mark_is_told_and_happens(wires, explain):
    wires.srv.ip('rule add fwmark 7/15 lookup 77', f'route add default {VIA4} table 77')
    wires.srv.nft('table inet marks { chain out { type route hook output priority -150; '
                  'tcp sport 80 meta mark set 7; }; }')
    try:
        report = json.loads(explain('--json', FAR4, f'{S4}:80').stdout)
        assert report['verdict']['same_door']
        assert [(d['mark'], d['out']) for d in report['depends_on']] == [(7, 'eth1')]
        marked = json.loads(explain('--json', '--mark', '7', FAR4, f'{S4}:80').stdout)
        assert foretold(marked, S4) == happened(wires, 'tcp', S4, FAR4)
        assert marked['depends_on'] == []
    finally:
        wires.srv.run('nft', 'delete', 'table', 'inet', 'marks')
        wires.srv.ip('rule del fwmark 7/15 lookup 77', 'route flush table 77')


def test_a_live_connection_shows_where_others_rules_send_a_port(wires, explain):
    wires.srv.nft('table ip others { chain pre { type nat hook prerouting priority -100; '
                  f'ip daddr {S4} tcp dport 8081 dnat to {MORE4}:80; }}; }}')
    wires.srv.ip(f'route add 10.0.0.0/8 {VIA4}')
    try:
        blind = explain(FAR4, f'{S4}:8081').stdout
        assert 'table ip others rewrites destinations as well' in blind
        with probe.connect(wires.cli, S4, 8081, src=FAR4):
            done = explain(FAR4, f'{S4}:8081')
            report = json.loads(explain('--json', FAR4, f'{S4}:8081').stdout)
    finally:
        wires.srv.ip('route del 10.0.0.0/8')
        wires.srv.run('nft', 'delete', 'table', 'ip', 'others')
    assert f'port 8081 is sent on to {MORE4} port 80' in done.stdout
    assert f'(pid {wires.service.pid})' in done.stdout
    assert 'rewrites destinations' not in done.stdout
    assert done.returncode == 1 and report['legs'][-1]['out'] == 'eth1'
    assert report['meets']['live_connection']['sent_on_to'] == MORE4


def test_a_port_that_nobody_has_is_told_and_refused(wires, explain):
    for proto in ('tcp', 'udp'):
        done = explain(FAR4, f'{S4}:81', proto)
        assert 'meets nobody' in done.stdout and done.returncode == 0
        assert probe.ask(wires.cli, proto, S4, 81, src=FAR4).how is How.REFUSED


def test_the_program_that_has_the_port_is_named(wires, explain):
    done = explain(FAR4, f'{S4}:80')
    assert f'(pid {wires.service.pid})' in done.stdout


def test_a_snapshot_and_what_ip_prints_give_the_same_verdict(wires, tool, explain, tmp_path):
    wires.srv.ip(f'route add 10.0.0.0/8 {VIA4}')
    try:
        live = explain(FAR4, f'{S4}:80').stdout.splitlines()
        (tmp_path / 's').write_text(tool('snapshot').stdout)
        files = []
        for what in ('addr', 'rule', 'route show table all'):
            path = tmp_path / what.split()[0]
            path.write_text(wires.srv.out('ip', '-j', *what.split()))
            files += ['--snapshot', path]
    finally:
        wires.srv.ip('route del 10.0.0.0/8')
    sentence = next(line for line in live if line.startswith('The reply'))
    for words in (['--snapshot', tmp_path / 's'], files):
        done = explain(*words, FAR4, f'{S4}:80')
        assert sentence in done.stdout.splitlines(), done.stdout + done.stderr
        assert done.returncode == 1


def test_a_hundred_rules_are_folded_and_json_has_them_all(wires, explain):
    wires.srv.ip(*[f'rule add pref {1000 + i} from 203.0.113.{i} lookup 77'
                   for i in range(100)])
    try:
        text = explain(FAR4, f'{S4}:80').stdout
        report = json.loads(explain('--json', FAR4, f'{S4}:80').stdout)
    finally:
        wires.srv.ip(*[f'rule del pref {1000 + i}' for i in range(100)])
    assert 'and 96 more rules that are not for this packet' in text
    assert len(report['legs'][-1]['rules']) == 102


# --- namespaces by name, number and path ---------------------------------------

@pytest.fixture(scope='module')
def inner(wires):
    """A namespace of the server's: it has one wire, and a VPN over the LAN."""
    wires.srv.ip('netns add inner', 'link add in0 type veth peer name eth0 netns inner')
    wires.srv.run('ip', '-n', 'inner', '-batch', '-', input='''
addr add 203.0.113.5/24 dev eth0
link set lo up
link set eth0 up
link add vpn0 type veth peer name vpn1
addr add 172.20.0.10/16 dev vpn0
link set vpn0 up
link set vpn1 up
route add default via 203.0.113.1
route add 10.0.0.0/8 via 172.20.0.1 dev vpn0
''')
    child = wires.srv.popen(['ip', 'netns', 'exec', 'inner', *service_argv('inner', 80)],
                            stdout=-1)
    assert child.stdout.readline() == 'ready\n'
    yield child
    child.kill()
    child.wait()
    wires.srv.ip('netns del inner')


def test_a_namespace_is_found_by_name_number_and_path(wires, explain, inner):
    told = {}
    for way in ('inner', str(inner.pid), '/run/netns/inner'):
        done = explain('--gate', way, FAR4, '203.0.113.5:80')
        assert done.returncode == 1, done.stderr
        told[way] = done.stdout
        assert 'leaves by vpn0, not by eth0 where the request came in' in done.stdout
        assert f'(pid {inner.pid})' in done.stdout
        assert ('nsenter -t' in done.stdout) == (way == str(inner.pid))
    # The commands are complete in themselves.
    commands = [line.strip() for line in told['inner'].splitlines()
                if line.startswith('      nsenter')]
    assert commands
    for c in commands:
        wires.srv.run(*c.split())
    assert explain('--gate', 'inner', FAR4, '203.0.113.5:80').returncode == 0


@pytest.mark.parametrize('words, status, said', [
    (['nobody', S4], 2, '"nobody" is no address'),
    ([FAR4, f'{S4}:0'], 2, 'no port'),
    ([FAR4, f'{S4}:80', 'sctp'], 2, 'none of tcp, udp and icmp'),
    ([FAR4, S4, 'udp'], 2, 'needs a port'),
    ([FAR4, f'{S4}:80', 'icmp'], 2, 'no ports'),
    ([FAR4, S6], 2, 'different families'),
    ([FAR4, '224.0.0.1'], 2, "no single host's address"),
    (['--iif', 'eth7', FAR4, S4], 2, 'no interface "eth7"'),
    (['--gate', 'nosuch', FAR4, S4], 1, 'nosuch'),
    (['--gate', '99999999', FAR4, S4], 1, '99999999'),
    (['--gate', '/etc/passwd', FAR4, S4], 2, '/etc/passwd'),
    (['--snapshot', '/nowhere', FAR4, S4], 1, '/nowhere'),
    (['--snapshot', '/etc/passwd', FAR4, S4], 2, '/etc/passwd'),
])
def test_bad_input_gives_one_clear_error(explain, words, status, said):
    done = explain(*words)
    assert (done.returncode, done.stdout) == (status, '')
    assert done.stderr.startswith('sallyport: ') and said in done.stderr
    assert done.stderr.count('\n') == 1


# --- real VPNs on the bare host ---------------------------------------------------

PUSHED = [n for n in VARIANTS if n in (
    'the enclosing /12 and /32', 'the /16 of the LAN',
    'the /24 itself, connected with metric 0', 'the /24 itself, connected with metric 100',
    'both halves of the /24', 'the client itself', 'the neighbour itself', 'the router',
    'a default', 'both families', 'the upper half of everything',
    'both halves of the /64, IPv6', 'the neighbour itself, IPv6', 'the router, IPv6',
    'the enclosing /12 after the known cure', 'the enclosing /12 after a rule for one port')]

# Who asks whom.
ASKED = (('laptop', LAPTOP4, A4), ('laptop', LAPTOP6, A6), ('laptop2', LAPTOP2_4, A4),
         ('mallory', MALLORY4, A4), ('laptop3', '172.16.77.20', A4))


@pytest.fixture(scope='module')
def bare(world):
    child = world.serve(world.servera, 'host', 80)
    yield world
    child.kill()


@pytest.mark.parametrize('name', PUSHED)
def test_what_is_told_of_a_vpn_on_the_bare_host_happens(bare, sallyport, name):
    variant = VARIANTS[name]
    bare.openvpn.give_a(push=variant.push)
    for argv in variant.before:
        bare.servera.run(*argv)
    client = OpenVpnClient(bare.servera, bare.office, bare.dir).wait()
    wrong = []
    try:
        for host, address, server in ASKED:
            for proto in ('tcp', 'udp'):
                done = sallyport('explain', '--json', address, *target(server, proto))
                told = json.loads(done.stdout)['verdict']
                got = probe.ask(bare.hosts[host], proto, server, 80, seconds=1.0)
                answered = got.how is How.ANSWERED and got.source == server
                if told['same_door'] != answered:
                    wrong.append((host, server, proto, told['words'], got))
    finally:
        client.close()
        for argv in variant.after:
            bare.servera.run(*argv)
    assert wrong == []


def test_what_the_guard_does_is_told_and_happens(bare, sallyport, program):
    """TCP, UDP of a socket without an address, and ICMP, of every door."""
    bare.openvpn.give_a(push=VARIANTS['the enclosing /12 and /32'].push)
    argv = ['openvpn', '--config', bare.office]
    with Guard(program, bare.servera, bare.dir, argv) as guard:
        guard.wait_stands().connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              'the tunnel is a door')
        asked = ASKED + (('serverb', B_VPN4, A_VPN4), ('serverb', B_VPN6, A_VPN6))
        for host, address, server in asked:
            for proto in ('tcp', 'udp'):
                got = probe.ask(bare.hosts[host], proto, server, 80)
                done = sallyport('explain', address, *target(server, proto))
                assert got.answered and got.source == server
                assert done.returncode == 0, (host, proto, done.stdout)
                assert "sallyport's own rule" in done.stdout
            assert probe.ping(bare.hosts[host], server)
            assert sallyport('explain', address, server).returncode == 0


# --- gates of ours -------------------------------------------------------------------

CONF = '''[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def gated(program):
    world = World()
    tool = Sallyport(program, world)
    world.openvpn.give_a()
    with tool.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield world, tool, gate
    world.close()


def family(address):
    return ipaddress.ip_address(address).version


def test_every_door_of_a_gate_is_explained_as_it_answers(gated):
    world, tool, _ = gated
    for door, host, server, saw in askers(world):
        for proto in ('tcp', 'udp'):
            got = probe.ask(host, proto, server, 80)
            done = tool('explain', '--json', '--gate', 'main', saw, *target(server, proto))
            report = json.loads(done.stdout)
            assert got.answered and done.returncode == 0, (door, host.name, report['verdict'])
            assert report['meets']['kind'] == 'socket'
            places = [leg['place'] for leg in report['legs']]
            if door == 'vpn':
                assert places == ['gate main', 'room main', 'room main', 'gate main']
            elif proto == 'tcp':
                assert places == ['this host', 'room main', 'room main', 'this host']
            else:
                assert places == ['this host', 'gate main', 'room main', 'room main',
                                  'gate main', 'this host']
            if door != 'vpn':
                # The same without the gate's name: the port leads there.
                assert tool('explain', saw, *target(server, proto)).returncode == 0


def test_a_vpn_on_the_host_itself_does_not_take_the_rooms_replies(gated):
    world, tool, _ = gated
    # Not the gate's own name with the server: it would take the gate's address away.
    profile = world.openvpn.profile(f'{world.dir}/host.ovpn', 'servera2')
    world.openvpn.give('servera2', '172.20.0.11', 'fd00:16:20::11')
    assert probe.ask(world.laptop, 'tcp', A4, 80).answered
    client = OpenVpnClient(world.servera, profile, world.dir).wait()
    try:
        got = probe.ask_until_answered(world.laptop, 'tcp', A4, 80)
        done = tool('explain', LAPTOP4, f'{A4}:80')
    finally:
        client.close()
    assert got.saw == LAPTOP4 and done.returncode == 0, done.stdout
    assert 'The reply leaves by eth0, where the request came in' in done.stdout


def test_a_gate_that_lost_its_rules_is_told_and_is_silent(gated):
    world, tool, gate = gated
    gate.kill9()
    for v in ('-4', '-6'):
        for _ in range(20):
            if gate.inner.run('ip', v, 'rule', 'del', 'pref', '0', 'fwmark', '0x170d0000/0xffff0000',
                              ok=False).returncode:
                break
    got = probe.ask(world.laptop, 'udp', A4, 80, seconds=probe.SILENCE)
    done = tool('explain', '--json', LAPTOP4, f'{A4}:80', 'udp')
    report = json.loads(done.stdout)
    assert not got.answered and done.returncode == 1
    assert [c['commands'] for c in report['cures']] == [
        ['sallyport status main', 'sallyport up main']]
