# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of deploy/kubernetes, run by podman."""
import os
import signal

import pytest
import yaml

from lab import container
from lab.deploy import (SALLYPORT, answered, build_image, for_podman_4,
                        office_secret, read)
from lab.host import until
from lab.leak import Ear, Talker
from lab.world import LAN, VPN, wrong_answers


@pytest.fixture(scope='module')
def podman(world, program):
    engine = container.Podman(world.servera, f'{world.dir}/podman')
    build_image(engine, program, '--isolation', 'chroot')
    yield engine
    engine.close()


@pytest.fixture
def pod(world, podman):
    """Made of deploy/kubernetes/sidecar.yaml, and not started."""
    pod = for_podman_4(yaml.safe_load(read('kubernetes', 'sidecar.yaml')))
    podman('secret', 'create', 'office-vpn', '-', input=office_secret(world))
    podman('network', 'create', '--ipv6', '--subnet', '10.90.0.0/24',
           '--subnet', 'fd00:90::/64', 'pods')
    try:
        podman('kube', 'play', '--start=false', '--network', 'pods', '-',
               input=yaml.safe_dump(pod))
        yield podman
    finally:
        podman('pod', 'rm', '-f', '-t', '0', 'office', ok=False)
        podman('network', 'rm', '-f', 'pods', ok=False)
        podman('secret', 'rm', 'office-vpn', ok=False)


def startup_probe(podman):
    """As the kubelet asks: until it is so, the service is not started."""
    def ask():
        return podman('exec', 'office-vpn', SALLYPORT, 'health', ok=False)
    until(lambda: ask().returncode == 0,
          lambda: f'{ask()}\n{podman("logs", "office-vpn").stderr}',
          container.UP, 0.2)


def test_kubernetes_sidecar_by_podman(world, pod):
    def log():
        return pod('logs', 'office-vpn').stderr
    with Ear(world) as ear:
        pod('start', 'office-web')
        until(ear.heard, 'without the sidecar it is heard')
        pod('stop', '-t', '0', 'office-web')
    with Ear(world) as ear:
        pod('start', 'office-vpn')
        startup_probe(pod)
        pod('start', 'office-web')
        answered(world, (LAN, VPN), (4, 6), log)
        with pod.inside('office-web') as inner:
            talker = Talker(inner)
            talker.said()
            os.kill(pod.pid('office-vpn'), signal.SIGKILL)
            talker.said()
            assert wrong_answers(world, doors=(LAN,)) == [], 'while it restarts'
            startup_probe(pod)
            talker.connect_all()
            talker.stop()
        answered(world, (LAN, VPN), (4, 6), log)
        assert ear.heard() == []
