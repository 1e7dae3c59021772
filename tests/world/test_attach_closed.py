# SPDX-License-Identifier: GPL-2.0-or-later
"""The kill switch of a shared namespace, which tracks no connections: what the
container itself began by the LAN is not heard there, however it began."""
import socket
import struct
import time

import pytest

from lab import container, probe
from lab.host import until
from lab.leak import SECRET, Ear
from lab.world import A4, LAN, LAPTOP2_4, wrong_answers

SERVER = '198.51.100.2:1194/udp'
PORT = 4545

# The answer to a SYN waits in front of the container.
HOLD = f'table ip hold {{ chain hold {{ type filter hook forward priority -400; ' \
       f'ip saddr {LAPTOP2_4} tcp sport {PORT} drop; }}; }}'


@pytest.fixture(scope='module')
def docker(world):
    engine = container.Docker(world.servera, f'{world.dir}/docker')
    container.deployment(engine, world)
    yield engine
    engine.close()


@pytest.fixture
def inner(docker):
    with docker.inside('vpn') as inner:
        yield inner


@pytest.fixture
def attach(sallyport, docker):
    def attach(*words):
        sallyport('attach', *words, 'vpn', ok=True)
    yield attach
    sallyport('detach', 'vpn')


class Conversation:
    """A connection of the container's own to the LAN, past the tunnel."""

    def __init__(self, world, docker, inner):
        self.world = world
        self.far = None
        self.listener = world.laptop2.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((LAPTOP2_4, PORT))
        self.listener.listen()
        self.listener.settimeout(container.UP)
        self.near = inner.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.near.settimeout(container.UP)
        address = docker.inspect('vpn')['NetworkSettings']['IPAddress']
        self.near.bind((address, 0))

    def begin(self, wait=True):
        self.near.setblocking(wait)
        try:
            self.near.connect((LAPTOP2_4, PORT))
        except BlockingIOError:
            pass
        if wait:
            self.far = self.listener.accept()[0]

    def is_heard(self, seconds):
        with Ear(self.world) as ear:
            try:
                self.near.send(SECRET)
            except OSError:
                pass  # refused is as good as dropped: only the wire counts
            return bool(ear.wait_for(lambda p: SECRET in p.payload, seconds))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in (self.near, self.far, self.listener):
            if s:
                s.close()


@pytest.fixture
def own(world, docker, inner):
    inner.ip(f'route replace {LAPTOP2_4} via 172.17.0.1')
    with Conversation(world, docker, inner) as own:
        yield own
    inner.ip(f'route del {LAPTOP2_4}')


@pytest.mark.parametrize('state', ['established', 'half closed', 'spoken to'])
def test_a_connection_from_before_is_not_heard(world, own, attach, state):
    own.begin()
    assert own.is_heard(container.UP)
    if state == 'half closed':
        own.far.shutdown(socket.SHUT_WR)
        assert own.near.recv(16) == b''
    attach('--server', SERVER)
    if state == 'spoken to':
        own.far.send(b'go on')
        assert own.near.recv(16) == b'go on'
    assert not own.is_heard(1)
    assert wrong_answers(world) == []


def test_nor_one_that_was_being_opened(world, own, attach):
    world.servera.run('nft', HOLD)
    try:
        own.begin(wait=False)
        attach('--server', SERVER)
    finally:
        world.servera.run('nft', 'delete table ip hold')
    own.near.setblocking(True)
    assert not own.is_heard(1)


def test_nor_one_whose_permission_is_withdrawn(world, own, attach):
    attach('--server', SERVER, '--server', f'{LAPTOP2_4}:{PORT}/tcp')
    own.begin()
    assert own.is_heard(container.UP)
    attach('--server', SERVER)
    assert not own.is_heard(1)
    assert wrong_answers(world, doors=(LAN,)) == []


def test_a_client_of_the_lan_goes_on_when_the_kill_switch_comes(world, attach, docker):
    attach()
    flow = probe.Flow(world.laptop, A4, 80)
    until(lambda: flow.count > 20, 'it goes')
    for words in (('--server', SERVER), (), ('--server', SERVER)):
        attach(*words)
        count = flow.count
        until(lambda: flow.count > count + 20 or flow.error, 'it goes on')
    assert flow.stop().error is None


def test_nothing_is_tracked(attach, inner):
    attach('--server', SERVER)
    assert ' ct ' not in inner.out('nft', 'list', 'table', 'inet',
                                  'sallyport-attach')


def test_a_service_with_a_port_of_the_kernels_choice_is_none_that_asks(
        world, attach, docker, inner):
    """It answers first what it was asked, and is asked again minutes later."""
    attach('--server', SERVER)
    address = docker.inspect('vpn')['NetworkSettings']['IPAddress']
    with inner.socket(socket.AF_INET, socket.SOCK_DGRAM) as service, \
            world.servera.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for s in (service, client):
            s.settimeout(container.UP)
        service.bind((address, 40000))
        client.sendto(b'question', (address, 40000))
        service.sendto(b'answer', service.recvfrom(16)[1])
        assert client.recv(16) == b'answer'
        known = inner.out('nft', 'list', 'set', 'inet', 'sallyport-attach',
                          'began4')
    assert '40000' not in known


class Ported:
    """A socket of a protocol with ports where UDP has them: UDP-Lite's own, and raw
    ones for SCTP and DCCP, of which this sees but the ports."""

    def __init__(self, where, proto, address, port):
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        self.raw = proto != 136
        self.port = port
        self.skip = 20 if self.raw and family == socket.AF_INET else 0
        self.s = where.socket(family, socket.SOCK_RAW if self.raw
                              else socket.SOCK_DGRAM, proto)
        self.s.settimeout(container.UP)
        self.s.bind((address, 0 if self.raw else port))

    def send(self, data, to, port):
        """True if it was let go."""
        if self.raw:
            data = struct.pack('!HH', self.port, port) + bytes(8) + data
        try:
            self.s.sendto(data, (to, 0 if self.raw else port))
        except PermissionError:
            return False
        return True

    def hears(self, data, seconds=container.UP):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.s.settimeout(max(end - time.monotonic(), 0.01))
            try:
                said = self.s.recv(65536)[self.skip:]
            except TimeoutError:
                return False
            to = said[2:4] if self.raw else struct.pack('!H', self.port)
            if said.endswith(data) and to == struct.pack('!H', self.port):
                return True
        return False


@pytest.mark.parametrize('proto', [33, 132, 136], ids=['dccp', 'sctp', 'udplite'])
@pytest.mark.parametrize('family', ['IPAddress', 'GlobalIPv6Address'])
def test_who_asks_by_a_rare_protocol_is_answered_and_nobody_else(
        world, attach, docker, inner, proto, family):
    settings = docker.inspect('vpn')['NetworkSettings']
    here, there = settings[family], settings[
        'Gateway' if family == 'IPAddress' else 'IPv6Gateway']
    service = Ported(inner, proto, here, 4600)
    client = Ported(world.servera, proto, there, 4700)
    with service.s, client.s:
        assert service.send(b'unasked', there, 4700)
        assert client.hears(b'unasked'), 'without attach it is'
        attach('--server', SERVER)
        assert not service.send(b'unasked', there, 4700)
        assert client.send(b'question', here, 4600)
        assert service.hears(b'question')
        assert not service.send(b'to another port', there, 4701)
        assert service.send(b'answer', there, 4700)
        assert client.hears(b'answer')
