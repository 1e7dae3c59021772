# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts and hands that nobody planned for: output that nobody reads, many starts
at once, somebody who tidies up below /run. One clear error, or it works; and
nothing is left behind either way."""
import contextlib
import os
import signal
import socket
import subprocess

import pytest

from lab import probe
from lab.gate import Sallyport
from lab.host import Host, join, stop, until
from lab.state import difference, hoststate
from lab.world import A_VPN4, A_VPN6, B_VPN4, B_VPN6, LAPTOP4, wrong_answers

pytestmark = pytest.mark.usefixtures('as_it_was')

PLAIN = '[room]\npublish = 80\n'
CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''
SAYS_READY = ['sh', '-c', 'echo ready; exec sleep 600']


def is_up(sallyport, name):
    return [g for g in sallyport.status()['gates']
            if g['name'] == name and g['state'] == 'up']


# Output -----------------------------------------------------------------------

@pytest.mark.parametrize('words', [
    'status --json', 'status', 'run --dry-run -p 80 -- true', '--version',
    'help', 'snapshot', 'explain 172.16.9.20 172.16.5.10:22',
    'rehearse --routes 172.16.0.0/12'])
def test_what_cannot_be_written_is_no_success(sallyport, words):
    """A full disk: half of the data and exit status 0 would be believed."""
    done = sallyport.host.run('sh', '-c', f'{sallyport.program} {words} >/dev/full',
                              ok=False)
    assert done.returncode != 0
    assert 'standard output' in done.stderr, done.stderr


@pytest.mark.parametrize('closed', ['<&-', '>&-', '2>&-', '<&- >&- 2>&-',
                                    '>/dev/full 2>/dev/full'])
def test_a_command_runs_whatever_its_output_is(sallyport, closed):
    done = sallyport.host.run(
        'sh', '-c', f'{sallyport.program} run --name mute -- sh -c "exit 7" {closed}',
        ok=False)
    assert done.returncode == 7


def test_a_reader_who_goes_away_does_not_end_the_service(world, sallyport):
    """run ... 2>&1 | head: the next line of our log finds nobody, and the service
    has no part in that."""
    read, write = os.pipe()
    child = world.servera.popen(
        [sallyport.program, 'run', '--name', 'piped', '--vpn', world.office, '--',
         *SAYS_READY], stdout=subprocess.PIPE, stderr=write)
    os.close(write)
    try:
        assert child.stdout.readline() == 'ready\n'
        os.close(read)
        # Which the log tells.
        until(lambda: child.poll() is not None or is_up(sallyport, 'piped'),
              'the VPN door answers')
        assert child.poll() is None
    finally:
        stop(child)


def fill(pipe):
    os.set_blocking(pipe, False)
    for size in 4096, 1:
        try:
            while True:
                os.write(pipe, b'x' * size)
        except BlockingIOError:
            pass
    os.set_blocking(pipe, True)


def rule_stands(world):
    return 'lookup 5900' in world.servera.out('ip', '-4', 'rule')


def take_rule_away(world):
    world.servera.run('ip', 'rule', 'del', 'pref', '0', 'to', '198.18.0.0/15')
    until(lambda: rule_stands(world), 'it is repaired')


def test_a_log_that_nobody_reads_stops_nothing(world, sallyport):
    """A pager, or a terminal after Ctrl-S."""
    sallyport.write('stuck', PLAIN)
    read, write = os.pipe()
    child = world.servera.popen([sallyport.program, 'up', 'stuck'], stderr=write)
    try:
        until(lambda: is_up(sallyport, 'stuck'), 'it stands')
        fill(write)
        take_rule_away(world)
        while os.read(read, 65536)[-1:] != b'x':  # as far as it was filled
            pass
        take_rule_away(world)
        assert b'lines were lost' in os.read(read, 65536)
        assert sallyport('down', 'stuck').returncode == 0
        assert child.wait(60) == 0
    finally:
        os.close(read)
        os.close(write)
        stop(child)


# What the caller has ------------------------------------------------------------

def test_a_strict_umask_does_not_keep_a_service_from_its_name_servers(world, sallyport):
    """Which root has on many a host; the service runs as somebody else."""
    done = sallyport.host.run(
        'sh', '-c', 'umask 077; exec "$0" "$@"', sallyport.program, 'run', '--name', 'mask',
        '--user=nobody', '--', 'sh', '-c',
        'cat /etc/resolv.conf /etc/nsswitch.conf && umask', ok=False)
    assert done.returncode == 0, done.stderr
    assert 'gate mask' in done.stdout
    assert done.stdout.splitlines()[-1] == '0077', done.stdout


def test_exec_finds_a_room_whose_names_stand_in_its_supervisors_mounts(world, sallyport):
    """As under a unit with PrivateTmp=yes: nobody else sees what is mounted there."""
    child = world.servera.popen(
        ['unshare', '--mount', '--propagation', 'slave', sallyport.program, 'run', '--name',
         'apart', '--', *SAYS_READY], stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == 'ready\n'
        room = os.readlink(f'/proc/{child_of(child)}/ns/net')
        done = sallyport('exec', 'apart', '--', 'sh', '-c',
                         'readlink /proc/self/ns/net; cat /etc/resolv.conf', ok=True)
        assert done.stdout.startswith(room + '\n') and 'gate apart' in done.stdout
        assert sallyport('exec', 'apart.db', '--', 'true').returncode == 1
        assert sallyport('down', 'apart').returncode == 0
    finally:
        stop(child)


def child_of(child):
    with open(f'/proc/{child.pid}/task/{child.pid}/children') as f:
        return f.read().split()[0]


SQUATTER = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind('\\0sallyport/apart')
os.setuid(int(sys.argv[1]))
s.listen()
print('ready', flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize('uid, found', [(0, True), (65534, False)])
def test_exec_follows_a_supervisors_socket_if_it_is_roots(world, sallyport, uid, found):
    """Whoever comes first has such a name; root must not be led astray by it."""
    child = world.servera.popen(
        ['unshare', '--mount', '--propagation', 'private', 'sh', '-c',
         'mkdir -p /run/netns && mount -t tmpfs none /run/netns && ip netns add apart && '
         'exec /usr/bin/python3 -I -c "$0" "$1"', SQUATTER, uid],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == 'ready\n'
        done = sallyport('exec', 'apart', '--', 'true')
        assert found == ('there is no room' not in done.stderr), done.stderr
    finally:
        stop(child)


# Many at once -------------------------------------------------------------------

def test_commands_that_start_at_once_all_get_a_gate(world, sallyport):
    """Of one name each: the second is told apart by a number."""
    children = [world.servera.popen([sallyport.program, 'run', '--', *SAYS_READY],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for _ in range(5)]
    try:
        said = [c.stdout.readline() for c in children]
        assert said == ['ready\n'] * 5, [c.stderr.read() for c, s in
                                         zip(children, said) if not s]
        names = {g['name'] for g in sallyport.status()['gates']}
        assert names == {'sh', 'sh2', 'sh3', 'sh4', 'sh5'}
    finally:
        for child in children:
            stop(child)


def test_of_many_that_start_one_gate_one_has_it(world, sallyport):
    sallyport.write('par', PLAIN)
    children = [world.servera.popen([sallyport.program, 'up', 'par'],
                                    stderr=subprocess.PIPE) for _ in range(6)]
    try:
        until(lambda: sum(c.poll() is not None for c in children) == 5,
              'all but one have given up')
        for child in children:
            if child.poll() is not None:
                assert child.returncode == 1
                assert 'is up already' in child.stderr.read()
        assert sallyport.status('par')['gates'][0]['state'] == 'up'
        assert sallyport('down', 'par').returncode == 0
    finally:
        for child in children:
            stop(child)


def test_a_firewall_that_refuses_leaves_dockers_as_it_was(world, sallyport):
    """Two chains drop: we have a place in the one, and the other is a person's."""
    world.servera.nft('''
        table ip filter {
            chain DOCKER-USER { counter return; }
            chain FORWARD { type filter hook forward priority 0; policy drop;
                counter jump DOCKER-USER; }
        }
        table inet zfw {
            chain forward { type filter hook forward priority 0; policy drop; }
        }''')
    try:
        held = hoststate(world.servera)
        sallyport.write('fw', PLAIN)
        done = sallyport('up', 'fw')
        assert done.returncode == 1 and 'inet zfw' in done.stderr
        assert difference(held, hoststate(world.servera)) == ''
    finally:
        world.servera.nft('delete table ip filter; delete table inet zfw')


