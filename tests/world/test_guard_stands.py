# SPDX-License-Identifier: GPL-2.0-or-later
"""A guard that stands: what others take from it comes back, and nobody who is
in notices."""
import os
import random
import re
import signal
import subprocess
import time

import pytest

from lab import probe
from lab.guard import FAMILIES, Guard, Sessions, lived_in, tables
from lab.host import PATIENCE, flood_of_nft, join, stopped, until
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import A4, A6, LAPTOP4, LAPTOP6, wrong_answers

LONG = bool(os.environ.get('SALLYPORT_LONG'))
FAULTS = int(os.environ.get('SALLYPORT_FAULTS') or (200 if LONG else 24))


@pytest.fixture(scope='module')
def net(world):
    with lived_in(world) as net:
        yield net


@pytest.fixture(scope='module')
def guard(program, net):
    before = hoststate(net.servera)
    with Guard(program, net.servera, net.dir,
               ['openvpn', '--config', net.office]) as guard:
        guard.connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              'the tunnel is a door', PATIENCE)
        yield guard
        assert guard.stop() == 0
    assert difference(before, hoststate(net.servera)) == ''


def rules(net, family='-4'):
    return [l.split(':', 1)[1].split()
            for l in net.servera.out('ip', family, 'rule').splitlines()
            if l.startswith('0:') and 'lookup 100' in l]


def routes(net):
    return [sorted(l for l in net.servera.out('ip', family, 'route', 'show', 'table',
                                              'all').splitlines()
                   if ' table 100' in l) for family in ('-4', '-6')]


def chains(net):
    return sorted(l for l in tables(net.servera, '-s').splitlines()
                  if l.startswith(('\tchain ', 'table ')))


def whole(net):
    return rules(net), rules(net, '-6'), routes(net), chains(net)


def is_whole(net, want):
    return whole(net) == want


def flush_rules(net):
    net.servera.run('sh', '-c', 'ip rule flush; ip rule add pref 32766 lookup '
                    'main; ip rule add pref 32767 lookup default')


def delete_rules(net):
    for family in ('-4', '-6'):
        for rule in random.sample(rules(net, family), 2):
            net.servera.run('ip', family, 'rule', 'del', 'pref', '0', *rule)


def delete_all_rules(net):
    net.servera.run('ip', '-batch', '-', input=''.join(
        f'rule del pref 0 {" ".join(r)}\n' for r in rules(net)))


def flush_routes(net):
    for table in ('10000', '10001'):
        net.servera.run('ip', 'route', 'flush', 'table', table)
        net.servera.run('ip', '-6', 'route', 'flush', 'table', table)


def door_table(net):
    return next(r[-1] for r in rules(net) if r[:2] == ['from', A4] and
                r[-1] not in ('10000', '10001'))


def flush_door(net):
    net.servera.run('ip', 'route', 'flush', 'table', door_table(net))


def delete_table(net, family=None):
    net.servera.run('nft', 'delete', 'table', family or random.choice(FAMILIES),
                    'sallyport-guard')


def flush_table(net):
    net.servera.run('nft', 'flush', 'table', random.choice(FAMILIES),
                    'sallyport-guard')


def flush_ruleset(net):
    net.servera.run('nft', 'flush', 'ruleset')


def rule_in_front(net):
    """All of ours away and a VPN's there, in one go: it stands first."""
    net.servera.run('ip', '-batch', '-', input=''.join(
        f'rule del pref 0 {" ".join(r)}\n' for r in rules(net)) +
        'rule add pref 0 lookup main\n')
    until(lambda: rules(net), 'rules come back', PATIENCE)
    net.servera.run('ip', 'rule', 'del', 'pref', '0', 'lookup', 'main')


def tunnel_is_there(net, since=0):
    net.client.log.wait('Initialization Sequence Completed', child=net.client.child,
                        since=since)
    until(lambda: 'tun0' in doors(net), 'the tunnel is a door', PATIENCE)


def doors(net):
    return [d['name'] for d in net.guard.status()['doors']]


def restart_tunnel(net):
    since = len(net.client.log.text())
    net.client.child.send_signal(signal.SIGUSR1)
    tunnel_is_there(net, since)


def kill_client(net):
    net.client.child.kill()
    until(lambda: 'tun0' not in doors(net), 'the tunnel is gone', PATIENCE)
    net.client.close()
    net.client = OpenVpnClient(net.servera, net.office, net.dir)
    tunnel_is_there(net)


