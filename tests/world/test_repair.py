# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody else removes of ours is put back, and the log says so."""
import os
import signal

import pytest

from lab import probe
from lab.host import stopped, until
from lab.leak import SECRET, Ear, Talker
from lab.sniff import Sniffer
from lab.state import difference, hoststate
from lab.world import wrong_answers

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate


COMMANDS = ((('ip', '-4', 'rule'), 'rules'), (('ip', '-6', 'rule'), 'rules6'),
            (('ip', '-4', 'route', 'show', 'table', 'all'), 'routes'),
            (('ip', '-6', 'route', 'show', 'table', 'all'), 'routes6'),
            (('ip', '-o', 'addr', 'show', 'scope', 'global'), 'addresses'),
            (('nft', '-s', 'list', 'tables'), 'tables'))


# The kernel's own: it makes them when a link comes up, not when an address is
# put back.
KERNELS = ('table local', 'fe80::/64', 'ff00::/8')


def settings(where):
    """Of one namespace, as sorted lines: repairs may change an order that
    has no meaning (routes), but rules are kept in theirs."""
    found = {}
    for argv, title in COMMANDS:
        lines = [' '.join(l.split()) for l in where.out(*argv).splitlines()
                 if not any(k in l for k in KERNELS)]
        # main and default are the namespace's; that we put them back is no
        # difference.
        lines = [l.replace(' proto 222', '') if l.startswith('3276') else l
                 for l in lines]
        found[title] = lines if 'rules' in title else sorted(
            l.split(': ', 1)[-1] for l in lines)
    return found


def everywhere(gate):
    with gate.inner as inner, gate.room() as room:
        return [settings(w) for w in (gate.host, inner, room)]


def differences(before, after):
    text = [''.join(f'{where}: {title}: {line}\n'
                    for where, parts in zip(('host', 'gate', 'room'), state)
                    for title, lines in parts.items() for line in lines)
            for state in (before, after)]
    return difference(*text)


def check_repaired(world, gate, before, since):
    def same():
        return everywhere(gate) == before
    try:
        until(same, 'all is as it was')
    except AssertionError:
        pytest.fail(f'{differences(before, everywhere(gate))}\n' +
                    gate.log.text()[since:], pytrace=False)
    assert wrong_answers(world) == []
    assert gate.log.text()[since:].strip(), 'a repair without a word'


@pytest.mark.parametrize('family', [4, 6])
@pytest.mark.parametrize('place', ['gate', 'host'])
def test_every_rule_that_is_removed_comes_back(world, gate, place, family):
    """F9."""
    with gate.inner as inner:
        where = inner if place == 'gate' else gate.host
        lines = [l for l in where.out('ip', f'-{family}', 'rule').splitlines()
                 if l.startswith('0:') and 'local' not in l]
        assert lines
        for line in lines:
            before = everywhere(gate)
            since = len(gate.log.text())
            selector = line.split(':', 1)[1].replace('[detached]', '').split()
            where.run('ip', f'-{family}', 'rule', 'del', 'pref', '0', *selector)
            check_repaired(world, gate, before, since)


@pytest.mark.parametrize('family', [4, 6])
@pytest.mark.parametrize('place', ['gate', 'host'])
def test_rules_come_back_after_ip_rule_flush(world, gate, place, family):
    """F7. Priority 0 survives the flush itself; main and default do not."""
    before = everywhere(gate)
    since = len(gate.log.text())
    with gate.inner as inner:
        where = inner if place == 'gate' else gate.host
        where.run('ip', f'-{family}', 'rule', 'flush')
    if place == 'host':
        # main and default of the host are not ours; the published port has
        # to answer the directly connected at least until they are back.
        gate.host.run('ip', f'-{family}', 'rule', 'add', 'pref', '32766',
                      'lookup', 'main')
        if family == 4:
            gate.host.run('ip', '-4', 'rule', 'add', 'pref', '32767', 'lookup',
                          'default')
        until(lambda: everywhere(gate) == before, 'all is as it was')
        assert wrong_answers(world) == []
    else:
        check_repaired(world, gate, before, since)


