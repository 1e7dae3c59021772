# SPDX-License-Identifier: GPL-2.0-or-later
"""The same by podman's socket."""
import pytest

from lab import container
from lab.world import LAN, VPN, wrong_answers


@pytest.fixture
def podman(world):
    engine = container.Podman(world.servera, f'{world.dir}/podman')
    container.deployment(engine, world)
    yield engine
    engine.close()


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
