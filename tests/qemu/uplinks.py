# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts whose way to the LAN is a VLAN, a bond or lies in a VRF: not every kernel that
runs the tests of the world has these, Debian's does."""
import tempfile
from types import SimpleNamespace

from lab import probe
from lab.gate import Sallyport
from lab.host import Host, join, until

A4, A6 = '172.16.5.10', 'fd00:16:5::10'
LAPTOP4, LAPTOP6 = '172.16.5.20', 'fd00:16:5::20'
PLAIN = '[room]\npublish = 80 80/udp\n'


def addresses(host, link, a4, a6):
    host.ip(f'addr replace {a4}/24 dev {link}', f'addr replace {a6}/64 dev {link} nodad')


def answered(laptop):
    for proto in 'tcp', 'udp':
        for dst, saw in (A4, LAPTOP4), (A6, LAPTOP6):
            got = probe.ask_until_answered(laptop, proto, dst, 80)
            assert (got.by, got.saw, got.source) == ('room', saw, dst), got


def cable(laptop, host):
    join(laptop, 'eth0', host, 'eth0')
    return 'eth0', 'eth0'


def vlan(laptop, host):
    cable(laptop, host)
    for each in laptop, host:
        tag(each)
    return 'eth0.100', 'eth0.100'


def tag(host):
    host.ip('link add link eth0 name eth0.100 type vlan id 100', 'link set eth0.100 up')


def bond(laptop, host):
    laptop.ip('link add br0 type bridge', 'link set br0 up')
    host.ip('link add bond0 type bond mode active-backup miimon 20')
    for n in '0', '1':
        join(laptop, 'p' + n, host, 'eth' + n)
        laptop.ip(f'link set p{n} master br0')
        host.ip(f'link set eth{n} down', f'link set eth{n} master bond0')
    host.ip('link set bond0 up')
    return 'br0', 'bond0'


def vrf(laptop, host):
    host.ip('link add mgmt type vrf table 50', 'link set mgmt up')
    ends = cable(laptop, host)
    host.ip('link set eth0 master mgmt')
    return ends


def is_made_anew(laptop, host, gate):
    """As by `ifdown` and `ifup`."""
    answered(laptop)
    host.ip('link del eth0.100')
    tag(host)
    addresses(host, 'eth0.100', A4, A6)
    answered(laptop)


def loses_a_cable(laptop, host, gate):
    answered(laptop)
    used = '/sys/class/net/bond0/bonding/active_slave'
    assert 'eth0' in host.out('sh', '-c', f'mount -t sysfs s /sys && cat {used}')
    laptop.ip('link set p0 down')
    until(lambda: 'eth1' in host.out('cat', used), 'the other one is used')
    answered(laptop)


def is_told(laptop, host, gate):
    """Nobody is answered in a VRF; who follows what is said of it is, outside."""
    for dst in A4, A6:
        gate.wait_log(f'does not answer on {dst}: eth0 is in the VRF mgmt')
        assert not probe.ask(laptop, 'tcp', dst, 80, seconds=probe.SILENCE).answered
    told = next(l for l in gate.log.text().splitlines() if 'VRF' in l)
    host.run(*told.partition('out: ')[2].split())
    addresses(host, 'eth0', A4, A6)
    answered(laptop)


def beside_a_gate(program, make, happens):
    laptop, host = Host('laptop'), Host('servera', mounts=True)
    net = SimpleNamespace(dir=tempfile.mkdtemp(prefix='sallyport-qemu-'))
    try:
        far, near = make(laptop, host)
        addresses(laptop, far, LAPTOP4, LAPTOP6)
        addresses(host, near, A4, A6)
        with Sallyport(program, net, host).up('main', PLAIN) as gate:
            gate.serve('room', 80)
            happens(laptop, host, gate)
    finally:
        host.close()
        laptop.close()


def uplinks(tap, program):
    for make, happens in (vlan, is_made_anew), (bond, loses_a_cable), (vrf, is_told):
        tap.check(f'an uplink by a {make.__name__} {happens.__name__.replace("_", " ")}',
                  beside_a_gate, program, make, happens)
