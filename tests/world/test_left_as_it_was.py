# SPDX-License-Identifier: GPL-2.0-or-later
"""The host is left byte for byte as it was, however a gate ends."""
import os
import signal
import socket
import struct

import pytest

from lab import probe
from lab.host import until
from lab.state import difference, hoststate
from lab.world import A4, wrong_answers

CONF = '''
[room]
publish = 80 80/udp
reach = 172.16.9.0/24
[room two]
publish = 81
[door office]
vpn = {office}
'''

# What an administrator may have there already.
FOREIGN = '''
table inet admin {
	set friends { type ipv4_addr; elements = { 172.16.9.20 } }
	chain input { type filter hook input priority 0; policy accept;
		ip saddr @friends counter accept
	}
}
'''


@pytest.fixture(scope='module')
def host(world):
    """A host with settings of its own in every table."""
    a = world.servera
    a.nft(FOREIGN)
    a.ip('rule add pref 0 to 192.0.2.77 lookup 77',
         'rule add pref 1000 fwmark 0x77 lookup 77',
         'rule add to 192.0.2.78 lookup 77',
         'route add 192.0.2.77/32 via 172.16.5.1 table 77',
         'route add unreachable 192.0.2.79/32',
         'link add other type veth peer name other2',
         'addr add 10.9.9.9/24 dev other',
         'route add 2001:db8:77::/64 via fd00:16:5::1 table 77')
    a.sysctl('net/ipv4/conf/eth0/rp_filter', 2)
    a.sysctl('net/ipv6/conf/eth0/accept_ra', 2)
    a.sysctl('net/ipv6/conf/other/forwarding', 1)
    yield a


@pytest.fixture
def before(host):
    return hoststate(host)


def ended(world, gate, before):
    left = difference(before, hoststate(world.servera))
    if left:
        pytest.fail(left, pytrace=False)
    for pid in gate.pids:
        assert not os.path.exists(f'/proc/{pid}') or state_of(pid) == 'Z'


def state_of(pid):
    with open(f'/proc/{pid}/stat') as f:
        return f.read().rsplit(')', 1)[1].split()[0]


@pytest.fixture
def gate(world, sallyport, before):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        gate.pids = [gate.child.pid, gate.vpn_pid()]
        assert wrong_answers(world) == []
        yield gate


def test_after_down(world, gate, before):
    assert gate.down().returncode == 0
    gate.ended()
    ended(world, gate, before)


@pytest.mark.parametrize('sig', ['SIGTERM', 'SIGINT', 'SIGHUP'])
def test_after_a_signal(world, gate, before, sig):
    assert gate.stop(signal.Signals[sig]) in (0, 128 + signal.Signals[sig])
    ended(world, gate, before)


def test_after_kill_9_and_down(world, gate, before):
    gate.kill9()
    assert gate.down().returncode == 0
    ended(world, gate, before)


def test_gates_go_without_libnftables(world, gate, before, sallyport):
    """With a thousand ports its list of the table took most of `down`'s time."""
    with sallyport.up('other', '[room]\npublish = 8000:80\n') as other:
        other.serve('other', 80)
        for one in gate, other:
            assert probe.ask(world.laptop, 'tcp', A4, 8000).by == 'other'
            one.kill9()
            done = world.servera.run(one.tool.program, 'down', one.name,
                                     env=dict(os.environ, LD_DEBUG='files'))
            assert 'libmnl' in done.stderr
            assert 'libnftables' not in done.stderr
    ended(world, gate, before)


def test_after_kill_9_and_down_without_the_copy_of_old_sysctls(world, gate,
                                                                before):
    """They stand in the host's table."""
    gate.kill9()
    os.unlink(world.servera.path('/run/sallyport/main/before.sysctl'))
    assert gate.down().returncode == 0
    ended(world, gate, before)


def test_after_kill_9_of_everything_and_down(world, gate, before):
    client = gate.vpn_pid()
    gate.kill9()
    try:
        os.kill(client, signal.SIGKILL)
    except ProcessLookupError:
        pass
    assert gate.down().returncode == 0
    ended(world, gate, before)


def test_after_down_of_a_gate_that_was_damaged(world, gate, before):
    """Nobody is there to repair; what is left must still be found."""
    gate.kill9()
    world.servera.run('nft', 'delete', 'table', 'inet', 'sallyport')
    with gate.inner as inner:
        inner.run('ip', 'link', 'del', 'room')
    assert gate.down().returncode == 0
    # Old sysctls stood in the table that somebody deleted, and in a copy.
    ended(world, gate, before)