@pytest.mark.parametrize('family', [4, 6])
@pytest.mark.parametrize('place', ['gate', 'host', 'room'])
def test_every_route_that_is_removed_comes_back(world, gate, place, family):
    """F3, F8."""
    with gate.inner as inner, gate.room() as room:
        where = {'gate': inner, 'host': gate.host, 'room': room}[place]
        shown = where.out('ip', f'-{family}', 'route', 'show', 'table', 'all')
        ours = [l for l in shown.splitlines() if 'table local' not in l and (
            'proto 222' in l or 'dev sp-main table' in l)]
        assert ours or place == 'room', shown
        for line in ours:
            before = everywhere(gate)
            since = len(gate.log.text())
            words = [w for w in line.split() if w not in ('linkdown', 'onlink')]
            if 'pref' in words:
                del words[words.index('pref'):]
            where.run('ip', f'-{family}', 'route', 'del', *words)
            check_repaired(world, gate, before, since)


def test_tables_that_are_flushed_come_back(world, gate):
    """F8."""
    before = everywhere(gate)
    since = len(gate.log.text())
    with gate.inner as inner:
        for table in (5900, 5901, 5902):
            inner.run('ip', 'route', 'flush', 'table', table, ok=False)
            inner.run('ip', '-6', 'route', 'flush', 'table', table, ok=False)
    check_repaired(world, gate, before, since)


def local_routes(where, links=None):
    shown = [' '.join(l.split()) for family in '46'
             for l in where.out('ip', f'-{family}', 'route', 'show', 'table', 'local').splitlines()]
    return sorted(l for l in shown if not l.startswith('anycast') and
                  (links is None or any(f'dev {link} ' in l for link in links)))


@pytest.mark.parametrize('place', ['gate', 'host', 'room'])
def test_the_kernels_own_routes_of_our_addresses_come_back(world, gate, place):
    """Without them nobody is told where the address is (ARP, neighbour discovery),
    nor reaches it: UDP of the LAN by the gate, and services of a room by
    loopback."""
    with gate.inner as inner, gate.room() as room:
        where = {'gate': inner, 'host': gate.host, 'room': room}[place]
        links = None
        if place == 'host':
            shown = where.out('ip', '-o', 'link').splitlines()
            links = [l.split()[1].split('@')[0] for l in shown if ': sp-' in l]
            assert len(links) == 2, shown  # and a short link
        settled_local_routes(where)
        before = local_routes(where, links)
        since = len(gate.log.text())
        for family in '46':
            for link in links or ['']:
                where.run('ip', f'-{family}', 'route', 'flush', 'table',
                          *(['local', 'dev', link] if link else ['all']))
        until(lambda: local_routes(where, links) == before,
              lambda: '\n'.join([*before, '', *local_routes(where, links), gate.log.text()[since:]]))
        gate.wait_log('local route', since=since)
        for end in (gate.host, inner, room):
            end.run('ip', 'neigh', 'flush', 'all')
        if place == 'room':
            for loopback in ('127.0.0.1', '::1'):
                assert probe.ping(room, loopback)
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: 'everybody is answered: ' + gate.log.text()[since:])


def settled_local_routes(where):
    """The kernel makes no route of an address while it asks whether another host has it."""
    until(lambda: 'tentative' not in where.out('ip', '-6', 'addr'), 'each address is ours')
    return local_routes(where)


def test_each_of_the_kernels_own_routes_comes_back(sallyport):
    """Also of an address that two links have, as the gate's ends have towards rooms."""
    with sallyport.up('pair', '[room]\npublish = 8062:80\n[room web]\npublish = 8063:80\n') as gate:
        with gate.inner as inner:
            before = settled_local_routes(inner)
            twice = [l for l in before if 'fe80::1 dev room' in l]
            assert len(twice) == 2, before
            for line in before:
                since = len(gate.log.text())
                family = '-6' if ':' in line else '-4'
                inner.run('ip', family, 'route', 'del', 'table', 'local', *line.split())
                until(lambda: local_routes(inner) == before,
                      lambda: f'{line} is back\n' + '\n'.join(local_routes(inner)))
                gate.wait_log('local route', since=since)