# Hosts ----------------------------------------------------------------------------

@pytest.mark.parametrize('where', ['all', 'default'])
def test_a_host_that_wants_no_ipv6(world, sallyport, where):
    """It gets none, and the VPN has it all the same."""
    host = Host('four', mounts=True)
    join(world.core, 'four', host, 'eth0')
    try:
        world.core.ip('link set four master br5')
        host.ip('addr add 172.16.5.20/24 dev eth0',
                'route add default via 172.16.5.1')
        host.sysctl(f'net/ipv6/conf/{where}/disable_ipv6', 1)
        before = hoststate(host)
        tool = Sallyport(sallyport.program, world, host)
        with tool.up('four', CONF.format(office=world.office)) as gate:
            gate.serve('room', 80)
            assert 'sp-' not in host.out('ip', '-6', 'addr')
            for proto in 'tcp', 'udp':
                got = [probe.ask(world.laptop, proto, '172.16.5.20', 80),
                       probe.ask(world.serverb, proto, A_VPN4, 80),
                       probe.ask(world.serverb, proto, A_VPN6, 80)]
                assert [g.saw for g in got] == [LAPTOP4, B_VPN4, B_VPN6]
        assert difference(before, hoststate(host)) == ''
    finally:
        host.close()


@pytest.mark.parametrize('which', ['all', 'default'])
def test_a_host_that_answers_arp_to_its_own_prefix_alone(world, sallyport, which):
    """arp_ignore=2, as some set it for all interfaces: who asks has to be in the
    subnet. The gate's neighbour is not, as the ends of links have no subnet."""
    world.servera.sysctl(f'net/ipv4/conf/{which}/arp_ignore', 2)
    try:
        with sallyport.up('main', CONF.format(office=world.office)) as gate:
            gate.serve('room', 80)
            with gate.inner as inner, gate.room() as room:
                # What a namespace begins with cannot be shown here: it is the machine's.
                for place, link in (inner, 'lan'), (room, 'eth0'), (room, 'lan0'):
                    for which_of in link, 'all':
                        assert place.sysctl(f'net/ipv4/conf/{which_of}/arp_ignore') == '1'
                for place in inner, room:
                    place.run('ip', 'neigh', 'flush', 'all')
                    place.run('ip', 'neigh', 'flush', 'all')
                    assert wrong_answers(world) == []
    finally:
        world.servera.sysctl(f'net/ipv4/conf/{which}/arp_ignore', 0)