def test_after_the_next_up_of_a_gate_that_was_damaged(world, gate, before,
                                                      sallyport):
    """Which writes the table anew, and then ends."""
    gate.kill9()
    world.servera.run('nft', 'delete', 'table', 'inet', 'sallyport')
    with sallyport.up('main') as again:
        assert again.down().returncode == 0
        again.ended()
    ended(world, gate, before)


def test_up_after_kill_9_takes_over_without_a_lost_connection(
        world, gate, before, beside, sallyport):
    flow = probe.Flow(world.laptop, A4, 80)
    gate.kill9()
    until(lambda: flow.count > 10, 'it goes on without us')
    with sallyport.up('main') as again:
        assert flow.stop().error is None
        assert beside.stop().stalled() or flow.total_retransmits == 0
        assert wrong_answers(world) == []
        again.pids = [again.vpn_pid()]
        assert again.down().returncode == 0
        again.ended()
        ended(world, again, before)


def test_ten_times_up_and_kill_9_leave_nothing(world, sallyport, before):
    for _ in range(10):
        gate = sallyport.up('main', CONF.format(office=world.office),
                            ready=False)
        gate.wait_log('lan door answers')
        gate.kill9()
        gate.notify.close()
        gate.log.close()
    with sallyport.up('main') as gate:
        assert wrong_answers(world, doors=('lan',), by='room') != []  # nobody
        gate.pids = []
        gate.down()
    ended(world, gate, before)


@pytest.mark.parametrize('moment', [0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 130])
def test_kill_9_at_any_moment_of_the_start_and_down(world, sallyport, before,
                                                    moment):
    gate = sallyport.up('main', CONF.format(office=world.office), ready=False)
    try:
        gate.child.wait(moment / 1000)
    except Exception:
        pass
    gate.kill9()
    gate.notify.close()
    done = sallyport('down', 'main')
    assert done.returncode in (0, 1), done.stderr
    gate.pids = []
    ended(world, gate, before)


def test_a_second_up_of_the_same_gate_is_refused(world, gate, before,
                                                 sallyport):
    done = sallyport('up', 'main')
    assert done.returncode == 1 and 'main' in done.stderr
    assert wrong_answers(world) == []
    gate.stop()
    ended(world, gate, before)


def test_two_gates_side_by_side(world, gate, before, beside, sallyport):
    second = world.openvpn.profile(f'{world.dir}/second.ovpn', 'servera2')
    conf = f'[room]\npublish = 8000:80\n[door second]\nvpn = {second}\n'
    flow = probe.Flow(world.laptop, A4, 80)
    with sallyport.up('other', conf) as other:
        other.serve('other', 80)
        assert probe.ask(world.laptop, 'tcp', A4, 8000).by == 'other'
        assert probe.ask(world.twin, 'tcp', '172.20.0.11', 8000).by == 'other'
        assert wrong_answers(world) == []
        # The one does not reach into the other.
        with gate.room() as room:
            got = probe.ask(room, 'tcp', other.address(), 80,
                            seconds=probe.SILENCE)
            assert not got.answered
    assert wrong_answers(world) == []
    assert flow.stop().error is None
    assert beside.stop().stalled() or flow.total_retransmits == 0
    gate.stop()
    ended(world, gate, before)


def test_the_same_port_twice_on_one_host_is_refused(world, gate, before,
                                                    sallyport):
    sallyport.write('other', '[room]\npublish = 80\n')
    held = hoststate(world.servera)
    done = sallyport('up', 'other')
    assert done.returncode == 1
    assert 'port 80/tcp' in done.stderr
    assert difference(held, hoststate(world.servera)) == ''


def test_the_port_of_a_gate_whose_supervisor_was_killed_is_refused(
        world, gate, before, sallyport):
    """It still leads to that gate, which is up again whenever somebody starts it."""
    sallyport.write('other', '[room]\npublish = 80\n')
    gate.kill9()
    held = hoststate(world.servera)
    done = sallyport('up', 'other')
    assert done.returncode == 1
    assert 'port 80/tcp is gate "main"\'s' in done.stderr
    assert 'sallyport down main' in done.stderr
    assert difference(held, hoststate(world.servera)) == ''
    assert wrong_answers(world, doors=('lan',)) == []
    assert gate.down().returncode == 0
    with sallyport.up('other', '[room]\npublish = 80\n') as other:
        other.serve('other', 80)
        assert probe.ask(world.laptop, 'tcp', A4, 80).by == 'other'
        other.stop()
    ended(world, gate, before)


