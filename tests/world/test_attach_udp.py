# SPDX-License-Identifier: GPL-2.0-or-later
"""UDP services of every style in a namespace that they share with a VPN
client."""
import select
import socket
import time

import pytest

from lab import container
from lab.host import until
from lab.probe import SILENCE
from lab.udp import STYLES
from lab.world import (A4, A6, A_VPN4, A_VPN6, B_VPN4, B_VPN6, LAPTOP4,
                       LAPTOP6)

FIRST = 7000
PORT = dict(zip(STYLES, range(FIRST, FIRST + len(STYLES))))
SIZES = (1, 100, 1400, 8000, 20000)
SAME_PORT = {'learn': 40000, 'alias': 40001}
LAPTOP4_ALIAS, LAPTOP6_ALIAS = '242.16.9.20', 'fd5a:1179:927:ff00::20'

# host, asks, and is seen as. twin is a VPN peer with the laptop's addresses.
CLIENTS = {
    'laptop 4': ('laptop', A4, LAPTOP4), 'laptop 6': ('laptop', A6, LAPTOP6),
    'b 4': ('serverb', A_VPN4, B_VPN4), 'b 6': ('serverb', A_VPN6, B_VPN6),
    'twin 4': ('twin', A_VPN4, LAPTOP4), 'twin 6': ('twin', A_VPN6, LAPTOP6),
}
ALIASES = {LAPTOP4: LAPTOP4_ALIAS, LAPTOP6: LAPTOP6_ALIAS}


@pytest.fixture(scope='module')
def docker(world):
    engine = container.Docker(world.servera, f'{world.dir}/docker')
    ports = [w for p in PORT.values() for w in ('-p', f'{p}:{p}/udp')]
    engine.vpn('vpn', world.office, ports)
    with engine.inside('vpn') as inner:
        mine = [w.split('/')[0] for w in
                inner.run('ip', '-o', 'addr', 'show', 'scope',
                          'global').stdout.split()
                if '/' in w and w[0] in '0123456789abcdef']
    engine.run('udp', '/usr/bin/python3', '-I', '/lab/udp.py', str(FIRST),
               *mine, options=('--network', 'container:vpn'))
    until(lambda: 'ready' in engine('logs', 'udp').stdout,
          lambda: engine('logs', 'udp').stderr, container.UP, 0.05)
    yield engine
    engine.close()


@pytest.fixture(scope='module', params=['learn', 'alias', 'closed'])
def udp(request, docker, world):
    from lab.gate import Sallyport
    program = request.getfixturevalue('program')
    sallyport = Sallyport(program, world)
    mode = 'alias' if request.param == 'alias' else 'learn'
    closed = ('--server', '198.51.100.2:1194/udp')
    sallyport('attach', '--udp', mode,
              *(closed if request.param == 'closed' else ()), 'vpn', ok=True)
    yield mode
    sallyport('detach', 'vpn', ok=True)


class Client:
    def __init__(self, world, name, style, sport=0):
        host, self.dst, self.saw = CLIENTS[name]
        family = socket.AF_INET6 if ':' in self.dst else socket.AF_INET
        self.s = world.hosts[host].socket(family, socket.SOCK_DGRAM)
        if sport:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.s.bind((self.saw, sport))
        self.port = PORT[style]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, data):
        self.s.sendto(data, (self.dst, self.port))

    def receive(self, seconds=3.0):
        p = select.poll()
        p.register(self.s, select.POLLIN)
        if not p.poll(seconds * 1000):
            return None
        data, addr = self.s.recvfrom(65536)
        head, _, rest = data.partition(b' - ')
        return (*head.decode().split()[:2], addr[0], rest)

    def ask(self, data, seconds=20.0):
        """The first datagrams wait for neighbours to be found: until there is
        an answer."""
        end = time.monotonic() + seconds
        while True:
            self.send(data)
            got = self.receive(0.5)
            while got and got[3] != data:
                got = self.receive(0.1)
            if got or time.monotonic() > end:
                return got