@pytest.mark.parametrize('place, link', [
    ('gate', 'lan'), ('gate', 'room'), ('host', 'sp-main'), ('room', 'eth0')])
def test_addresses_that_are_removed_come_back(world, gate, place, link):
    """F10: the kernel takes the routes of that link with them."""
    before = everywhere(gate)
    since = len(gate.log.text())
    with gate.inner as inner, gate.room() as room:
        where = {'gate': inner, 'host': gate.host, 'room': room}[place]
        where.run('ip', 'addr', 'flush', 'dev', link)
    check_repaired(world, gate, before, since)


@pytest.mark.parametrize('place, link', [
    ('gate', 'lan'), ('gate', 'room'), ('host', 'sp-main'), ('room', 'eth0')])
def test_a_link_that_is_set_down_comes_up_again(world, gate, place, link):
    """F10."""
    before = everywhere(gate)
    since = len(gate.log.text())
    with gate.inner as inner, gate.room() as room:
        where = {'gate': inner, 'host': gate.host, 'room': room}[place]
        where.run('ip', 'link', 'set', link, 'down')
    check_repaired(world, gate, before, since)


def test_a_tunnel_that_is_set_down_comes_back(world, gate):
    """F2."""
    since = len(gate.log.text())
    with gate.inner as inner:
        inner.run('ip', 'link', 'set', 'office', 'down')
    until(lambda: wrong_answers(world, seconds=1) == [],
          'the tunnel door answers again')
    assert gate.log.text()[since:].strip()


@pytest.mark.parametrize('place', ['sp-main', 'lan', 'room', 'eth0'])
def test_a_link_that_is_deleted_is_made_again(world, gate, place):
    since = len(gate.log.text())
    with gate.inner as inner, gate.room() as room:
        where = {'sp-main': gate.host, 'eth0': room}.get(place, inner)
        where.run('ip', 'link', 'del', place)
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: 'everybody is answered: ' + gate.log.text()[since:])
    assert gate.log.text()[since:].strip()


@pytest.mark.parametrize('place, link', [
    ('gate', 'lan'), ('gate', 'room'), ('host', 'sp-main'), ('room', 'eth0'),
    ('room', 'lan0')])
@pytest.mark.parametrize('how', ['mtu 1000', 'name other'])
def test_a_link_that_is_made_small_or_called_otherwise(world, gate, place, link,
                                                       how):
    """Below 1280 bytes the kernel takes IPv6 away. Small once more by hand: the
    next repair does not wait for that link."""
    since = len(gate.log.text())
    with gate.inner as inner, gate.room() as room:
        where = {'gate': inner, 'host': gate.host, 'room': room}[place]
        if how.startswith('name'):
            where.run('ip', 'link', 'set', link, 'down')
        # Down it is not for long: then there is nothing to be called otherwise.
        where.run('ip', 'link', 'set', link, *how.split(),
                  ok=how.startswith('mtu'))
    until(lambda: gate.log.text()[since:].strip(), 'the log says so')
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: 'everybody is answered: ' + gate.log.text()[since:][-2000:])
    assert 'they move' not in gate.log.text()[since:]


@pytest.mark.parametrize('link', ['eth0', 'lan0'])
def test_ipv6_that_is_switched_off_in_a_room_comes_back(world, gate, link):
    """Whoever is root there cannot keep the others from being repaired."""
    with gate.room() as room:
        room.sysctl(f'net/ipv6/conf/{link}/disable_ipv6', 1)
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: 'everybody is answered: ' + gate.log.text()[-2000:])


@pytest.mark.parametrize('place', ['gate', 'host'])
@pytest.mark.parametrize('how', ['delete table inet {}',
                                 'flush table inet {}',
                                 'flush ruleset'])
