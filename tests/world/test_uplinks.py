# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that are connected to the LAN otherwise than by a network card that stays
as it is: whoever was answered without a gate is answered beside it, too."""
import pytest

from lab import probe
from lab.gate import Sallyport
from lab.host import Host, join, until
from lab.sniff import Sniffer, inject, mac, udp_packet
from lab.state import difference, hoststate

A4, A6 = '172.16.5.20', 'fd00:16:5::20'
VM4, VM6 = '172.16.5.50', 'fd00:16:5::50'
OTHER4, OTHER6 = '172.16.5.51', 'fd00:16:5::51'
NEW4, NEW6 = '172.16.5.22', 'fd00:16:5::22'
PLAIN = '[room]\npublish = 80 80/udp\n'


def is_known(host, link, a4):
    """Its neighbours remember the hardware address of who had @a4 in another test."""
    host.ip(f'link set {link} address 02:00:00:00:05:{a4[-2:]}')


def plug_in(world, host, link='eth0'):
    """A cable to Server A's LAN."""
    join(world.core, 'uplink', host, link)
    is_known(host, link, A4)
    world.core.ip('link set uplink master br5')


def addresses(host, link, a4=A4, a6=A6):
    host.ip(f'addr add {a4}/24 dev {link}', f'addr add {a6}/64 dev {link} nodad',
            f'route add default via 172.16.5.1 dev {link}',
            f'route add default via fd00:16:5::1 dev {link}')


@pytest.fixture
def host(world):
    host = Host('odd', mounts=True)
    plug_in(world, host)
    yield host
    world.core.ip('link del uplink')  # at once; the kernel takes its time with namespaces
    host.close()


@pytest.fixture
def tool(world, sallyport, host):
    return Sallyport(sallyport.program, world, host)


def unanswered(askers, destinations, by, seconds=probe.PATIENCE):
    """Who is not answered by @by, and what instead."""
    wrong = []
    for asker in askers:
        for dst in destinations:
            for proto in 'tcp', 'udp':
                got = probe.ask(asker, proto, dst, 80, seconds=2 if wrong else seconds)
                if (got.by, got.source) != (by, dst):
                    wrong.append(f'{asker.name} asks {dst} {proto}: {got}')
    return wrong


# A bridge, with virtual machines ---------------------------------------------------

def bridge(host):
    """Which has the address that the neighbours know, and the card another one."""
    host.ip('link add br0 type bridge', 'link set br0 up', 'addr flush dev eth0',
            'link set eth0 address 02:00:00:00:05:99', 'link set eth0 master br0')
    is_known(host, 'br0', A4)
    host.run('ip', '-6', 'route', 'flush', 'dev', 'eth0', 'default')
    addresses(host, 'br0')


def machine(world, host, name, a4, a6):
    vm = Host(name)
    join(host, name, vm, 'eth0')
    is_known(vm, 'eth0', a4)
    host.ip(f'link set {name} master br0')
    addresses(vm, 'eth0', a4, a6)
    world.serve(vm, name, 80)
    return vm


@pytest.fixture
def machines(world, host):
    """Two of them; the second is started when it is asked for."""
    made = []

    def start(name, a4, a6):
        made.append(machine(world, host, name, a4, a6))
        return made[-1]
    yield start
    for vm in made:
        vm.close()


def hears(world, host, vm, by):
    """Does the machine hear what mallory sends it by the hardware address of @by?"""
    to = mac(host, by)
    with Sniffer(vm, 'eth0', (host, 'vm')) as wire:
        inject(world.mallory, 'eth0', to, udp_packet('172.16.5.66', 4500, VM4, 80, b'by way of'))
        # By the same queues: what was sent before has arrived as well.
        assert probe.udp(world.mallory, VM4, 80).by == 'vm'
        return wire.seen(lambda p: b'by way of' in p.payload)


def test_machines_on_the_lans_bridge_are_heard_beside_a_gate(world, tool, host, machines):
    """Where bridges call netfilter the host seems to forward what it only bridges."""
    assert host.sysctl('net/bridge/bridge-nf-call-iptables') == '1'
    bridge(host)
    vm = machines('vm', VM4, VM6)
    others = [world.laptop, world.mallory]
    host.sysctl('net/ipv4/ip_forward', 1)  # control: a router would
    for link in 'br0', 'eth0':
        assert hears(world, host, vm, link)
    host.sysctl('net/ipv4/ip_forward', 0)
    before = hoststate(host)
    with tool.up('main', PLAIN) as gate:
        gate.serve('room', 80)
        assert unanswered(others, (VM4, VM6), 'vm') == []
        assert unanswered([*others, vm], (A4, A6), 'room') == []
        # Nor does the host route to them, whichever of its addresses a frame is sent to.
        for link in 'br0', 'eth0':
            assert hears(world, host, vm, link) == []
        other = machines('other', OTHER4, OTHER6)
        assert unanswered([*others, vm], (OTHER4, OTHER6), 'other') == []
        assert unanswered([other], (A4, A6), 'room') == []
    host.ip('link del other')
    assert difference(before, hoststate(host)) == ''


