# SPDX-License-Identifier: GPL-2.0-or-later
"""A firewall that drops the host's replies cannot be led past: the guard says
so before anything is changed, and takes one that lets them out."""
import pytest

from lab import probe
from lab.host import PATIENCE
from lab.state import difference, hoststate
from lab.world import A4, A6

BASE = 'type filter hook output priority 0;'
LAST = 'type filter hook postrouting priority 0;'
RAW = 'type filter hook output priority -300;'

# What the firewall is, and what of it the guard has to name.
DROPPING = {
    'policy drop, and nothing else': (
        f'table inet fw {{ chain out {{ {BASE} policy drop; }} }}', 'out', 'inet fw'),
    'only what the host asks': (
        f'table inet fw {{ chain out {{ {BASE} policy drop; oif lo accept; '
        'udp dport 53 accept; tcp dport { 80, 443 } accept; '
        'meta l4proto icmp accept; ct state new accept; } }', 'out', 'inet fw'),
    'replies by the tunnel alone': (
        f'table ip fw {{ chain kill {{ {BASE} policy drop; '
        'oifname "tun*" ct state established accept; } }', 'kill', 'ip fw'),
    'a last rule that drops': (
        f'table inet fw {{ chain out {{ {BASE} policy accept; '
        'oifname "lo" accept; counter reject; } }', 'out', 'inet fw'),
    'states by a map': (
        f'table inet fw {{ chain out {{ {BASE} policy drop; '
        'ct state vmap { invalid : drop, new : accept }; } }', 'out', 'inet fw'),
    'in a chain of its own': (
        'table inet fw { chain more { oifname "tun0" accept; drop; } '
        f'chain out {{ {BASE} policy accept; jump more; }} }}', 'out', 'inet fw'),
    'behind all routing': (
        f'table inet fw {{ chain last {{ {LAST} policy drop; oifname "tun*" accept; '
        'ct state new accept; } }', 'last', 'inet fw'),
    'behind all routing, a rule': (
        f'table ip fw {{ chain last {{ {LAST} policy accept; oifname "lo" accept; '
        'drop; } }', 'last', 'ip fw'),
    'before it is known what is a reply': (
        f'table inet fw {{ chain early {{ {RAW} policy drop; oifname "lo" accept; '
        'ct state established accept; } }', 'early', 'inet fw'),
    'IPv6 alone': (
        f'table ip6 fw {{ chain out {{ {BASE} policy drop; }} }}', 'out', 'ip6 fw'),
}

ACCEPTING = {
    'replies': f'table inet fw {{ chain out {{ {BASE} policy drop; '
               'ct state established,related accept; } }',
    'replies by the door': f'table inet fw {{ chain out {{ {BASE} policy drop; '
                           'oifname { "eth*", "lo" } ct state established accept; } }',
    'states by a map': f'table inet fw {{ chain out {{ {BASE} policy drop; ct state '
                       'vmap { invalid : drop, established : accept }; } }',
    'in a chain of its own': 'table inet fw { chain more { ct state != new accept; } '
                             f'chain out {{ {BASE} policy drop; jump more; }} }}',
    "a service's own": f'table inet fw {{ chain out {{ {BASE} policy drop; '
                       'tcp sport 80 accept; udp sport 80 accept; } }',
    'behind all routing': f'table inet fw {{ chain last {{ {LAST} policy drop; '
                          'ct state established,related accept; } }',
    'before it is known what is a reply': f'table inet fw {{ chain early {{ {RAW} '
                                          'policy drop; oifname "eth*" accept; } }',
    'what drops something else': f'table inet fw {{ chain out {{ {BASE} policy accept; '
                                 'ip daddr 192.0.2.0/24 drop; ct state invalid drop; } }',
}


@pytest.fixture(scope='module')
def net(world):
    child = world.serve(world.servera, 'host', 80)
    yield world
    child.kill()