def test_the_nft_table_comes_back(world, gate, place, how):
    """A18, and nothing leaks meanwhile."""
    before = everywhere(gate)
    since = len(gate.log.text())
    with gate.inner as inner, gate.room() as room, Ear(world) as ear, \
            Sniffer(inner, 'lan') as lan:
        where, table = ((inner, 'sallyport-main') if place == 'gate' else
                        (gate.host, 'sallyport'))
        rules = where.out('nft', '-s', 'list', 'table', 'inet', table)
        talker = Talker(room)
        with stopped(gate.child.pid):  # else the moment is too short to say much in
            where.run('nft', how.format(table))
            talker.said(20)
            talker.connect_all()
        until(lambda: where.out('nft', '-s', 'list', 'table', 'inet', table,
                                ok=False) == rules,
              'the table is as it was')
        talker.stop()
        # The host's table and the gate's are each there when the other one is not.
        assert ear.heard() == []
        assert [str(p) for p in lan.seen(lambda p: SECRET in p.payload)] == []
    check_repaired(world, gate, before, since)


@pytest.mark.parametrize('family', [4, 6])
@pytest.mark.parametrize('place', ['gate', 'host'])
@pytest.mark.parametrize('how', ['without a priority', 'at priority 0'])
def test_a_rule_that_is_put_in_front_of_ours(world, gate, place, family, how):
    """F6, as wg-quick does. A rule of priority 0 from later stands behind
    ours; one that is really in front is overtaken by ours."""
    rule = ['not', 'fwmark', '51820', 'table', '51820']
    if how == 'at priority 0':
        rule = ['pref', '0', *rule]
    with gate.inner as inner:
        where = inner if place == 'gate' else gate.host
        where.run('ip', f'-{family}', 'route', 'add', 'unreachable', 'default',
                  'table', '51820')
        where.run('ip', f'-{family}', 'rule', 'add', *rule)
        try:
            doors = ('lan',) if place == 'host' else ('lan', 'vpn')
            if place == 'gate':
                assert wrong_answers(world, doors=doors,
                                     families=(family,)) == []
            else:
                # The host's own replies are not ours; what comes in for the
                # gate is. mallory is on the host's own LAN: ask the rules.
                where.run('ip', f'-{family}', 'route', 'get',
                          gate.address(family=family))
        finally:
            where.run('ip', f'-{family}', 'rule', 'del', *rule)
            where.run('ip', f'-{family}', 'route', 'del', 'unreachable',
                      'default', 'table', '51820')


def test_rules_of_ours_moved_behind_anothers_are_put_in_front(world, gate):
    """The same as `ip rule add pref 0` before us: delete ours, add theirs at
    once, so that ours would be appended behind."""
    with gate.inner as inner:
        line = next(l for l in inner.out('ip', '-4', 'rule').splitlines()
                    if l.startswith('0:') and 'fwmark' in l)
        selector = line.split(':', 1)[1].split()
        inner.run('ip', '-4', 'route', 'add', 'unreachable', 'default',
                  'table', '51821')
        inner.ip('rule add pref 0 iif lan lookup 51821',
                 f'rule del pref 0 {" ".join(selector)}')

        def in_front():
            lines = inner.out('ip', '-4', 'rule').splitlines()
            theirs = next(i for i, l in enumerate(lines) if '51821' in l)
            ours = [i for i, l in enumerate(lines)
                    if l.startswith('0:') and ' lookup 59' in l]
            return len(ours) >= 4 and max(ours) < theirs
        try:
            until(in_front, 'all of ours stand before theirs')
            assert wrong_answers(world) == []
        finally:
            inner.run('ip', 'rule', 'del', 'pref', '0', 'iif', 'lan', 'lookup',
                      '51821')
            inner.run('ip', 'route', 'flush', 'table', '51821')