def kill_guard(net):
    """And rules go while there is none."""
    net.guard.kill9()
    delete_rules(net)
    net.guard.log.close()
    net.guard = Guard(net.program, net.servera, net.dir, []).wait_stands()


def tunnel_down(net):
    """Its routes and its addresses of IPv6 go with it, and come back by hand."""
    mine = re.search(r'inet6 (fd\S+)', net.servera.out('ip', 'addr', 'show',
                                                       'dev', 'tun0'))[1]
    net.servera.ip('link set tun0 down', 'link set tun0 up',
                   f'addr replace {mine} dev tun0 nodad',
                   'route replace 172.16.0.0/12 dev tun0')
    net.servera.run('ip', '-6', 'route', 'replace', 'fd00:16::/32', 'dev', 'tun0')


def claimed(net):
    """The VPN would have the laptop's answers."""
    return all('dev tun0' in net.servera.out('ip', 'route', 'get', address)
               for address in (LAPTOP4, LAPTOP6))


def pushed_routes(net):
    for what in ('add', 'del'):
        net.servera.ip(*(f'route {what} {i} dev tun0 metric 3' for i in (
            '172.16.9.20/32', '172.16.0.0/16', '172.16.5.1/32', '172.16.9.0/25',
            '0.0.0.0/1')))


def overflow(net):
    """The guard stands still while more happens than its sockets can hold, and
    among that its rules go."""
    since = len(net.guard.log.text())
    os.kill(net.guard.child.pid, signal.SIGSTOP)
    try:
        net.servera.run('ip', '-batch', '-', input=FLOOD)
        drops = [int(l.split()[8]) for l in net.servera.out(
            'cat', '/proc/net/netlink').splitlines()[1:]]
        flush_rules(net)
        delete_table(net)
    finally:
        os.kill(net.guard.child.pid, signal.SIGCONT)
    assert max(drops) > 0
    net.guard.wait_log('more news than room', since=since)


FLOOD = ''.join(f'route {what} 10.{i // 250}.{i % 250}.0/24 dev tun0\n'
                for what in ('add', 'del') for i in range(20000))


def flap(net):
    """The kernel drops the routes of every table and addresses of IPv6; whoever
    configured the link brings main's back."""
    net.servera.ip('link set eth0 down', 'link set eth0 up',
                   'route replace default via 172.16.5.1',
                   f'addr replace {A6}/64 dev eth0 nodad')
    net.servera.run('ip', '-6', 'route', 'replace', 'default', 'via',
                    'fd00:16:5::1')


def new_door(net):
    net.servera.run('ip', 'link', 'add', 'extra0', 'type', 'veth', 'peer',
                    'name', 'extra1')
    net.servera.ip('addr add 192.0.2.77/24 dev extra0', 'link set extra0 up')
    until(lambda: 'extra0' in doors(net), 'it is a door', PATIENCE)
    net.servera.run('ip', 'link', 'del', 'extra0')


def new_address(net):
    net.servera.ip('addr add 172.16.5.11/24 dev eth0')
    until(lambda: any('172.16.5.11' in r for r in rules(net)),
          'its rules are there', PATIENCE)
    net.servera.ip('addr del 172.16.5.11/24 dev eth0')


FAULT = [flush_rules, delete_rules, delete_all_rules, flush_routes, flush_door,
         delete_table, flush_table, flush_ruleset, rule_in_front,
         restart_tunnel, tunnel_down, pushed_routes, overflow, flap, new_door,
         new_address, kill_client, kill_guard]


@pytest.fixture
def guard_and_client(program, net):
    """Neither is the other's child: each may die alone."""
    before = hoststate(net.servera)
    net.program = program
    net.guard = Guard(program, net.servera, net.dir, []).wait_stands()
    net.client = OpenVpnClient(net.servera, net.office, net.dir)
    tunnel_is_there(net)
    yield
    net.client.close()
    until(lambda: 'tun0' not in doors(net), 'the tunnel is gone', PATIENCE)
    assert net.guard.stop() == 0
    net.guard.close()
    assert difference(before, hoststate(net.servera)) == ''


