# SPDX-License-Identifier: GPL-2.0-or-later
"""IPsec by policies of the kernel, which take packets whatever the routes say.

There is no SA behind the policies here: what they take does not arrive, and
what comes unencrypted where they want it encrypted is dropped. tests/qemu has
strongSwan and the kernel's ESP.
"""
import re
import socket

import pytest

from lab import probe
from lab.guard import Guard, Sessions, ike_daemon, lived_in, quiet_session
from lab.host import PATIENCE, until
from lab.probe import How
from lab.state import difference, hoststate
from lab.world import A4, A6, LAN, LAPTOP2_4, LAPTOP4, wrong_answers

NETS = ('172.16.0.0/12', 'fd00:16::/32')
ENDS = {4: (A4, '198.51.100.2'), 6: ('2001:db8::1', '2001:db8::2')}
DIRS = ('out', 'in', 'fwd')
OURS = 14


@pytest.fixture(scope='module')
def net(world):
    child = world.serve(world.laptop2, 'l2', 8000)
    with lived_in(world) as net:
        yield net
    child.kill()


@pytest.fixture(autouse=True)
def no_policies_afterwards(net):
    yield
    net.servera.run('ip', 'xfrm', 'policy', 'flush', ok=False)


def policy_lines(priority, what='add', action='allow'):
    """As an IKE daemon makes them of a traffic selector on both sides."""
    lines = []
    for subnet in NETS:
        here, there = ENDS[6 if ':' in subnet else 4]
        for way in DIRS:
            src, dst = (here, there) if way == 'out' else (there, here)
            line = f'xfrm policy {what} src {subnet} dst {subnet} dir {way}'
            if what == 'add' and action == 'block':
                line += f' priority {priority} action block'
            elif what == 'add':
                line += (f' priority {priority} tmpl src {src} dst {dst} '
                         'proto esp reqid 1 mode tunnel')
            lines.append(line)
    return '\n'.join(lines) + '\n'


def add_policies(net, priority=371327, **kw):
    net.servera.run('ip', '-batch', '-', input=policy_lines(priority, **kw))


def delete_policies(net):
    net.servera.run('ip', '-batch', '-', input=policy_lines(0, 'delete'))


def policies(net):
    """One text each."""
    return sorted(re.split(r'\n(?=src)', net.servera.out('ip', 'xfrm', 'policy')
                           .strip()))


def ours(net):
    return [p for p in policies(net) if '/0xff000000' in p]


def whole_state(net):
    return hoststate(net.servera) + '\n'.join(policies(net))


def sessions(net):
    return Sessions(net.ssh, net.beside,
                    [(net.laptop, A4), (net.laptop, A6), (net.laptop3, A4),
                     (net.mallory, A4)])


def wrong(net):
    return wrong_answers(net, by='host', doors=(LAN,), seconds=8)


@pytest.fixture
def ike(net):
    with ike_daemon(net.servera) as child:
        yield child


def guarded(program, net, argv=(), options=()):
    return Guard(program, net.servera, net.dir, list(argv), options)


def test_control_without_a_guard_policies_silence_the_host(net):
    lines = sessions(net)
    lines.wait_lines(5)
    add_policies(net)
    got = [probe.ask(net.laptop, proto, dst, 80, seconds=probe.SILENCE).how
           for dst in (A4, A6) for proto in ('tcp', 'udp')]
    assert got == [How.SILENT] * 4
    assert not probe.ping(net.laptop, A4, seconds=probe.SILENCE)
    assert [w for w in lines.wrong(seconds=1) if 'lines lost' in w]


def test_nothing_is_lost_to_policies_that_come_and_go(program, net, ike):
    """Six times, as after each new SA; sessions older than the guard too."""
    before = whole_state(net)
    lines = sessions(net)
    with guarded(program, net) as guard:
        guard.wait_stands()
        assert len(ours(net)) == OURS
        for _ in range(6):
            add_policies(net)
            lines.wait_lines(20)
            assert probe.ping(net.laptop, A4) and probe.ping(net.laptop, A6)
            assert probe.ping(net.laptop, A4, size=3000)
            delete_policies(net)
            lines.wait_lines(20)
        add_policies(net)
        assert wrong(net) == []
        delete_policies(net)
        assert guard.stop() == 0
    assert lines.wrong() == []
    assert difference(before, whole_state(net)) == ''


@pytest.mark.parametrize('here', [A4, A6])
def test_an_older_connection_in_which_the_host_speaks_first_goes_on(program, net,
                                                                  here):
    """It was silent while the guard came, and the policies."""
    with quiet_session(net.servera, here, net.laptop) as (server, client), \
            guarded(program, net) as guard:
        guard.wait_stands()
        add_policies(net)
        guard.wait_log('IPsec is at work here')
        server.sendall(b'first\n')
        assert probe.line(client) == 'first\n'
        client.sendall(b'then\n')
        assert probe.line(server) == 'then\n'