def test_gates_that_end_in_another_order_restore_what_was_first(
        world, gate, before, sallyport):
    with sallyport.up('other', '[room]\npublish = 8000\n') as other:
        gate.stop()
        assert probe.ask(world.laptop, 'tcp', A4, 8000).how is \
            probe.How.REFUSED, 'the other gate still forwards'
        other.stop()
        other.pids = gate.pids
    ended(world, gate, before)


def elements_of(host, gate):
    """Which of the maps that all gates share have elements of this one."""
    text = host.out('nft', 'list', 'maps', 'inet')
    return [part.split()[0] for part in text.split('\tmap ')[1:]
            if f'comment "{gate}"' in part]


def test_what_a_gate_inherits_outlives_a_repair_of_its_part(
        world, gate, before, sallyport):
    with sallyport.up('other', '[room]\npublish = 8000\n') as other:
        gate.stop()
        hurt = elements_of(world.servera, 'other')[0]
        world.servera.run('nft', 'flush', 'map', 'inet', 'sallyport', hurt)
        until(lambda: hurt in elements_of(world.servera, 'other'), other.log.text)
        other.stop()
        other.pids = gate.pids
    ended(world, gate, before)


def test_a_port_that_a_dead_gate_still_has_is_refused(world, gate, before,
                                                      sallyport):
    """Nobody holds the port any more, but the host's table leads it there."""
    gate.kill9()
    sallyport.write('other', '[room]\npublish = 8000 80/udp\n')
    held = hoststate(world.servera)
    done = sallyport('up', 'other')
    assert done.returncode == 1
    assert 'port 80/udp' in done.stderr and 'down main' in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert difference(held, hoststate(world.servera)) == ''
    assert wrong_answers(world, doors=('lan',)) == []
    assert gate.down().returncode == 0
    ended(world, gate, before)


def test_a_gate_that_comes_and_goes_repairs_nothing_of_another(
        world, gate, before, sallyport):
    def table():
        return world.servera.out('nft', '-s', 'list', 'table', 'inet',
                                 'sallyport')
    alone = table()
    with sallyport.up('other', '[room]\npublish = 8000\n') as other:
        assert table() != alone
        other.stop()
    assert table() == alone
    assert gate.status()['repairs'] == []
    gate.stop()
    ended(world, gate, before)


NETLINK_NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP, NFTABLES = 12, 270, 1, 7
OF_GATES = 0x5a11  # sockets by which gates change nftables, and of which gates hear nothing


def who_changed_nftables(s):
    """The numbers of the sockets, of whom the kernel has told @s so far."""
    found = set()
    while True:
        try:
            data = s.recv(1 << 20)
        except BlockingIOError:
            return found
        while data:
            size, _, _, _, port = struct.unpack_from('=IHHII', data)
            found.add(port >> 16)
            data = data[(size + 3) & ~3:]


def test_a_gate_that_goes_wakes_no_other_one_by_nftables(world, gate, before,
                                                         sallyport):
    with world.servera.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                              NETLINK_NETFILTER) as s:
        s.bind((0, 0))
        s.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, NFTABLES)
        with sallyport.up('other', '[room]\npublish = 8000\n') as other:
            who_changed_nftables(s)
            other.stop()
            assert who_changed_nftables(s) == {OF_GATES}
        world.servera.run('nft', 'add', 'table', 'ip', 'more')
        world.servera.run('nft', 'delete', 'table', 'ip', 'more')
        assert OF_GATES not in who_changed_nftables(s)
    gate.stop()
    ended(world, gate, before)


def test_a_gate_that_comes_and_goes_wakes_no_other_one(world, sallyport):
    """Nor is it woken by anything else, in one try out of some: the kernel has news of
    its own for it."""
    with sallyport.up('still', '[room]\npublish = 8001\n') as still:
        def turns():
            with open(f'/proc/{still.child.pid}/schedstat', encoding='ascii') as f:
                return int(f.read().split()[2])

        def unheard():
            still.wait_idle()
            before = turns()
            with sallyport.up('other', '[room]\npublish = 8000\n') as other:
                other.stop()
            return turns() == before
        until(unheard, 'it sleeps meanwhile')


def test_two_gates_both_come_back_into_the_table(world, gate, before,
                                                 sallyport):
    def chains():
        return sorted(world.servera.out('nft', '-s', 'list', 'ruleset').split())
    with sallyport.up('other', '[room]\npublish = 8000:80\n') as other:
        other.serve('other', 80)
        both = chains()
        for how in ('flush ruleset', 'delete table inet sallyport',
                    'flush chain inet sallyport says',
                    'flush set inet sallyport links'):
            foreign = world.servera.out('nft', 'list', 'ruleset')
            foreign = foreign[foreign.index('table inet admin'):].split(
                '\n}\n')[0] + '\n}\n'
            world.servera.run('nft', how)
            if how == 'flush ruleset':
                world.servera.nft(foreign)
            until(lambda: chains() == both, 'both are there again')
            assert wrong_answers(world, doors=('lan',)) == []
            assert probe.ask(world.laptop, 'tcp', A4, 8000).by == 'other'
        other.stop()
    gate.stop()
    assert 'table inet sallyport' not in world.servera.out('nft', 'list',
                                                           'ruleset')
    assert 'table inet admin' in world.servera.out('nft', 'list', 'ruleset')