def test_ipv6_that_is_switched_off_on_the_host_and_on_again(world, sallyport):
    """All of its own addresses go with it, which are not ours to put back."""
    a = world.servera
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        assert wrong_answers(world) == []
        a.sysctl('net/ipv6/conf/all/disable_ipv6', 1)
        assert wrong_answers(world, families=(4,)) == []
        since = len(gate.log.text())
        take_rule_away(world)
        assert 'trying again' not in gate.log.text()[since:]
        a.sysctl('net/ipv6/conf/all/disable_ipv6', 0)
        a.ip('addr replace fd00:16:5::10/64 dev eth0 nodad',
             'route replace default via fd00:16:5::1')
        until(lambda: wrong_answers(world, seconds=1) == [], gate.log.text)


@pytest.mark.parametrize('path', ['', 'PATH=/nowhere'])
def test_an_environment_with_nothing_in_it(world, sallyport, path):
    """As cron(8) and su(1) have it: VPN clients are in /usr/sbin."""
    conf = sallyport.write('bare', CONF.format(office=world.office))
    child = world.servera.popen(
        ['env', '-i', *([path] if path else []), sallyport.program, 'up', conf],
        stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_up(sallyport, 'bare'), 'every door answers')
        assert sallyport('down', 'bare').returncode == 0
        assert child.wait(60) == 0
    finally:
        stop(child)


@pytest.mark.parametrize('limit', range(9, 27, 2))
def test_so_few_descriptors_that_it_cannot_start(world, sallyport, limit):
    """However far it came: what it made is gone again."""
    conf = sallyport.write('few', CONF.format(office=world.office))
    done = world.servera.run('sh', '-c', f'ulimit -n {limit}; '
                             f'exec {sallyport.program} up {conf}', ok=False)
    assert done.returncode == 1
    assert 'Too many open files' in done.stderr


def test_somebody_tidies_up_below_run(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        world.servera.run('rm', '-rf', '/run/sallyport')
        since = len(gate.log.text())
        os.kill(gate.vpn_pid(), signal.SIGKILL)
        gate.wait_log('Initialization Sequence Completed', since=since)
        until(lambda: wrong_answers(world, seconds=1) == [], gate.log.text)
        assert gate.exec('cat', '/etc/resolv.conf').returncode == 0


def test_a_supervisor_that_hangs_is_told_with_what_to_do(world, sallyport):
    with sallyport.up('stopped', PLAIN) as gate:
        gate.child.send_signal(signal.SIGSTOP)
        try:
            text = sallyport('status', 'stopped', ok=True).stdout
            assert 'not answering' in text
            assert f'kill -9 {gate.child.pid}' in text
        finally:
            gate.child.send_signal(signal.SIGCONT)


def fill_queue(host, name):
    """Connections to its socket until there is no place for another one."""
    waiting = []
    with contextlib.suppress(BlockingIOError):
        while True:
            waiting.append(host.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            waiting[-1].setblocking(False)
            waiting[-1].connect(f'\0sallyport/{name}')
    return waiting


def test_a_supervisor_that_hangs_and_many_ask_it(world, sallyport):
    with sallyport.up('stopped', PLAIN) as gate:
        gate.child.send_signal(signal.SIGSTOP)
        waiting = fill_queue(world.servera, 'stopped')
        try:
            assert len(waiting) > 1
            text = sallyport('status', 'stopped', ok=True).stdout
            assert 'not answering' in text
            assert 'sallyport/stopped' in text and 'kill -9 0' not in text, text
        finally:
            for one in waiting:
                one.close()
            gate.child.send_signal(signal.SIGCONT)
