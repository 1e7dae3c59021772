# SPDX-License-Identifier: GPL-2.0-or-later
"""status and --dry-run."""
import json
import os
import re
import signal
import time

import pytest

from lab import probe
from lab.host import stop, until
from lab.state import difference, hoststate
from lab.world import A4, A6, A_VPN4, A_VPN6, SERVICE

CONF = '''
[room]
publish = 80 80/udp 8080:81
[room web]
publish = 443
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80, 81)
        yield gate


def test_json_has_everything(gate, world, sallyport):
    doc = sallyport.status()
    assert doc['schema'] == 1
    g = doc['gates'][0]
    assert (g['name'], g['supervisor_pid']) == ('main', gate.child.pid)
    assert g['state'] == 'up'
    doors = {d['name']: d for d in g['doors']}
    assert (doors['lan']['kind'], doors['office']['kind']) == (
        'lan', 'openvpn')
    assert {d['state'] for d in doors.values()} == {'up'}
    plain = {a.split('/')[0] for a in doors['office']['addresses']}
    assert {A_VPN4, A_VPN6} <= plain
    assert {A4, A6} <= {a.split('/')[0] for a in doors['lan']['addresses']}
    assert {r['name'] for r in g['rooms']} == {'', 'web'}
    ports = {(p['door'], p['proto'], p['port'], p['room'], p['room_port'])
             for p in g['ports']}
    assert ports == {(d, proto, port, room, inner)
                     for d in ('lan', 'office')
                     for proto, port, room, inner in (
                         ('tcp', 80, '', 80), ('udp', 80, '', 80),
                         ('tcp', 8080, '', 81), ('tcp', 443, 'web', 443))}
    assert g['repairs'] == []


COUNTED = 'packets_in', 'bytes_in', 'packets_out', 'bytes_out'


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
@pytest.mark.parametrize('door, asker, dst', [
    ('lan', 'laptop', A4), ('lan', 'laptop', A6), ('office', 'serverb', A_VPN4),
    ('office', 'serverb', A_VPN6)])
def test_each_door_counts_its_own(gate, world, door, asker, dst, proto):
    other = 'office' if door == 'lan' else 'lan'
    before, before_other = gate.door(door), gate.door(other)
    size = 200000
    if proto == 'tcp':
        assert probe.fetch(world.hosts[asker], dst, 80, size) == size
    else:
        for _ in range(5):
            assert probe.udp(world.hosts[asker], dst, 80, payload='x' * 1000).answered
    after, after_other = gate.door(door), gate.door(other)
    grown = {key: after[key] - before[key] for key in COUNTED}
    if proto == 'tcp':
        assert grown['bytes_out'] >= size
    else:
        assert grown['bytes_in'] >= 5000 and grown['bytes_out'] >= 5000
        assert grown['packets_out'] >= 5
    assert grown['packets_in'] >= 5
    # The tunnel's own packets go by the lan door, whose interface counts them.
    if door == 'lan':
        assert after_other['bytes_out'] - before_other['bytes_out'] < 2000


def test_since_is_the_time_of_the_change(gate, world):
    begun = gate.door('office')['since']
    assert 0 <= time.time() - begun < 300
    lan = gate.door('lan')['since']
    until(lambda: time.time() >= begun + 1, 'the next second')
    since = len(gate.log.text())
    os.kill(gate.vpn_pid(), signal.SIGKILL)
    gate.wait_log('office: answers', since=since)
    assert begun < gate.wait_door('office')['since'] <= time.time()
    assert gate.door('lan')['since'] == lan


def test_the_table_names_doors_ports_and_rooms(gate, sallyport):
    text = sallyport('status', 'main', ok=True).stdout
    for word in ('main', 'lan', 'office', A4, A_VPN4, '80', '8080', '443',
                 'web'):
        assert word in text, text
    assert '\x1b' not in text


def test_rooms_and_gates_that_stand_are_suggested(gate, sallyport):
    def suggested(*words):
        return sallyport('complete', '--', *words, ok=True).stdout.split()

    assert sorted(suggested('exec', 'main')) == ['main', 'main.web']
    for verb in ('down', 'status', 'health'):
        assert suggested(verb, 'm') == ['main']
    assert suggested('explain', '--gate=m') == ['--gate=main', ':files']


def test_status_of_nothing(sallyport):
    done = sallyport('status', 'nope')
    assert done.returncode == 1 and 'nope' in done.stderr


def test_status_after_kill_9_says_that_nobody_supervises(world, sallyport):
    with sallyport.up('dead', '[room]\npublish = 99\n') as gate:
        gate.kill9()
        g = sallyport.status('dead')['gates'][0]
        assert g['state'] != 'up'
        assert not g.get('supervisor_pid')
        gate.down()


def commands(text):
    """The lines of a dry run that a person would type."""
    return [l for l in text.splitlines() if l.strip() and
            not l.lstrip().startswith('#')]


def test_dry_run_changes_nothing_and_needs_no_gate(world, sallyport):
    before = hoststate(world.servera)
    done = sallyport('run', '--name', 'dry', '-p', '80', '--vpn', world.office,
                     '--dry-run', '--', 'true', ok=True)
    sallyport.write('dry2', CONF.format(office=world.office))
    up = sallyport('up', 'dry2', '--dry-run', ok=True)
    os.unlink(world.servera.path('/etc/sallyport/dry2.conf'))
    assert difference(before, hoststate(world.servera)) == ''
    for text in (done.stdout, up.stdout):
        assert re.search(r'^\s*ip ', text, re.M), text
        assert 'nft' in text


def test_status_without_any_gate_is_empty(world, sallyport, gate):
    gate.stop()
    doc = json.loads(sallyport('status', '--json', ok=True).stdout)
    assert doc['gates'] == []


def type_in(host, text):
    """As sh runs it. A person leaves out what says "only where it is 1"."""
    done = host.run('sh', '-e', input='\n'.join(
        l for l in text.splitlines() if '# only where' not in l), ok=False)
    assert done.returncode == 0, f'{done.stderr}\n{text}'


def test_what_dry_run_prints_can_be_typed(world, sallyport):
    """On a host of its own: sh runs every line, and the lan door answers."""
    text = sallyport('run', '--name', 'typed', '-p', '8090:80', '--dry-run',
                     '--', 'true', ok=True).stdout
    before = hoststate(world.servera)
    try:
        type_in(world.servera, text)
        service = world.servera.popen(
            ['ip', 'netns', 'exec', 'typed', '/usr/bin/python3', '-I', SERVICE,
             '--name', 'typed', '80'], stdout=-1)
        assert service.stdout.readline() == 'ready\n'
        got = [probe.ask(world.laptop, 'tcp', a, 8090) for a in (A4, A6)]
        stop(service)
    finally:
        done = sallyport('down', 'typed')
    assert [g.by for g in got] == ['typed', 'typed']
    assert done.returncode == 0, done.stderr
    assert difference(before, hoststate(world.servera)) == ''


# A second start finds its interfaces with other numbers and addresses of their own,
# and its packets counted. The switches of loopback depend on when it was up; of none
# of these has it any use.
PASSING = re.compile(r'(?<=@)(if)?\d+|fe80::\w+:\w*ff:fe\w+:\w+(/64)?|'
                     r'(?<= )(\w\w:){5}\w\w(?= )')
SHOWN = '''
ip -br link; ip -br address
for f in 4 6; do ip -$f rule; ip -$f route show table all; done
nft -s list ruleset
grep -rs '' /proc/sys/net/ipv4 /proc/sys/net/ipv6 | grep -v 'ipv4/conf/lo/'; true
'''


def everything(host, name):
    """What commands can make of the network: on the host, in the gate, in its rooms."""
    found = []
    for place in ['', *(n.split()[0] for n in host.out('ip', 'netns').splitlines()
                        if n.split()[0].split('.')[0] == name)]:
        enter = ['ip', 'netns', 'exec', place] if place else []
        text = PASSING.sub('', host.out(*enter, 'sh', '-c', SHOWN))
        found += [f'{place}: {" ".join(line.split())}' for line in text.splitlines()]
    return found


@pytest.mark.parametrize('conf', [
    '[room]\npublish = 8090:80 53/udp\nreach = 172.16.9.0/24 fd00:16:9::/64\n',
    '[room web]\npublish = 8090:80\nreach = db\ndefault = lan\n[room db]\npublish = 5432\n'
    f'[door lan]\npublish = 8090\nlisten = {A4} {A6}\n'], ids=['one room', 'two rooms'])
def test_what_was_typed_is_what_up_makes(world, sallyport, conf):
    """Nothing is left out of the printed commands, and nothing is in them that is not done."""
    host = world.servera
    sallyport.write('same', conf)
    text = sallyport('up', 'same', '--dry-run', ok=True).stdout
    try:
        type_in(host, text)
        typed = everything(host, 'same')
    finally:
        sallyport('down', 'same', ok=True)
    with sallyport.up('same'):
        made = everything(host, 'same')
    odd = [f"- {l}" for l in typed if l not in made] + [f"+ {l}" for l in made if l not in typed]
    assert not odd, "\n".join(odd)