# Of gates whose ports led to chains of their own: here to where nobody is.
OLDER = '''
table inet sallyport {
	map from { type ifname : verdict; }
	map ports { type inet_proto . inet_service : verdict; }
	chain outside { type filter hook prerouting priority -300; policy accept;
		iifname vmap @from
	}
	chain publish { type nat hook prerouting priority -100; policy accept;
		fib daddr type local meta l4proto . th dport vmap @ports
	}
%s}
'''
OLDER_GATE = '''
	chain from_{0} {{ ip saddr != 198.18.77.0/26 counter drop; }}
	chain publish_{0} {{
		dnat ip to meta l4proto . th dport map {{ tcp . {1} : 198.18.77.3 . 80 }}
	}}
	chain before_{0} {{ }}
	map from {{ type ifname : verdict; elements = {{ "sp-{0}" : jump from_{0} }}; }}
	map ports {{ type inet_proto . inet_service : verdict;
		elements = {{ tcp . {1} : goto publish_{0} }}; }}
'''


def late_answers(world, sallyport):
    """The gate that was refused the port of another, once that is away."""
    with sallyport.up('late') as late:
        late.serve('late', 80)
        assert probe.ask(world.laptop, 'tcp', A4, 8000).by == 'late'
        late.stop()


def test_what_an_older_version_left_is_taken_over(world, sallyport, before):
    a = world.servera
    a.nft(OLDER % (OLDER_GATE.format('main', 80) + OLDER_GATE.format('dead', 8000)))
    conf = '[room]\npublish = 80\n'
    with sallyport.up('main', conf) as gate:
        gate.pids = [gate.child.pid]
        gate.serve('main', 80)
        assert probe.ask(world.laptop, 'tcp', A4, 80).by == 'main'
        table = a.out('nft', 'list', 'table', 'inet', 'sallyport')
        assert 'publish_main' not in table and '"sp-main" : ' not in table
        # What the other one has goes on as it is, until it goes.
        assert 'goto publish_dead' in table and 'chain outside' in table
        sallyport.write('late', '[room]\npublish = 8000:80\n')
        done = sallyport('up', 'late')
        assert done.returncode == 1 and 'down dead' in done.stderr
        sallyport('down', 'dead', ok=True)
        table = a.out('nft', 'list', 'table', 'inet', 'sallyport')
        assert 'chain outside' not in table and 'map ports {' not in table
        assert probe.ask(world.laptop, 'tcp', A4, 80).by == 'main'
        late_answers(world, sallyport)
        gate.stop()
    ended(world, gate, before)


def test_what_an_older_version_leaves_of_a_gate_goes_by_down(world, gate, before, sallyport):
    """It knows chains, and elements only as far as they lead to such."""
    a = world.servera

    def table():
        return a.out('nft', '-s', 'list', 'table', 'inet', 'sallyport')
    alone = table()
    assert sallyport('down', 'other').returncode == 1
    with sallyport.up('other', '[room]\npublish = 8000:80\n') as other:
        links = [l.split()[1].split('@')[0] for l in a.out('ip', '-o', 'link').splitlines()
                 if 'alias sallyport other' in l]
        other.kill9()
        for name in ('other', 'other.gate'):
            a.run('ip', 'netns', 'del', name)
        for link in links:  # they go with their namespaces, too, but later
            a.run('ip', 'link', 'del', link, ok=False)
        a.run('sh', '-c', 'for c in $(nft list chains inet | grep -o "[a-z]*_other"); do '
              'nft flush chain inet sallyport $c; nft delete chain inet sallyport $c; done')
        a.run('rm', '-rf', '/run/sallyport/other')
        assert '"other"' in table()
        sallyport.write('late', '[room]\npublish = 8000:80\n')
        refused = sallyport('up', 'late')
        assert refused.returncode == 1 and 'down other' in refused.stderr
        done = sallyport('down', 'other')
        assert done.returncode == 0, done.stderr
        assert table() == alone
        assert gate.status()['repairs'] == []
    late_answers(world, sallyport)
    gate.stop()
    ended(world, gate, before)
