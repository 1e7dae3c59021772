# SPDX-License-Identifier: GPL-2.0-or-later
"""The same by podman's socket."""
import pytest

from lab import container
from lab.host import until
from lab.world import LAN, VPN, wrong_answers


@pytest.fixture(scope='module')
def engine(world):
    engine = container.Podman(world.servera, f'{world.dir}/podman')
    yield engine
    engine.close()


@pytest.fixture
def podman(world, engine):
    container.deployment(engine, world)
    yield engine
    for name in ('web', 'vpn'):
        engine('rm', '-f', '-t', '0', name)


def test_a_container_of_podman_is_attached_by_name_and_by_id(
        world, sallyport, podman):
    assert wrong_answers(world, doors=(VPN,), families=(4,)) == []
    assert len(wrong_answers(world, doors=(LAN,), families=(4,),
                             seconds=0.7)) == 8
    sallyport('attach', 'vpn', ok=True)
    assert wrong_answers(world, doors=(LAN, VPN), families=(4,)) == []
    sallyport('detach', podman.inspect('vpn')['Id'][:12], ok=True)
    assert len(wrong_answers(world, doors=(LAN,), families=(4,),
                             seconds=0.7)) == 8


def test_its_containers_follow_one_that_restarts(world, sallyport, podman):
    with container.EngineWatch(sallyport, '--podman', '--attach',
                               'vpn') as watch:
        assert wrong_answers(world, doors=(LAN, VPN), families=(4,)) == []
        podman('restart', '-t', '0', 'vpn')
        watch.wait('container "web" was cut off', 'restarted')
        until(lambda: wrong_answers(world, doors=(LAN,), families=(4,),
                                    seconds=1) == [],
              lambda: watch.log.text(), container.UP)
