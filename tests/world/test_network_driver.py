# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport driver`: containers of a Docker network as rooms of a gate."""
import pytest

from lab import container
from lab.driver import Driver
from lab.host import until
from lab.world import LAN, VPN, wrong_answers

GATE = '''
[room]
[door lan]
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def docker(world):
    engine = container.Docker(world.servera, f'{world.dir}/docker',
                              '--live-restore', '--ip6tables=false')
    yield engine
    engine.close()


@pytest.fixture(scope='module')
def driver(sallyport):
    with Driver(sallyport) as driver:
        yield driver


@pytest.fixture
def gate(world, sallyport):
    with sallyport.up('office', GATE.format(office=world.office)) as gate:
        yield gate


@pytest.fixture
def office(docker, driver, gate):
    """The network, behind the gate."""
    docker('network', 'create', '-d', 'sallyport', '-o', 'gate=office',
           'office')
    yield docker
    names = docker('ps', '-aq').stdout.split()
    if names:
        docker.remove(*names)
    docker('network', 'rm', 'office')


def web(docker, *options, name='web', port=80, by='room'):
    return docker.service(name, port, by=by,
                          options=('--network', 'office', *options))


def answered(world, gate, **kw):
    until(lambda: wrong_answers(world, seconds=1, **kw) == [],
          lambda: '\n'.join([gate.log.text(), *wrong_answers(world, **kw)]),
          container.UP, 0.2)


PUBLISH = ('-p', '80:80', '-p', '80:80/udp')


def test_p_publishes_on_the_lan_door(world, office, gate):
    web(office, *PUBLISH)
    answered(world, gate, doors=(LAN,))
    got = wrong_answers(world, doors=(VPN,), seconds=0.5)
    assert got, 'the VPN door has no such port'
