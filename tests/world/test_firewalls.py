# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts whose firewall drops what is forwarded."""

import os
import signal

import pytest

from lab import host as hosts
from lab import probe
from lab.gate import Sallyport
from lab.host import until
from lab.state import difference, hoststate
from lab.vpn import OpenVpnServer
from lab.world import A4, wrong_answers

CONF = '''
[room]
publish = 80 80/udp
reach = 172.16.9.21
[door office]
vpn = {office}
'''


@pytest.fixture
def docker(world):
    """A real dockerd, in Server A's namespace."""
    base = f'{world.dir}/docker'
    os.makedirs(base, exist_ok=True)
    log = open(f'{base}/log', 'w')
    child = world.servera.popen(
        ['dockerd', '--data-root', f'{base}/data', '--exec-root',
         f'{base}/exec', '-H', f'unix://{base}/sock', '--pidfile',
         f'{base}/pid', '--storage-driver', 'vfs'], stdout=log, stderr=log)

    def client(*argv, **kw):
        return world.servera.run('docker', '-H', f'unix://{base}/sock', *argv,
                                 **kw)
    until(lambda: child.poll() is not None or
          client('version', ok=False).returncode == 0, 'dockerd answers',
          pause=0.1)
    assert child.poll() is None, open(f'{base}/log').read()[-2000:]
    yield client
    hosts.stop(child)
    log.close()
    for family in ('iptables', 'ip6tables'):
        for table in ('filter', 'nat'):
            world.servera.run(family, '-t', table, '-F', ok=False)
            world.servera.run(family, '-t', table, '-X', ok=False)
    world.servera.run('iptables', '-P', 'FORWARD', 'ACCEPT', ok=False)
    world.servera.run('ip', 'link', 'del', 'docker0', ok=False)
    # dockerd sets the policy only where it has to switch forwarding on.
    world.servera.sysctl('net/ipv4/ip_forward', 0)


def forward_policy(world):
    out = world.servera.out('iptables', '-S', 'FORWARD')
    return out.splitlines()[0].split()[-1]


def test_beside_a_running_dockerd(world, sallyport, docker):
    assert forward_policy(world) == 'DROP'
    before = hoststate(world.servera)
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        assert wrong_answers(world) == []
        with gate.room() as room:
            child = world.serve(world.laptop2, 'l2', 7000)
            assert probe.ask(room, 'tcp', '172.16.9.21', 7000).by == 'l2'
            child.kill()
    assert difference(before, hoststate(world.servera)) == ''


def test_control_dockerd_drops_what_a_plain_dnat_forwards(world, docker):
    room = hosts.Host('plain')
    hosts.join(world.servera, 'plain0', room, 'eth0')
    world.servera.ip('addr add 10.200.0.1/24 dev plain0')
    room.ip('addr add 10.200.0.2/24 dev eth0',
            'route add default via 10.200.0.1')
    world.servera.nft('''table ip plain {
        chain pre { type nat hook prerouting priority -100;
            tcp dport 80 dnat to 10.200.0.2:80; }; }''')
    child = world.serve(room, 'plain', 80)
    try:
        got = probe.ask(world.laptop, 'tcp', A4, 80, seconds=probe.SILENCE)
        assert got.how is probe.How.SILENT
    finally:
        child.kill()
        world.servera.nft('delete table ip plain')
        world.servera.ip('link del plain0')
        room.close()


def test_dockerd_that_starts_after_the_gate(world, sallyport, request):
    """Its policy arrives while the gate stands: the repair sees it."""
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        request.getfixturevalue('docker')
        assert forward_policy(world) == 'DROP'
        until(lambda: wrong_answers(world, seconds=1) == [],
              lambda: 'everybody is answered\n' + gate.log.text())


LEGACY = {
    'policy': ('iptables-legacy', ['-P FORWARD DROP'], 'has policy DROP'),
    'policy of IPv6': ('ip6tables-legacy', ['-P FORWARD DROP'],
                       'has policy DROP'),
    # Rules that ask for something may or may not let ours through.
    'a final REJECT in a chain of its own': (
        'iptables-legacy',
        ['-N fw', '-A FORWARD -j fw', '-A fw -i eth9 -j ACCEPT',
         '-A fw -m conntrack --ctstate ESTABLISHED -j ACCEPT',
         '-A fw -p tcp -j ACCEPT', '-A fw -s 10.0.0.0/8 -j RETURN',
         '-A fw -j REJECT'], 'has a rule that drops everything'),
}


@pytest.fixture
def legacy(world):
    def run(tool, rules):
        for rule in rules:
            world.servera.run(tool, *rule.split())
    yield run
    for tool in ('iptables-legacy', 'ip6tables-legacy'):
        run(tool, ['-P FORWARD ACCEPT', '-F', '-X'])