def test_sessions_live_through_faults(net, guard_and_client):
    """Rules, routes and tables flushed and deleted, the tunnel restarted, guard and
    VPN client killed, doors that come and go, again and again in any order."""
    random.seed(5)
    want = whole(net)
    assert all(want) and all(want[2])
    lines = Sessions(net.ssh, net.beside, [(net.laptop, A4), (net.laptop, A6),
                                           (net.laptop3, A4)])
    lines.GAP = 3.0  # between a fault and its repair segments may be lost
    faults = [FAULT[i % len(FAULT)] for i in range(FAULTS)]
    random.shuffle(faults)
    for fault in faults:
        fault(net)
        until(lambda: is_whole(net, want) and claimed(net),
              lambda: f'{fault.__name__}: {whole(net)} is not {want} '
              f'{net.guard.log.text()[-2000:]}',
              PATIENCE)
        lines.wait_lines(5)
    assert len(faults) == FAULTS >= len(FAULT)
    assert lines.wrong() == []
    assert wrong_answers(net, by='host', doors=('lan', 'self')) == []


def test_repairs_are_told(net, guard):
    want = whole(net)
    for family in FAMILIES:
        since = len(guard.log.text())
        delete_table(net, family)
        guard.wait_log('repaired:', 'deleted by nft', since=since)
        until(lambda: is_whole(net, want), lambda: whole(net), PATIENCE)
    since = len(guard.log.text())
    delete_rules(net)
    guard.wait_log('repaired:', 'rules of the guard', since=since)
    flush_door(net)
    guard.wait_log('repaired:', f'table {door_table(net)} was missing',
                   since=since)
    assert any('deleted by nft' in r['what']
               for r in guard.status()['repairs'])


@pytest.mark.parametrize('what', ['rules', 'routes', 'table'])
def test_repairs_beside_a_change_of_the_host_are_told(net, guard, what):
    """An address comes and goes, and in the same moment somebody deletes something."""
    net.guard = guard
    want = whole(net)
    take, words = {
        'rules': (delete_rules, ['rules of the guard']),
        'routes': (flush_door, [f'table {door_table(net)} was missing']),
        'table': (delete_table, ['deleted by nft'])}[what]
    for how in ('add', 'del'):
        since = len(guard.log.text())
        with stopped(guard.child.pid):
            net.servera.ip(f'addr {how} 172.16.5.13/24 dev eth0')
            take(net)
        guard.wait_log('repaired:', *words, since=since)
        until(lambda: any('172.16.5.13' in r for r in rules(net)) == (how == 'add'),
              'it is known', PATIENCE)
    until(lambda: is_whole(net, want), lambda: f'{whole(net)} is not {want}',
          PATIENCE)


def test_what_only_the_host_changes_is_no_repair(net, guard):
    """Addresses and interfaces that come and go, and nobody touches the guard's."""
    want = whole(net)
    net.guard, since = guard, len(guard.log.text())
    new_address(net)
    new_door(net)
    until(lambda: is_whole(net, want), lambda: f'{whole(net)} is not {want}',
          PATIENCE)
    assert 'repaired' not in guard.log.text()[since:]


def test_that_news_was_lost_is_enough_to_look_anew(net, guard):
    """Nothing that is heard says that the guard's table is gone."""
    want, since = whole(net), len(guard.log.text())
    with stopped(guard.child.pid):
        flood_of_nft(net.servera, lambda: delete_table(net))
    guard.wait_log('repaired:', 'deleted', since=since)
    until(lambda: is_whole(net, want), lambda: f'{whole(net)} is not {want}', PATIENCE)
    net.servera.run('nft', 'delete', 'table', 'inet', 'flood')


def test_what_is_switched_off_again_and_again_comes_back_each_time(net, guard):
    """It is heard: the look of every 30 s would find one of them."""
    begun, n = time.monotonic(), 0
    for what in ('ipv4/tcp_fwmark_accept', 'ipv4/fwmark_reflect', 'ipv6/fwmark_reflect') * 2:
        since = len(guard.log.text())
        net.servera.sysctl(f'net/{what}', 0)
        guard.wait_log('repaired:', f'net/{what} was switched off', since=since)
        assert net.servera.sysctl(f'net/{what}') == '1'
        n += 1
    assert n > (time.monotonic() - begun) / 30 + 1