@pytest.fixture
def firewall(net):
    def load(text):
        # nft wants a new line where a block of rules ends.
        net.servera.run('nft', text.replace('; } ', ';\n}\n'))
    yield load
    for family in ('inet', 'ip', 'ip6'):
        net.servera.run('nft', 'delete', 'table', family, 'fw', ok=False)


def stand(program, net):
    return net.servera.run(program, 'guard', '--', 'true', ok=False,
                           timeout=PATIENCE)


def refused(program, net):
    before = hoststate(net.servera)
    done = stand(program, net)
    assert done.returncode == 1, done.stderr
    assert difference(before, hoststate(net.servera)) == ''
    return done.stderr


@pytest.mark.parametrize('what', list(DROPPING.values()), ids=list(DROPPING))
def test_a_firewall_that_drops_replies_is_refused_with_the_line_to_add(
        program, net, firewall, what):
    text, chain, table = what
    firewall(text)
    said = refused(program, net)
    assert f'chain {chain} of table {table} ' in said and 'replies by eth0' in said
    line = said.splitlines()[-1].strip()
    assert line.startswith(f"nft 'insert rule {table} {chain} ")
    net.servera.run('sh', '-c', line)
    done = stand(program, net)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('text', list(ACCEPTING.values()), ids=list(ACCEPTING))
def test_one_that_lets_them_out_is_taken(program, net, firewall, text):
    firewall(text)
    done = stand(program, net)
    assert done.returncode == 0, done.stderr
    assert probe.ask(net.laptop, 'tcp', A4, 80, seconds=8).answered


@pytest.mark.parametrize('what', ['only what the host asks', 'behind all routing',
                                  'before it is known what is a reply'])
def test_control_what_is_refused_does_drop_them(net, firewall, what):
    firewall(DROPPING[what][0])
    got = probe.ask(net.laptop, 'tcp', A4, 80, seconds=probe.SILENCE)
    assert got.how is probe.How.SILENT


def test_of_iptables_the_line_is_one_of_iptables(program, net):
    """It does not touch a table again that nft has put rules into."""
    def iptables(*argv):
        net.servera.run('iptables', *argv)
    iptables('-P', 'OUTPUT', 'DROP')
    iptables('-A', 'OUTPUT', '-o', 'tun0', '-j', 'ACCEPT')
    iptables('-A', 'OUTPUT', '-p', 'udp', '--dport', '53', '-j', 'ACCEPT')
    try:
        said = refused(program, net)
        assert 'chain OUTPUT of table ip filter has policy drop' in said
        line = said.splitlines()[-1].strip()
        assert line.startswith('iptables -t filter -I OUTPUT ')
        net.servera.run('sh', '-c', line)
        assert stand(program, net).returncode == 0
        assert probe.ask(net.laptop, 'tcp', A4, 80, seconds=8).answered
        iptables('-S')
    finally:
        net.servera.run('nft', 'delete', 'table', 'ip', 'filter')


def test_a_firewall_is_asked_about_doors_and_not_about_guests(program, net,
                                                              firewall):
    net.servera.ip('link add guests type bridge')
    net.servera.ip('addr add 192.0.2.129/28 dev guests')
    net.servera.ip('link set guests up')
    try:
        firewall(f'table inet fw {{ chain out {{ {BASE} policy drop; '
                 'oifname "eth*" ct state established accept; } }')
        done = stand(program, net)
        assert done.returncode == 0, done.stderr
    finally:
        net.servera.ip('link del guests')