@pytest.mark.parametrize('firewall', list(LEGACY))
def test_an_old_iptables_that_drops_forwarded_packets(world, sallyport, legacy,
                                                      firewall):
    """nft does not list it. As above, with the lines of that program."""
    tool, rules, how = LEGACY[firewall]
    legacy(tool, rules)
    held = hoststate(world.servera)
    done = sallyport('up', sallyport.write(
        'main', CONF.format(office=world.office)))
    assert done.returncode == 1
    assert f'filter of {tool} {how}' in done.stderr, done.stderr
    assert difference(held, hoststate(world.servera)) == ''
    lines = [l for l in done.stderr.splitlines() if l.startswith('  ip')]
    assert len(lines) == 2
    world.servera.run('sh', '-e', input='\n'.join(lines))
    with sallyport.up('main') as gate:
        gate.serve('room', 80)
        assert wrong_answers(world) == []


def test_an_old_iptables_that_drops_while_a_gate_stands(world, sallyport, legacy):
    """Its lock is what tells: the file is made by whoever comes first."""
    lock = world.servera.path('/run/xtables.lock')
    if os.path.exists(lock):
        os.unlink(lock)
    with sallyport.up('main', '[room]\npublish = 80 80/udp\n') as gate:
        gate.serve('room', 80)
        for _ in range(2):
            gate.wait_idle()
            since = len(gate.log.text())
            legacy('iptables-legacy', ['-P FORWARD DROP'])
            gate.wait_log('filter of iptables-legacy has policy DROP', since=since)
            legacy('iptables-legacy', ['-P FORWARD ACCEPT'])
            gate.wait_log('in order again', since=since)
        assert wrong_answers(world, doors=('lan',)) == []


@pytest.mark.parametrize('rules', [
    ['-A FORWARD -p tcp -j DROP'], ['-A FORWARD -i eth9 -j DROP'],
    ['-N fw', '-A FORWARD -j fw', '-A fw -j RETURN', '-A fw -j DROP'],
    ['-A FORWARD -j ACCEPT', '-A FORWARD -j DROP']])
def test_an_old_iptables_that_need_not_drop_is_no_hindrance(
        world, sallyport, legacy, rules):
    legacy('iptables-legacy', rules)
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        assert gate.status()['state'] == 'up'


def test_a_host_without_the_old_tables_does_not_get_them(world, sallyport):
    """Asking the kernel for one would set it up."""
    names = '/proc/thread-self/net/ip_tables_names'
    fresh = hosts.Host('fresh', mounts=True)
    try:
        tool = Sallyport(sallyport.program, world, fresh)
        with tool.up('plain', '[room]\npublish = 8061:80\n'):
            assert fresh.out('cat', names) == ''
    finally:
        fresh.close()


DROPS = {
    'nft': ('add table inet fw; add chain inet fw forward '
            '{ type filter hook forward priority 0; policy drop; }',
            'delete table inet fw', ('inet fw', 'forward')),
    'nft, a final drop rule': (
        'add table inet fw; add chain inet fw forward '
        '{ type filter hook forward priority 0; policy accept; }; '
        'add rule inet fw forward ct state established accept; '
        'add rule inet fw forward drop',
        'delete table inet fw', ('inet fw', 'forward')),
}


@pytest.mark.parametrize('firewall', list(DROPS))
def test_a_firewall_that_drops_forwarded_packets(world, sallyport, firewall):
    """It fails at once, names the chain and says which lines to add; and with
    these lines it works."""
    rules, undo, words = DROPS[firewall]
    world.servera.run('nft', rules)
    try:
        held = hoststate(world.servera)
        path = sallyport.write('main', CONF.format(office=world.office))
        done = sallyport('up', path)
        assert done.returncode == 1
        assert all(w in done.stderr for w in words), done.stderr
        assert difference(held, hoststate(world.servera)) == ''
        lines = [l for l in done.stderr.splitlines()
                 if l.strip().startswith('nft ')]
        world.servera.run('sh', '-e', input='\n'.join(lines))
        with sallyport.up('main') as gate:
            gate.serve('room', 80)
            assert wrong_answers(world) == []
    finally:
        world.servera.run('nft', undo)