@pytest.fixture
def tracked(net):
    """Server A forwards, as for containers, so the guard tracks connections."""
    net.servera.router()
    yield
    for s in 'net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding':
        net.servera.sysctl(s, 0)


def test_and_one_that_the_guard_saw_before_there_were_policies(program, net, tracked):
    """Twice around: what its first answer is known by counts for the second, too."""
    with quiet_session(net.servera, A4, net.laptop) as (server, client), \
            guarded(program, net) as guard:
        guard.wait_stands()

        def around(word):
            for here, there in ((server, client), (client, server)):
                here.sendall(word)
                assert probe.line(there) == word.decode()
        around(b'first\n')
        around(b'second\n')
        add_policies(net)
        guard.wait_log('IPsec is at work here')
        around(b'third\n')
        delete_policies(net)


def test_a_host_without_ipsec_gets_no_policies(program, net):
    with guarded(program, net) as guard:
        guard.wait_stands()
        assert policies(net) == ['']
        table = net.servera.out('nft', 'list', 'table', 'inet', 'sallyport-guard')
        assert 'xfrm' not in table


def test_policies_out_of_the_blue_are_passed_by_and_ours_go_with_them(program,
                                                                      net):
    lines = sessions(net)
    lines.GAP = 1.0  # until the guard has heard of them
    with guarded(program, net) as guard:
        guard.wait_stands()
        add_policies(net)
        guard.wait_log('IPsec is at work here')
        lines.wait_lines(20)
        assert wrong(net) == []
        delete_policies(net)
        until(lambda: policies(net) == [''], lambda: policies(net), PATIENCE)
        until(lambda: 'xfrm' not in net.servera.out(
            'nft', 'list', 'table', 'inet', 'sallyport-guard'),
              guard.log.text, PATIENCE)
    assert lines.wrong() == []


def test_policies_that_are_older_than_the_guard_are_passed_by(program, net):
    add_policies(net, 1)
    before = whole_state(net)
    with guarded(program, net) as guard:
        guard.wait_stands()
        assert wrong(net) == [], guard.log.text()
        assert guard.stop() == 0
    assert difference(before, whole_state(net)) == ''


def refused(program, net):
    """Why, and the line to type."""
    before = whole_state(net)
    done = net.servera.run(program, 'guard', '--', 'true', ok=False,
                           timeout=PATIENCE)
    assert done.returncode == 1, done.stderr
    assert difference(before, whole_state(net)) == ''
    return done.stderr, done.stderr.splitlines()[-1].strip()


def type_all_lines(program, net):
    """A line for each policy in the way; out and in, of both families."""
    for _ in range(2 * len(NETS)):
        said, line = refused(program, net)
        assert line.startswith('ip xfrm policy '), said
        net.servera.run('sh', '-ec', line)


def test_older_ones_that_no_other_can_precede_are_refused_with_what_to_type(
        program, net):
    """Of equal priority the kernel asks the oldest first."""
    add_policies(net, 0)
    said, _ = refused(program, net)
    assert f'src {NETS[0]} dst {NETS[0]} dir ' in said and 'priority 0' in said
    assert 'by eth0' in said
    type_all_lines(program, net)
    tmpl = 'proto esp reqid 1 mode tunnel'
    kept = [p for p in policies(net) if 'priority 1' in p]
    assert len(kept) == 2 * len(NETS) and all(tmpl in p for p in kept), kept
    with guarded(program, net) as guard:
        guard.wait_stands()
        assert wrong(net) == [], guard.log.text()


def test_older_ones_that_block_are_refused_with_what_to_type(program, net):
    """Only what goes out is blocked before anybody can mark it."""
    add_policies(net, 5, action='block')
    for _ in NETS:
        said, line = refused(program, net)
        assert 'action block' in said and line.startswith('ip xfrm policy delete ')
        assert line.endswith(' dir out')
        net.servera.run('sh', '-ec', line)
    with guarded(program, net) as guard:
        guard.wait_stands()
        assert wrong(net) == [], guard.log.text()


def test_an_older_one_that_takes_somebody_else_is_named(program, net):
    other = 'src 172.16.5.0/24 dst 192.0.2.0/24 dir out'
    net.servera.run('sh', '-ec', f'ip xfrm policy add {other} tmpl src {A4} dst '
                    '198.51.100.2 proto esp reqid 1 mode tunnel')
    with guarded(program, net) as guard:
        guard.wait_log('no guard can pass by', f'{other} (priority 0')
        guard.wait_stands()
        assert wrong(net) == []