def test_who_took_something_away_is_told_while_it_lives(net, guard):
    """By the number of its netlink socket, which is its process's; the program
    still waits for its next line when it is looked for."""
    def told(line, *words):
        since = len(guard.log.text())
        child = net.servera.popen(['ip', '-batch', '-'], stdin=subprocess.PIPE)
        child.stdin.write(line + '\n')
        child.stdin.flush()
        guard.wait_log('repaired:', *words, since=since)
        child.stdin.close()
        assert child.wait(PATIENCE) == 0
    told(f'rule del pref 0 {" ".join(rules(net)[-1])}', 'rules of the guard',
         'probably removed by ip ')
    told('route del default table ' + door_table(net), 'was missing',
         'probably removed by ip')


def test_a_link_that_flaps_finds_its_routes_again(net, guard):
    """The kernel drops the routes of every table; main's default comes back by
    whoever configures the link, the guard's by itself."""
    table = door_table(net)
    net.servera.ip('link set eth0 down', 'link set eth0 up')
    until(lambda: 'default via 172.16.5.1' in net.servera.out(
        'ip', 'route', 'show', 'table', table), guard.log.text, PATIENCE)
    assert probe.ask_until_answered(net.laptop, 'tcp', A4, 80,
                                    seconds=PATIENCE).answered
    # main has its own back, too: the next tests need the host as it was.
    net.servera.ip('route replace default via 172.16.5.1',
                   f'addr replace {A6}/64 dev eth0 nodad')
    net.servera.run('ip', '-6', 'route', 'replace', 'default', 'via',
                    'fd00:16:5::1')


def test_a_new_interface_is_a_door(net, guard):
    join(net.core, 'two', net.servera, 'eth9')
    net.core.ip('addr add 10.99.0.1/24 dev two')
    net.servera.ip('addr add 10.99.0.2/24 dev eth9',
                   'route add 10.98.0.0/16 via 10.99.0.1 dev eth9')
    door = until(lambda: [d for d in guard.status()['doors']
                          if d['name'] == 'eth9'], 'eth9 is a door', PATIENCE)[0]
    assert door['kind'] == 'lan' and door['addresses'][0] == '10.99.0.2'
    # A VPN claims its range; who comes in by it is answered by it.
    net.servera.run('ip', 'route', 'add', '10.99.0.0/25', 'dev', 'tun0')
    got = probe.ask(net.core, 'udp', '10.99.0.2', 80, src='10.99.0.1')
    assert (got.how, got.saw) == (probe.How.ANSWERED, '10.99.0.1')
    net.servera.run('ip', 'route', 'del', '10.99.0.0/25', 'dev', 'tun0')
    net.core.run('ip', 'link', 'del', 'two')
    until(lambda: 'eth9' not in [d['name'] for d in guard.status()['doors']],
          'eth9 is gone', PATIENCE)


def test_nothing_is_left_of_addresses_that_are_gone(net, guard):
    def size():
        listed = tables(net.servera, '-s')
        return listed.count('\tchain ') + listed.count('\tset ')
    before = size()
    for i in range(20, 30):
        net.servera.ip(f'addr add 172.16.5.{i}/24 dev eth0',
                       f'addr add fd00:16:5::{i}/64 dev eth0 nodad')
    until(lambda: size() > before, 'they are known', PATIENCE)
    for i in range(20, 30):
        net.servera.ip(f'addr del 172.16.5.{i}/24 dev eth0',
                       f'addr del fd00:16:5::{i}/64 dev eth0')
    until(lambda: size() == before, lambda: f'{size()} is {before}', PATIENCE)


def test_kill_9_leaves_it_standing_and_the_next_takes_it_over(program, net,
                                                              guard):
    guard.stop()
    before = hoststate(net.servera)
    first = Guard(program, net.servera, net.dir,
                  ['openvpn', '--config', net.office])
    try:
        first.connected()
        until(lambda: 'tun0' in [d['name'] for d in first.status()['doors']],
              'the tunnel is a door', PATIENCE)
        pid = first.command_pid()
        first.kill9()
        assert wrong_answers(net, by='host') == []
        with Guard(program, net.servera, net.dir, []) as second:
            second.wait_stands()
            second.wait_log('stands; `sallyport guard --off` ends it')
            assert wrong_answers(net, by='host') == []
            os.kill(pid, signal.SIGTERM)
            until(lambda: 'tun0' not in net.servera.out('ip', 'link'), 'gone',
                  PATIENCE)
            assert second.stop() == 0
        assert difference(before, hoststate(net.servera)) == ''
    finally:
        first.close()