@pytest.mark.parametrize('place, link', [('host', 'sp-main'), ('gate', 'lan')])
@pytest.mark.parametrize('how', ['in a bridge', 'without ARP'])
def test_a_link_that_is_captured_is_freed(world, gate, place, link, how):
    since = len(gate.log.text())
    with gate.inner as inner:
        where = gate.host if place == 'host' else inner
        if how == 'without ARP':
            where.ip(f'link set {link} arp off')
        else:
            where.ip('link add name br7 type bridge', f'link set {link} master br7')
        try:
            gate.wait_log(f'link {link} was in a bridge or without ARP', since=since)
            until(lambda: wrong_answers(world, seconds=1) == [], 'everybody is answered')
        finally:
            if how == 'in a bridge':
                where.ip('link del br7')


@pytest.mark.parametrize('value', [0, 1, 2])
def test_rp_filter_of_the_gate_may_be_anything(world, gate, value):
    """F18."""
    with gate.inner as inner:
        for where in ('all', 'lan', 'room', 'office'):
            inner.sysctl(f'net/ipv4/conf/{where}/rp_filter', value)
    assert wrong_answers(world) == []


def test_forwarding_that_is_switched_off_is_switched_on(world, gate):
    gate.host.sysctl('net/ipv4/conf/all/forwarding', 0)
    until(lambda: wrong_answers(world, families=(4,), doors=('lan',),
                                seconds=0.5) == [], 'it is put right')


@pytest.fixture(scope='module')
def plain(world, sallyport):
    """Without a VPN, whose client is asked now and then whether it is well."""
    with sallyport.up('plain', '[room]\npublish = 8061:80\n') as plain:
        yield plain


@pytest.mark.parametrize('place, key', [
    ('gate', 'net/ipv4/ip_forward'), ('gate', 'net/ipv4/conf/all/rp_filter'),
    ('gate', 'net/ipv4/conf/all/arp_ignore'), ('gate', 'net/ipv4/fwmark_reflect'),
    ('gate', 'net/ipv6/conf/default/accept_ra'),
    ('gate', 'net/ipv6/conf/all/forwarding'),
    ('room', 'net/ipv4/ip_unprivileged_port_start'),
    ('host', 'net/ipv4/conf/sp-plain/arp_announce')])
def test_sysctls_come_back(plain, place, key):
    """Of some the kernel tells by netlink, of others by inotify; there is no clock
    that has it look."""
    since = len(plain.log.text())
    with plain.inner as inner, plain.room() as room:
        where = {'gate': inner, 'host': plain.host, 'room': room}[place]
        value = where.sysctl(key)
        plain.wait_idle()
        where.sysctl(key, 1 if value in '02' else 0)
        until(lambda: where.sysctl(key) == value, 'it is as it was')
    plain.wait_log('sysctl', since=since)


def test_an_address_is_asked_for_while_routes_are_put_back(plain):
    """Others are taken meanwhile, which has all of them looked at."""
    with plain.inner as inner:
        inner.ip('link add t0 type veth peer name t1')
        inner.sysctl('net/ipv6/conf/t0/accept_dad', 1)
        inner.ip('link set t0 up', 'link set t1 up', 'addr add fd77::1/64 dev t0')

        def is_ours():
            inner.run('ip', 'route', 'del', 'table', 'local', 'local', '127.0.0.0/8', 'dev', 'lo',
                      ok=False)
            return any('local fd77::1 dev t0' in l for l in local_routes(inner))
        until(is_ours, lambda: 'it has a route\n' + inner.out('ip', 'addr'))
        inner.ip('link del t0')


def link_local(where, link):
    """Its link-local addresses and the anycast ones."""
    shown = where.out('ip', '-6', '-o', 'addr', 'show', 'dev', link, 'scope', 'link')
    anycast = [l for l in where.out('cat', '/proc/net/anycast6').splitlines() if link in l]
    return [l.split()[3] for l in shown.splitlines()] + anycast


def test_links_have_no_ipv6_address_of_the_kernels_making(plain):
    """Nor one for any router of a network: each is told to every gate of the host."""
    with plain.inner as inner:
        assert link_local(inner, 'lan') == ['fe80::2/128']
        assert link_local(inner, 'room') == ['fe80::1/128']
    [own] = link_local(plain.host, 'sp-plain')
    assert own.startswith('fe80::') and own.endswith(':1/128')


