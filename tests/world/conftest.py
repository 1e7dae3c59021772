# SPDX-License-Identifier: GPL-2.0-or-later
"""Every world test runs in a sandbox of its own (lab/sandbox.py)."""
import os
import signal

import pytest

from lab import container, probe, sandbox
from lab.gate import Sallyport
from lab.leak import Ear
from lab.plain import PlainRoom
from lab.sniff import Sniffer
from lab.state import difference, hoststate
from lab.world import LAPTOP2_4, World

LIMIT = 600  # seconds for one test: a hung one must not hang the suite

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get('SALLYPORT') or os.path.normpath(
    os.path.join(HERE, '../../build/sallyport'))


def pytest_configure(config):
    if not sandbox.entered() and not config.option.collectonly:
        sandbox.enter()


class TookTooLong(BaseException):
    """Not an Exception: no handler in a test may swallow it."""


def _too_long(*_):
    raise TookTooLong(f'a test took more than {LIMIT} s')


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)


@pytest.fixture(scope='session')
def program():
    if not os.access(PROGRAM, os.X_OK):
        pytest.fail(f'{PROGRAM} is not built', pytrace=False)
    return PROGRAM


@pytest.fixture(scope='module')
def world():
    world = World()
    yield world
    world.close()


@pytest.fixture
def as_it_was(world):
    """Of a test that leaves anything on Server A."""
    before = hoststate(world.servera)
    yield
    left = difference(before, hoststate(world.servera))
    if left:
        pytest.fail(left, pytrace=False)


@pytest.fixture
def plain(world):
    """What many people build instead: the negative control."""
    plain = PlainRoom(world)
    yield plain
    plain.close()


@pytest.fixture(scope='module')
def docker(world):
    """A real dockerd on Server A."""
    engine = container.Docker(world.servera, f'{world.dir}/docker')
    yield engine
    engine.close()


@pytest.fixture
def deployed(world, docker):
    """A VPN's container and a service that shares its network."""
    container.deployment(docker, world)
    yield docker
    docker.remove('web', 'vpn')


@pytest.fixture
def ear(world):
    """On the LAN, at Server A's cable."""
    with Ear(world) as ear:
        yield ear


@pytest.fixture
def tun(world):
    """At the VPN server's end of the tunnels."""
    with Sniffer(world.vpnsrv, 'tun0') as tun:
        yield tun


@pytest.fixture
def beside(world):
    """A conversation on the LAN that nothing of ours is in the way of."""
    child = world.serve(world.laptop2, 'beside', 80)
    flow = probe.Flow(world.laptop, LAPTOP2_4, 80)
    yield flow
    flow.stop()
    child.kill()


@pytest.fixture(scope='module')
def wide_world():
    """With the partner's WireGuard and the corporation's ocserv."""
    world = World(wireguard=True, openconnect=True)
    yield world
    world.close()


@pytest.fixture(scope='module')
def sallyport(program, world):
    return Sallyport(program, world)


@pytest.fixture(scope='module')
def wide(program, wide_world):
    return Sallyport(program, wide_world)