def test_policies_that_are_taken_come_back(program, net, ike):
    lines = sessions(net)
    lines.GAP = 1.0
    with guarded(program, net) as guard:
        guard.wait_stands()
        net.servera.run('ip', 'xfrm', 'policy', 'flush')
        guard.wait_log('repaired', f'{OURS} xfrm policies of the guard were missing')
        add_policies(net)
        assert wrong(net) == []
        net.servera.run('ip', 'xfrm', 'policy', 'delete', 'src', '0.0.0.0/0', 'dst',
                        '0.0.0.0/0', 'dir', 'out', 'mark', '0x27000000', 'mask',
                        '0xff000000')
        until(lambda: len(ours(net)) == OURS, guard.log.text, PATIENCE)
        lines.wait_lines(20)
        assert lines.wrong() == []


def test_off_takes_away_what_a_killed_guard_left(program, net):
    add_policies(net)
    before = whole_state(net)
    guard = guarded(program, net)
    guard.wait_stands()
    guard.kill9()
    assert len(ours(net)) == OURS
    assert wrong(net) == []
    guard.off()
    assert difference(before, whole_state(net)) == ''
    guard.close()


def asks_laptop2(net):
    return [probe.ask(net.servera, proto, LAPTOP2_4, 8000,
                      seconds=probe.SILENCE).how for proto in ('tcp', 'udp')]


def test_what_the_host_starts_itself_is_the_policies(program, net):
    add_policies(net)
    with guarded(program, net) as guard:
        guard.wait_stands()
        assert asks_laptop2(net) == [How.SILENT, How.SILENT]


def test_nobody_speaks_in_the_clear_to_what_the_host_began(program, net, ike):
    """It began while there were no policies; from then on it is theirs."""
    listener = net.laptop2.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((LAPTOP2_4, 8100))
    listener.listen()
    peer = net.laptop2.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((LAPTOP2_4, 8100))
    peer.settimeout(PATIENCE)
    with guarded(program, net) as guard, \
            net.servera.socket(socket.AF_INET, socket.SOCK_STREAM) as stream, \
            net.servera.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        guard.wait_stands()
        for s in stream, datagrams:
            s.settimeout(PATIENCE)
            s.connect((LAPTOP2_4, 8100))
        server, _ = listener.accept()
        datagrams.send(b'question')
        _, host = peer.recvfrom(64)
        server.send(b'before')
        peer.sendto(b'before', host)
        assert stream.recv(64) == datagrams.recv(64) == b'before'
        add_policies(net)
        server.send(b'after')
        peer.sendto(b'after', host)
        for s in stream, datagrams:
            s.settimeout(probe.SILENCE)
            with pytest.raises(TimeoutError):
                s.recv(64)
        server.close()
    listener.close()
    peer.close()


def test_what_is_named_by_lan_stays_unencrypted(program, net):
    add_policies(net)
    with guarded(program, net, options=['--lan', f'{LAPTOP2_4}/32']) as guard:
        guard.wait_stands()
        assert asks_laptop2(net) == [How.ANSWERED, How.ANSWERED]
        assert wrong(net) == []


def test_a_policy_that_blocks_replies_is_named(program, net):
    with guarded(program, net) as guard:
        guard.wait_stands()
        add_policies(net, action='block')
        guard.wait_log('action block', f'src {NETS[0]} dst {NETS[0]} dir out')


def test_a_guard_stands_as_long_as_the_policies_of_its_command(program, net):
    script = f'ip -batch - <<X\n{policy_lines(5)}X'
    with guarded(program, net, ['sh', '-c', script]) as guard:
        guard.wait_log('left xfrm policy src')
        assert wrong(net) == []
        delete_policies(net)
        assert guard.child.wait(PATIENCE) == 0, guard.log.text()


def test_a_change_that_nothing_proves_is_taken_back(program, net):
    """The probe's answers are what the policies take."""
    script = f'ip -batch - <<X\n{policy_lines(5)}X\nexec sleep 1000'
    before = whole_state(net)
    with guarded(program, net, ['sh', '-c', script],
                 ['--confirm', '5', '--probe', LAPTOP4]) as guard:
        assert guard.child.wait(PATIENCE) == 1, guard.log.text()
        assert 'everything is taken back' in guard.log.text()
    assert difference(before, whole_state(net)) == ''


def test_the_plan_names_the_policies(program, net):
    add_policies(net)
    out = net.servera.out(program, 'guard', '--dry-run')
    lines = [l for l in out.splitlines() if l.startswith('ip xfrm')]
    assert len(lines) == OURS
    net.servera.run('sh', '-e', '-c', '\n'.join(lines))
    assert len(ours(net)) == OURS