# The old iptables: what its rules are, and which table and chain is named.
OLD_DROPPING = {
    'policy': (['-P OUTPUT DROP', '-A OUTPUT -o lo -j ACCEPT'],
               'OUTPUT of table filter', 'has policy DROP'),
    'only what the host asks': (
        ['-P OUTPUT DROP', '-A OUTPUT -o tun+ -j ACCEPT',
         '-A OUTPUT -p udp --dport 53 -j ACCEPT', '-A OUTPUT -p icmp -j ACCEPT',
         '-A OUTPUT -p tcp -m tcp --dport 22:443 -j ACCEPT',
         '-A OUTPUT -m conntrack --ctstate NEW -j ACCEPT'],
        'OUTPUT of table filter', 'has policy DROP'),
    'a last rule in a chain of its own': (
        ['-N fw', '-A OUTPUT -j fw', '-A fw -o lo -j ACCEPT',
         '-A fw -p tcp --dport 80 -j ACCEPT', '-A fw ! -o lo -j REJECT'],
        'OUTPUT of table filter', 'has a rule that drops'),
    'behind all routing': (
        ['-t mangle -A POSTROUTING ! -o tun+ -j DROP'],
        'POSTROUTING of table mangle', 'has a rule that drops'),
    'before it is known what is a reply': (
        ['-t raw -P OUTPUT DROP', '-t raw -A OUTPUT -o lo -j ACCEPT',
         '-t raw -A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT'],
        'OUTPUT of table raw', 'has policy DROP'),
}
OLD_ACCEPTING = {
    'replies': ['-P OUTPUT DROP',
                '-A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT'],
    'replies, as it was once written': [
        '-P OUTPUT DROP', '-A OUTPUT -m state --state ESTABLISHED -j ACCEPT'],
    "a service's own": ['-P OUTPUT DROP', '-A OUTPUT -p tcp --sport 80 -j ACCEPT',
                        '-A OUTPUT -p udp --sport 80 -j ACCEPT'],
    'what drops something else': [
        '-A OUTPUT -d 192.0.2.0/24 -j DROP', '-A OUTPUT -o tun+ -j DROP',
        '-A OUTPUT -m conntrack --ctstate INVALID -j DROP',
        '-t mangle -A POSTROUTING -p tcp --dport 25 -j DROP'],
}


@pytest.fixture
def old(net):
    def run(tool, rules):
        for rule in rules:
            net.servera.run(tool, *rule.split())
    yield run
    for tool in ('iptables-legacy', 'ip6tables-legacy'):
        for table in ('filter', 'mangle', 'raw'):
            chain = 'POSTROUTING' if table == 'mangle' else 'OUTPUT'
            run(tool, [f'-t {table} -P {chain} ACCEPT', f'-t {table} -F',
                       f'-t {table} -X'])


@pytest.mark.parametrize('what', list(OLD_DROPPING.values()), ids=list(OLD_DROPPING))
@pytest.mark.parametrize('tool', ['iptables-legacy', 'ip6tables-legacy'])
def test_an_old_iptables_that_drops_replies_is_refused_with_the_line_to_add(
        program, net, old, tool, what):
    rules, chain, how = what
    v6 = tool.startswith('ip6')
    old(tool, [r.replace('-p icmp ', '-p icmpv6 ') if v6 else r for r in rules])
    got = probe.ask(net.laptop, 'tcp', A6 if v6 else A4, 80,
                    seconds=probe.SILENCE)
    assert not got.answered, got
    said = refused(program, net)
    assert f'chain {chain} of {tool} {how}' in said and 'replies by eth0' in said
    line = said.splitlines()[-1].strip()
    assert line.startswith(f'{tool} -t {chain.split()[-1]} -I {chain.split()[0]} ')
    net.servera.run('sh', '-c', line)
    done = stand(program, net)
    assert done.returncode == 0, done.stderr
    if not v6:  # there a neighbour is asked for by what such a firewall drops, too
        assert probe.ask(net.laptop, 'tcp', A4, 80, seconds=8).answered


@pytest.mark.parametrize('rules', list(OLD_ACCEPTING.values()),
                         ids=list(OLD_ACCEPTING))
def test_an_old_one_that_lets_them_out_is_taken(program, net, old, rules):
    old('iptables-legacy', rules)
    done = stand(program, net)
    assert done.returncode == 0, done.stderr
    assert probe.ask(net.laptop, 'tcp', A4, 80, seconds=8).answered