def test_a_firewall_that_is_closed_while_a_gate_stands_keeps_names_from_nothing(world, sallyport):
    """Until a person has opened it the rest goes on: here, another VPN's resolver."""
    rules, undo, _ = DROPS['nft']
    rules += '; add rule inet fw forward ct state established accept; ' \
             'add rule inet fw forward udp dport 1194 accept'
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        world.openvpn.give_a((*OpenVpnServer.PUSH, 'dhcp-option DNS 172.20.0.1'))
        world.servera.run('nft', rules)
        try:
            gate.wait_log('trying again every second')
            os.kill(gate.vpn_pid(), signal.SIGHUP)
            until(lambda: 'nameserver 172.20.0.1' in gate.exec('cat', '/etc/resolv.conf').stdout,
                  'the room knows the resolver')
        finally:
            world.servera.run('nft', undo)
        gate.wait_log('in order again')
    world.openvpn.give_a()


# The way to ufw's rules for what is forwarded, as `ufw enable` makes it.
UFW = {
    tool: f'''*filter
:FORWARD DROP [0:0]
:{ufw}-before-forward - [0:0]
:{ufw}-user-forward - [0:0]
-A FORWARD -j {ufw}-before-forward
-A {ufw}-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {ufw}-before-forward -j {ufw}-user-forward
COMMIT
''' for tool, ufw in (('iptables', 'ufw'), ('ip6tables', 'ufw6'))}


@pytest.fixture
def ufw(world):
    """Adds rules of iptables(8) to those of ufw's for what is forwarded, as it does."""
    def allow(*rules):
        for tool in UFW:
            chain = 'ufw-user-forward' if tool == 'iptables' else 'ufw6-user-forward'
            world.servera.run(tool, '-F', chain)
            for rule in rules:
                world.servera.run(tool, '-A', chain, *rule.split(), '-j', 'ACCEPT')
    for tool, rules in UFW.items():
        world.servera.run(f'{tool}-restore', input=rules)
    yield allow
    world.servera.nft('delete table ip filter; delete table ip6 filter')


def refused(world, sallyport, text):
    """What `up` says to add, with nothing changed."""
    held = hoststate(world.servera)
    done = sallyport('up', sallyport.write('main', text))
    assert done.returncode == 1, done.stderr
    assert difference(held, hoststate(world.servera)) == ''
    return [l.strip() for l in done.stderr.splitlines() if l.startswith('  ')]


def works(world, sallyport, text, doors):
    with sallyport.up('main', text) as gate:
        gate.serve('room', 80)
        return wrong_answers(world, doors=doors) == []


PUBLISHED = '[room]\npublish = 80 80/udp\n'


def test_ufw_may_be_opened_in_its_own_words(world, sallyport, ufw):
    """Rules that nft adds are gone with the next boot."""
    text = PUBLISHED + f'[door office]\nvpn = {world.office}\n'
    for rules in (), ('-i sp-+',), ('-o sp-+',), ('-i sp-+', '-o eth9'):
        ufw(*rules)
        assert refused(world, sallyport, text) == [
            'ufw route allow in on sp-+', 'ufw route allow out on sp-+']
    ufw('-i sp-+', '-o sp-+')
    assert works(world, sallyport, text, ('lan', 'vpn', 'self'))


@pytest.mark.parametrize('rules, enough', [
    (('-p tcp --dport 80', '-p udp --dport 80'), True),
    (('-p tcp --dport 80 -i eth0', '-p udp --dport 80 -i eth0'), True),
    (('-p tcp --dport 79:81', '-p udp --dport 80'), True),
    (('-o sp-+',), True),
    (('-p tcp --dport 80',), False),
    (('-p tcp --dport 81', '-p udp --dport 80'), False),
    # Whatever else a match of iptables' asks, it may be more than our packets are.
    (('-m mark --mark 1',), False)])
def test_ufw_may_let_in_what_is_published_alone(world, sallyport, ufw, rules, enough):
    ufw(*rules)
    if enough:
        assert works(world, sallyport, PUBLISHED, ('lan', 'self'))
    else:
        assert refused(world, sallyport, PUBLISHED)


def test_what_a_bridge_of_containers_may_is_not_enough(world, sallyport, ufw):
    """As Docker's rules for IPv6, where it has no place for others'."""
    world.servera.ip('link add br-own type bridge', 'link set br-own up',
                     'addr add 10.88.7.1/24 dev br-own')
    try:
        ufw('-i br-own ! -o br-own', '-o br-own')
        assert refused(world, sallyport, PUBLISHED)
    finally:
        world.servera.ip('link del br-own')


# What firewalld does with what is forwarded; {} is where a zone gets its interfaces.
FIREWALLD_FORWARD = """
table inet firewalld {{
	chain filter_FORWARD {{
		type filter hook forward priority filter + 10; policy accept
		ct state {{ established, related }} accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_FORWARD_ZONES
		reject with icmpx admin-prohibited
	}}
	chain filter_FORWARD_ZONES {{
		{}
		goto filter_FWD_public
	}}
	chain filter_FWD_trusted {{
		jump filter_FWD_trusted_allow
		accept
	}}
	chain filter_FWD_trusted_allow {{
		oifname "sp-*" accept
	}}
	chain filter_FWD_public {{
		reject with icmpx admin-prohibited
	}}
}}
"""