# As older versions had it, all in one table.
OLDER = """table inet sallyport-guard {
    set asked4 { type ipv4_addr . inet_service . inet_service
        size 65536; flags dynamic,timeout; timeout 3m; }
    chain answer_udp { udp sport 32768-60999 update @asked4 { ip daddr . udp dport . udp sport }; }
    chain answer { type route hook output priority -310; policy accept;
        meta l4proto udp goto answer_udp; }
    chain from_door { meta mark set iifname map { "eth0" : 0x27590000 } return; }
    chain arrive { type filter hook input priority 2147483646; policy accept;
        meta l4proto tcp goto from_door; }
}
"""


@pytest.mark.parametrize('how', ['the next', 'off'])
def test_what_an_older_version_left_is_taken_over_and_away(program, net, how):
    """Its hooks and sets are not where this one's are."""
    before = hoststate(net.servera)
    with Guard(program, net.servera, net.dir, []) as first:
        first.wait_stands()
        want = whole(net)
        first.kill9()
        for family in ('ip', 'ip6'):
            net.servera.run('nft', 'delete', 'table', family, 'sallyport-guard')
        net.servera.nft(OLDER)
        assert 'asked4' in tables(net.servera) and not is_whole(net, want)
        if how == 'off':
            first.off()
        else:
            with Guard(program, net.servera, net.dir, []) as second:
                second.wait_stands()
                assert whole(net) == want
                assert second.stop() == 0
    assert difference(before, hoststate(net.servera)) == ''


def test_off_takes_away_what_a_killed_guard_left(program, net):
    before = hoststate(net.servera)
    guard = Guard(program, net.servera, net.dir, [])
    guard.wait_stands()
    guard.kill9()
    assert rules(net)
    guard.off()
    assert difference(before, hoststate(net.servera)) == ''
    done = guard.off(ok=False)
    assert done.returncode == 1 and 'no guard stands here' in done.stderr
    guard.close()


def test_off_ends_a_guard_and_its_command(program, net):
    before = hoststate(net.servera)
    with Guard(program, net.servera, net.dir, ['sleep', '1000']) as guard:
        guard.wait_stands()
        guard.off()
        assert guard.child.wait(PATIENCE) == 128 + signal.SIGTERM
    assert difference(before, hoststate(net.servera)) == ''


def test_who_may_not_change_the_network_is_told_so_and_changes_nothing(program,
                                                                       net):
    before = hoststate(net.servera)
    done = net.servera.run('setpriv', '--bounding-set=-net_admin', program,
                           'guard', '--', 'sh', '-c', 'echo started', ok=False)
    assert done.returncode == 1 and 'started' not in done.stdout
    assert 'CAP_NET_ADMIN' in done.stderr
    done = net.servera.run('setpriv', '--reuid=1', '--clear-groups', program,
                           'guard', '--', 'true', ok=False)
    assert done.returncode == 1 and 'needs root' in done.stderr
    assert difference(before, hoststate(net.servera)) == ''


def test_there_is_one_guard_of_a_host_and_commands_run_under_it(program, net):
    with Guard(program, net.servera, net.dir, []) as guard:
        guard.wait_stands()
        done = net.servera.run(program, 'guard', ok=False)
        assert done.returncode == 1
        assert 'a guard stands already' in done.stderr
        done = net.servera.run(program, 'guard', '--', 'sh', '-c', 'exit 7',
                               ok=False)
        assert done.returncode == 7
        # What the guard that stands does not know of is not promised.
        done = net.servera.run(program, 'guard', '--lan', '10.0.0.0/8', '--',
                               'true', ok=False)
        assert done.returncode == 1
        assert 'a guard stands already' in done.stderr
        assert rules(net)


def test_the_unit_that_it_installs_is_one(program, net):
    out = net.servera.out(program, 'guard', '--install')
    assert 'systemctl enable --now sallyport-guard' in out
    path = '/etc/systemd/system/sallyport-guard.service'
    done = net.servera.run('systemd-analyze', 'verify', '--man=no', path,
                           ok=False)
    net.servera.run('rm', '-rf', '/run/systemd')
    assert 'sallyport-guard' not in done.stderr, done.stderr
    net.servera.run(program, 'guard', '--networkd')
    with open(net.servera.path(
            '/etc/systemd/networkd.conf.d/50-sallyport.conf')) as f:
        assert 'ManageForeignRoutingPolicyRules=no' in f.read()