# A card that does not stay --------------------------------------------------------

def test_a_card_that_is_made_anew_with_another_address(world, tool, host):
    """As one that is plugged in again, and has what DHCP gives it then. It is another
    interface of the same name, with the kernel's own settings."""
    addresses(host, 'eth0')
    before = host.sysctl('net/ipv4/conf/eth0/forwarding')
    with tool.up('main', PLAIN) as gate:
        gate.serve('room', 80)
        assert unanswered([world.laptop], (A4, A6), 'room') == []
        host.ip('link del eth0')
        plug_in(world, host)
        addresses(host, 'eth0', NEW4, NEW6)
        assert unanswered([world.laptop, world.mallory], (NEW4, NEW6), 'room') == []
        assert gate.status()['doors'][0]['addresses'] == [NEW4, NEW6]
        assert gate.status()['repairs'] == []
    assert host.sysctl('net/ipv4/conf/eth0/forwarding') == before == '0'


def test_a_card_that_becomes_a_port_of_a_bridge(world, tool, host, machines):
    """While the gate stands, and with its first machine."""
    addresses(host, 'eth0')
    with tool.up('main', PLAIN) as gate:
        gate.serve('room', 80)
        assert unanswered([world.laptop], (A4, A6), 'room') == []
        bridge(host)
        vm = machines('vm', VM4, VM6)
        assert unanswered([world.laptop, vm], (A4, A6), 'room') == []
        assert unanswered([world.laptop], (VM4, VM6), 'vm') == []
        assert gate.status()['repairs'] == []


# A firewall that changes under the gate -----------------------------------------------

def test_a_firewall_that_is_closed_under_a_gate_is_the_trouble_that_status_shows(
        world, tool, host):
    """Whoever looks why nobody is answered looks there first."""
    def trouble():
        gate, = tool.status('main')['gates']
        return (gate['state'], gate.get('trouble', ''))

    addresses(host, 'eth0')
    with tool.up('main', PLAIN) as gate:
        gate.serve('room', 80)
        assert trouble() == ('up', '')
        host.run('iptables', '-P', 'FORWARD', 'DROP')
        for close in (), ('iptables', '-F'):
            if close:
                host.run(*close)
            until(lambda: trouble()[0] == 'partly up', gate.log.text)
            assert not probe.ask(world.laptop, 'tcp', A4, 80, seconds=probe.SILENCE).answered
            text = tool('status', 'main').stdout
            assert 'chain FORWARD of table ip filter has policy drop' in text, text
            host.run('sh', '-e', input='\n'.join(
                l for l in text.splitlines() if l.strip().startswith('nft ')))
            until(lambda: trouble() == ('up', ''), gate.log.text)
            assert unanswered([world.laptop], (A4, A6), 'room') == []
        host.run('iptables', '-F')
        until(lambda: trouble()[1], gate.log.text)
        host.run('nft', 'flush', 'ruleset')
        until(lambda: trouble() == ('up', ''), gate.log.text)
        until(lambda: unanswered([world.laptop], (A4, A6), 'room', 2) == [], gate.log.text)


# A table of connections that is full -------------------------------------------------

def fill(where):
    """With conversations that the kernel gives up for no other one."""
    count = int(where.sysctl('net/netfilter/nf_conntrack_max'))
    where.run('conntrack', '-R', '-', input=''.join(
        f'-I -p udp -s 10.{n >> 16}.{n >> 8 & 255}.{n & 255} -d 10.99.0.1 --sport 1 --dport 2 '
        '-t 600 -u ASSURED\n' for n in range(count)), ok=False)


@pytest.mark.parametrize('whose', ['host', 'gate'])
def test_a_full_table_of_connections_is_told_by_status(world, tool, host, whose):
    """As by a client of a file sharing network; new ones are dropped then."""
    addresses(host, 'eth0')
    with tool.up('main', PLAIN) as gate, gate.inner as inner:
        gate.serve('room', 80)
        where = {'host': host, 'gate': inner}[whose]
        fill(where)
        assert not probe.ask(world.laptop, 'udp', A4, 80, seconds=probe.SILENCE).answered
        text = tool('status', 'main').stdout
        assert f"the {whose}'s table of connections is full" in text, text
        most = int(host.sysctl('net/netfilter/nf_conntrack_max'))
        assert f'nf_conntrack_max={2 * most}' in text
        where.run('conntrack', '-F')
        assert unanswered([world.laptop], (A4, A6), 'room') == []
        assert 'trouble' not in tool('status', 'main').stdout