def test_firewalld_lets_ports_in_and_a_zone_of_its_lets_a_vpn_out(world, sallyport):
    """It forgets what nft adds with each `firewall-cmd --reload`."""
    text = PUBLISHED + f'[door office]\nvpn = {world.office}\n'
    host = world.servera
    host.nft(FIREWALLD_FORWARD.format(''))
    try:
        assert works(world, sallyport, PUBLISHED, ('lan', 'self'))
        assert refused(world, sallyport, text) == [
            'firewall-cmd --permanent --zone=trusted --add-interface=sp-+',
            'firewall-cmd --reload']
        host.nft('delete table inet firewalld')
        host.nft(FIREWALLD_FORWARD.format('iifname "sp-*" goto filter_FWD_trusted'))
        assert works(world, sallyport, text, ('lan', 'vpn', 'self'))
    finally:
        host.nft('delete table inet firewalld')


# What firewalld does where nobody has configured it (IPv6_rpfilter=yes).
FIREWALLD = """
table inet firewalld {
	chain filter_PREROUTING {
		type filter hook prerouting priority filter + 10; policy accept
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
	}
}
"""


def test_a_firewall_that_asks_where_each_source_would_be_reached(world, sallyport):
    """Also of who announces itself as a neighbour."""
    world.servera.nft(FIREWALLD)
    try:
        with sallyport.up('main', '[room]\npublish = 80 80/udp\n[door office]\n'
                          f'vpn = {world.office}\n') as gate:
            gate.serve('room', 80)
            world.servera.run('ip', '-6', 'neigh', 'flush', 'dev', 'sp-main')
            assert wrong_answers(world) == []
    finally:
        world.servera.nft('delete table inet firewalld')


NOTRACK = {
    'nft': ('nft', ['add table inet fw', 'add chain inet fw early '
                    '{ type filter hook prerouting priority raw; }',
                    'add chain inet fw dns', 'add rule inet fw early udp sport 53 notrack',
                    'add rule inet fw early meta l4proto sctp notrack',
                    'add rule inet fw early tcp dport 81-90 notrack',
                    'add rule inet fw early jump dns',
                    'add rule inet fw dns udp dport { 53, 79-82 } notrack'],
            ['delete table inet fw'], 'chain early of table inet fw', 'udp'),
    'nft, tcp': ('nft', ['add table ip fw', 'add chain ip fw early '
                         '{ type filter hook prerouting priority -301; }',
                         'add rule ip fw early meta l4proto udp notrack',
                         'add rule ip fw early ip protocol tcp notrack'],
                 ['delete table ip fw'], 'chain early of table ip fw', 'tcp'),
    'nft, answers': ('nft', ['add table inet fw', 'add chain inet fw early '
                             '{ type filter hook prerouting priority raw; }',
                             'add rule inet fw early udp sport 80 notrack'],
                     ['delete table inet fw'], 'chain early of table inet fw', 'udp'),
    'iptables': ('iptables', ['-t raw -A PREROUTING -p udp --dport 81 -j CT --notrack',
                              '-t raw -A PREROUTING -p udp --dport 80 -j CT --notrack'],
                 ['-t raw -F'], 'chain PREROUTING of table ip raw', 'udp'),
}


@pytest.mark.parametrize('firewall', list(NOTRACK))
def test_a_rule_that_keeps_a_published_port_from_being_tracked_is_told(
        world, sallyport, firewall):
    """The port is silent, and with the line that is told it is not any more."""
    tool, rules, undo, chain, proto = NOTRACK[firewall]
    other = '' if firewall == 'nft, tcp' else '91:90/udp 91'
    a = world.servera
    for rule in rules:
        a.run(tool, *rule.split())
    try:
        with sallyport.up('main', f'[room]\npublish = 80/{proto} {other}\n') as gate:
            gate.serve('room', 80)
            gate.wait_log(f'port 80/{proto} may get no answer', chain, 'Add these lines')
            assert 'port 91' not in gate.log.text()
            assert not probe.ask(world.laptop, proto, A4, 80, seconds=probe.SILENCE).answered
            lines = [l for l in gate.log.text().splitlines() if l.strip().startswith(tool)]
            a.run('sh', '-e', input='\n'.join(lines))
            assert probe.ask_until_answered(world.laptop, proto, A4, 80).by == 'room'
            assert gate.log.text().count('may get no answer') == 1
    finally:
        for rule in undo:
            a.run(tool, *rule.split())