def test_no_two_gates_have_the_hosts_end_called_alike(sallyport, plain):
    """The kernel keeps equal addresses, and the routes to them, in one list."""
    with sallyport.up('second', '[room]\npublish = 8399\n'):
        assert link_local(plain.host, 'sp-plain') != link_local(plain.host, 'sp-second')


def test_link_local_addresses_of_an_older_version_stay(plain):
    """They were of 64 bits, which a repair would not change: nothing is tried."""
    plain.wait_idle()
    os.kill(plain.child.pid, signal.SIGSTOP)
    own = link_local(plain.host, 'sp-plain')[0].split('/')[0]
    plain.host.ip(f'addr del {own}/128 dev sp-plain',
                  f'addr add {own}/64 dev sp-plain scope link noprefixroute nodad')
    until(lambda: own in plain.host.out(  # a moment later, by a worker of the kernel's
        'ip', '-6', 'route', 'show', 'table', 'local', 'dev', 'sp-plain'), 'its own route')
    since = len(plain.log.text())
    os.kill(plain.child.pid, signal.SIGCONT)
    plain.host.run('ip', 'route', 'flush', 'table', '5900', 'dev', 'sp-plain')
    plain.wait_log('route', since=since)
    plain.wait_idle()
    assert 'fe80' not in plain.log.text()[since:]


@pytest.mark.parametrize('name', ['plain', 'plain.gate'])
def test_names_of_namespaces_come_back(plain, name):
    """Each time; nothing else wakes the supervisor."""
    for how in ('ip netns del {0}', 'ip netns del {0}',
                'umount -l /run/netns/{0} && mv /run/netns/{0} /run/netns/moved', 'ip netns del {0}'):
        plain.wait_idle()
        since = len(plain.log.text())
        plain.host.run('sh', '-c', how.format(name))
        plain.wait_log(f'the name /run/netns/{name} was gone', since=since)
        until(lambda: plain.host.run('ip', 'netns', 'exec', name, 'true', ok=False).returncode == 0,
              'it is there')
        plain.host.run('rm', '-f', '/run/netns/moved')


@pytest.mark.parametrize('name', ['main.gate', 'main'])
def test_a_namespace_whose_name_is_removed_has_it_again(world, gate, name):
    since = len(gate.log.text())
    # Busy: it was just put back between the two steps of this.
    until(lambda: world.servera.run('ip', 'netns', 'del', name, ok=False).returncode == 0,
          'it is gone')
    gate.wait_log(f'the name /run/netns/{name} was gone', since=since)
    until(lambda: gate.exec('true', ok=False).returncode == 0, gate.log.text)
    assert wrong_answers(world) == []


def test_local_routes_of_the_hosts_own_links_are_the_hosts(world, gate):
    host = world.servera
    host.ip('link add theirs type veth peer name theirs2', 'link set theirs up',
            'addr add 10.9.8.7/32 dev theirs')
    try:
        before = local_routes(host, ['sp-main'])
        assert local_routes(host, ['theirs'])
        for link in ('theirs', 'sp-main'):
            host.run('ip', '-4', 'route', 'flush', 'table', 'local', 'dev', link)
        until(lambda: local_routes(host, ['sp-main']) == before, gate.log.text)
        assert not [l for l in local_routes(host, ['theirs']) if '10.9.8.7' in l]
    finally:
        host.ip('link del theirs')


def test_repairs_are_counted_in_status(gate):
    assert gate.status()['repairs']
    for repair in gate.status()['repairs']:
        assert repair['when'] and repair['what']


def test_an_idle_gate_changes_nothing(world, gate):
    """No watch on a clock: an idle second shows no change at all."""
    before = hoststate(world.servera)
    with gate.inner as inner:
        monitor = world.servera.popen(
            ['nsenter', f'--net=/proc/{os.getpid()}/fd/{inner.fd}',
             'timeout', '2', 'ip', 'monitor', 'link', 'address', 'route',
             'rule'], stdout=-1)
        text = monitor.communicate()[0]
    assert text == ''
    assert difference(before, hoststate(world.servera)) == ''