def seen_as(client, mode):
    lan = client.dst in (A4, A6)
    return ALIASES[client.saw] if lan and mode == 'alias' else client.saw


@pytest.mark.parametrize('style', STYLES)
def test_control_without_us_the_laptop_is_lost(world, docker, style):
    """But for services that say their source (IP_PKTINFO, bound): these are
    lost, too, as nothing leads their answers."""
    with Client(world, 'laptop 4', style) as laptop:
        laptop.send(b'x')
        assert laptop.receive(SILENCE) is None


@pytest.mark.parametrize('v', '46')
def test_a_conversation_goes_on_when_the_clients_get_aliases(
        world, docker, sallyport, v):
    try:
        sallyport('attach', 'vpn', ok=True)
        with Client(world, f'laptop {v}', 'wildcard') as laptop:
            for mode in ('alias', 'learn', 'alias'):
                assert laptop.ask(b'x')[2] == laptop.dst
                sallyport('attach', '--udp', mode, 'vpn', ok=True)
            assert laptop.ask(b'x')[2] == laptop.dst
    finally:
        sallyport('detach', 'vpn', ok=True)


@pytest.mark.parametrize('name', list(CLIENTS))
@pytest.mark.parametrize('style', STYLES)
def test_every_style_and_size_is_answered(world, docker, udp, style, name):
    if (style, udp) == ('connected', 'learn') and name.startswith('laptop'):
        return  # see below
    with Client(world, name, style) as client:
        for size in SIZES:
            data = bytes([97 + size % 26]) * size
            assert client.ask(data) == (style, seen_as(client, udp),
                                        client.dst, data)


@pytest.mark.parametrize('v', '46')
def test_a_service_that_connects_hears_a_client_again_with_aliases(
        world, docker, udp, v):
    """Learned clients get the first answer; their own socket then listens at
    the tunnel's address. That is what `--udp alias` is for."""
    with Client(world, f'laptop {v}', 'connected') as laptop:
        assert laptop.ask(b'one')[:3] == ('connected', seen_as(laptop, udp),
                                          laptop.dst)
        for data in (b'two', b'three'):
            laptop.send(data)
            if udp == 'alias':
                assert laptop.receive() == ('connected', seen_as(laptop, udp),
                                            laptop.dst, data)


def both(world, style, v, mode):
    return (Client(world, f'laptop {v}', style, SAME_PORT[mode]),
            Client(world, f'twin {v}', style, SAME_PORT[mode]))


@pytest.mark.parametrize('v', '46')
@pytest.mark.parametrize('style', STYLES)
def test_one_address_and_port_on_both_doors_in_turn(world, docker, udp, style,
                                                    v):
    if (style, udp) == ('connected', 'learn'):
        return
    laptop, twin = both(world, style, v, udp)
    with laptop, twin:
        for i in range(10):
            for client in (laptop, twin):
                data = b'%d by %s' % (i, client.dst.encode())
                assert client.ask(data) == (style, seen_as(client, udp),
                                            client.dst, data)


@pytest.mark.parametrize('v', '46')
@pytest.mark.parametrize('style', STYLES)
def test_one_address_and_port_on_both_doors_at_once(world, docker, udp, style,
                                                    v):
    """The learned set knows a client's latest door only: for this there are
    aliases."""
    if udp == 'learn':
        return
    laptop, twin = both(world, style, v, udp)
    with laptop, twin:
        assert laptop.ask(b'first') and twin.ask(b'first')
        for i in range(10):
            laptop.send(b'lan%d' % i)
            twin.send(b'vpn%d' % i)
        for client, word in ((laptop, b'lan'), (twin, b'vpn')):
            got = [client.receive() for _ in range(10)]
            assert [g and (*g[:3], g[3][:3]) for g in got] == \
                [(style, seen_as(client, udp), client.dst, word)] * 10
