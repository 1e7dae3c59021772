# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong, or is done by others, inside a namespace that services share
with a VPN client. What does not happen to it has its control: without `attach`
it does."""
import socket

import pytest

from lab import container, probe
from lab.host import until
from lab.vpn import wg_quick
from lab.world import (A4, A6, A_VPN4, A_VPN6, A_WG4, LAN, LAPTOP4, LAPTOP6, PARTNER4, VPN,
                       World, wrong_answers)

BIG = 200_000


@pytest.fixture(scope='module')
def world():
    world = World(wireguard=True)
    yield world
    world.close()


def answered(world, **kw):
    until(lambda: wrong_answers(world, seconds=1, **kw) == [],
          lambda: '\n'.join(wrong_answers(world, **kw)), container.UP)


# F6 ----------------------------------------------------------------------------

@pytest.fixture
def quick(world, docker):
    """A namespace in which somebody is going to call wg-quick(8)."""
    conf = world.partner_server.conf(f'{world.dir}/wgq.conf', allowed='0.0.0.0/0, ::/0')
    docker.run('vpn', 'sleep', '1000', options=(
        *container.PORTS, '--cap-add', 'NET_ADMIN', '--device', '/dev/net/tun',
        '--security-opt', 'systempaths=unconfined', '--sysctl',
        'net.ipv6.conf.default.disable_ipv6=0', '-v', f'{world.dir}:{world.dir}'))
    docker.service('web', 80, options=('--network', 'container:vpn'))
    yield lambda what: docker('exec', 'vpn', *wg_quick(what, conf))
    docker.remove('web', 'vpn')


def partner_asks(world):
    for proto in 'tcp', 'udp':
        got = probe.ask_until_answered(world.partner, proto, A_WG4, 80)
        assert (got.by, got.saw, got.source) == ('room', PARTNER4, A_WG4)


def test_wg_quick_inside_takes_every_default_and_then_again(world, sallyport, docker, quick):
    assert wrong_answers(world, doors=(LAN,)) == []
    quick('up')
    partner_asks(world)
    assert len(container.lan_lost(world)) == 16, 'the control'
    sallyport('attach', 'vpn', ok=True)
    answered(world, doors=(LAN,))
    partner_asks(world)
    quick('down')
    answered(world, doors=(LAN,))
    quick('up')  # its rules come last, and so before all that are not at 0
    answered(world, doors=(LAN,))
    partner_asks(world)


# F14, F15 ----------------------------------------------------------------------

@pytest.mark.parametrize('client, server', [(LAPTOP4, A4), (LAPTOP6, A6)])
def test_a_tunnel_that_has_the_laptops_own_address(world, sallyport, deployed, client, server):
    """Nobody can serve that client; all others are served."""
    sallyport('attach', 'vpn', ok=True)
    assert wrong_answers(world) == []
    with deployed.inside('vpn') as inner:
        inner.ip(f'addr add {client} dev tun0{" nodad" if ":" in client else ""}')
        assert not probe.ask(world.laptop, 'tcp', server, 80, seconds=probe.SILENCE).answered
        until(lambda: [w for w in wrong_answers(world, seconds=1) if
                       f'laptop asks {server} ' not in w and 'twin asks' not in w] == [],
              'all others are served', container.UP)
        inner.ip(f'addr del {client} dev tun0')
    answered(world)


@pytest.mark.parametrize('address', ['172.17.0.1', 'fd00:17::1'])
def test_a_tunnel_that_has_the_gateways_address_is_told(world, sallyport, deployed, address):
    """Nobody beyond it can be served then; all others are, and that one again
    when the address is gone."""
    family = 6 if ':' in address else 4
    with deployed.inside('vpn') as inner:
        inner.ip(f'addr add {address} dev tun0{" nodad" if ":" in address else ""}')
        said = sallyport('attach', 'vpn', ok=True).stderr
        assert (f'tunnel tun0 has the address {address}, which is the gateway of door eth0: '
                'whoever comes from beyond it is not answered') in said
        assert wrong_answers(world, families=(10 - family,)) == []
        assert wrong_answers(world, doors=(VPN,)) == []
        inner.ip(f'addr del {address} dev tun0')
    sallyport('attach', 'vpn', ok=True)
    answered(world)


def test_a_tunnel_that_has_the_doors_own_address(world, sallyport, deployed):
    sallyport('attach', 'vpn', ok=True)
    with deployed.inside('vpn') as inner:
        inner.ip('addr add 172.17.0.2/32 dev tun0')
        sallyport('attach', 'vpn', ok=True)
        assert wrong_answers(world) == []


# F16, F17 ----------------------------------------------------------------------

@pytest.mark.parametrize('server', [A4, A6])
def test_a_narrow_hop_behind_the_door(world, sallyport, deployed, server):
    """Towards laptop3; the router says how much it passes on."""
    world.core.ip('link set laptop3 mtu 1280')
    try:
        assert not probe.ask(world.laptop3, 'tcp', server, 80,
                             seconds=probe.SILENCE).answered, 'the control'
        sallyport('attach', 'vpn', ok=True)
        assert probe.fetch(world.laptop3, server, 80, BIG) == BIG
    finally:
        world.core.ip('link set laptop3 mtu 1500', 'link set br77 mtu 1500')


@pytest.mark.parametrize('server', [A_VPN4, A_VPN6])
def test_a_narrow_hop_behind_the_tunnel(world, sallyport, deployed, server):
    sallyport('attach', 'vpn', ok=True)
    world.vpnsrv.ip('link set twin mtu 1280')
    try:
        assert probe.fetch(world.twin, server, 80, BIG) == BIG
    finally:
        world.vpnsrv.ip('link set twin mtu 1500')


# What is larger is lost behind the tunnel, both ways, and nobody hears of it.
NARROW = 'table inet narrow { chain narrow { type filter hook forward priority 0; ' \
         'oifname { "tun0", "twin" } meta length > 1280 drop; }; }'


@pytest.mark.parametrize('server', [A_VPN4, A_VPN6])
def test_a_narrow_hop_that_does_not_tell(world, sallyport, deployed, server):
    def fetched(seconds):
        return probe.fetch(world.twin, server, 80, BIG, seconds)

    def may_send():
        with probe.connect(world.twin, server, 80) as s:
            return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    world.vpnsrv.nft(NARROW)
    try:
        sallyport('attach', 'vpn', ok=True)
        assert fetched(1) < BIG and may_send() > 1200, 'the control'
        sallyport('attach', '--mss', '1200', 'vpn', ok=True)
        assert fetched(probe.PATIENCE) == BIG and may_send() <= 1200
    finally:
        world.vpnsrv.nft('delete table inet narrow')


# F18 ---------------------------------------------------------------------------

@pytest.mark.parametrize('strict', [0, 1, 2])
def test_whatever_rp_filter_somebody_sets(world, sallyport, deployed, strict):
    sallyport('attach', 'vpn', ok=True)
    with deployed.inside('vpn') as inner:
        for link in 'all', 'eth0', 'tun0':
            inner.sysctl(f'net/ipv4/conf/{link}/rp_filter', strict)
    assert wrong_answers(world, families=(4,)) == []


# A tunnel's network ------------------------------------------------------------

def test_a_network_of_dockers_is_that_of_the_tunnel(world, sallyport, docker):
    docker('network', 'create', '--subnet', '172.20.0.0/16', 'same')
    try:
        docker.vpn('vpn', world.office, options=(*container.PORTS, '--network', 'same',
                                                 '--ip', '172.20.77.2'))
        docker.service('web', 80, options=('--network', 'container:vpn'))
        assert wrong_answers(world, families=(4,), seconds=0.7) != [], 'the control'
        sallyport('attach', 'vpn', ok=True)
        assert wrong_answers(world, families=(4,)) == []
    finally:
        docker.remove('web', 'vpn')
        docker('network', 'rm', 'same')
