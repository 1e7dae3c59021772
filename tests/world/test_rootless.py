# SPDX-License-Identifier: GPL-2.0-or-later
"""Podman of a user who is not root. Its containers are reached by a program
that copies: slirp4netns or rootlessport, and in later versions pasta."""
import os
import shutil
import subprocess

import pytest
import yaml

from lab import container, probe
from lab import host as hosts
from lab.deploy import (SALLYPORT, SERVE, SERVER, THEIRS, answered, build_image, for_podman_4,
                        office_secret, read)
from lab.host import until
from lab.leak import Ear
from lab.world import (A4, A6, LAN, LAPTOP4, LAPTOP6, MALLORY4, MALLORY6, VPN,
                       wrong_answers)

RIGHTS = ('--cap-add', 'NET_ADMIN', '--device', '/dev/net/tun', '--sysctl',
          'net.ipv6.conf.default.disable_ipv6=0')
# slirp4netns keeps the clients' addresses, and knows IPv4 only; rootlessport
# (of rootlesskit) knows both and connects anew, from the container's address.
HANDLERS = (('slirp4netns', (4,), ''), ('rootlesskit', (4, 6), '10.0.2.100'))


def network(handler):
    return ('--network', f'slirp4netns:port_handler={handler},enable_ipv6=true',
            *container.PORTS)


@pytest.fixture(scope='module')
def podman(world, program):
    engine = container.RootlessPodman(world.servera, program)
    engine.office = shutil.copy(world.office, engine.dir)
    os.chmod(engine.office, 0o644)
    world.servera.sysctl('net/ipv4/ip_unprivileged_port_start', 80)
    hooks = f'{engine.dir}/hooks'
    os.makedirs(hooks)
    with open(f'{container.LAB}/../../../dist/oci-hook.json.in') as f:
        hosts.keep(f'{hooks}/sallyport.json', f.read().replace(
            '@sbindir@/sallyport', engine.program))
    engine.argv += ('--hooks-dir', hooks)
    build_image(engine, program, '--isolation', 'chroot')
    yield engine
    engine.close()


def start(podman, name, options, argv, image=container.IMAGE):
    podman('run', '-d', '--name', name, '-v', '/usr:/usr:ro', '-v',
           f'{podman.lab}:/lab:ro', *options, image, *argv)


@pytest.fixture
def pod(podman):
    """Starts containers that end with the test: the VPN's and who joins it."""
    def run(options, argv=THEIRS, image=container.IMAGE):
        file = '/office.ovpn' if argv else '/etc/sallyport/vpn.ovpn'
        start(podman, 'vpn', (*RIGHTS, '-v', f'{podman.office}:{file}:ro',
                              *options), argv, image)
        start(podman, 'web', ('--network', 'container:vpn'), SERVE)
    yield run
    podman('rm', '-f', '-t', '0', 'web', ok=False)
    podman('rm', '-f', '-t', '0', 'vpn', ok=False)


def logs(podman):
    done = podman('logs', 'vpn', ok=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize('handler, families, seen_as', HANDLERS)
def test_the_hook_and_each_port_handler(world, podman, pod, handler, families,
                                        seen_as):
    with Ear(world) as ear:
        pod((*network(handler), '--annotation', 'sallyport.attach=require',
             '--annotation', f'sallyport.server={SERVER}'))
        answered(world, (VPN,), (4, 6), lambda: logs(podman))
        answered(world, (LAN,), families, lambda: logs(podman),
                 lan_seen_as=seen_as)
        assert ear.heard() == []


@pytest.mark.parametrize('handler, families, seen_as', HANDLERS)
def test_our_image_and_each_port_handler(world, podman, pod, handler, families,
                                         seen_as):
    pod(network(handler), (), 'sallyport')
    answered(world, (VPN,), (4, 6), lambda: logs(podman))
    answered(world, (LAN,), families, lambda: logs(podman),
             lan_seen_as=seen_as)
    assert podman('exec', 'vpn', SALLYPORT, 'health').stdout == 'ok\n'


@pytest.fixture
def socket(podman):
    """What `systemctl --user enable --now podman.socket` gives."""
    path = f'/run/user/{podman.UID}/podman/podman.sock'
    child = podman.host.popen([*podman.argv, 'system', 'service', '-t', '0'])
    until(lambda: os.path.exists(podman.host.path(path)), 'podman answers',
          container.UP)
    yield path
    hosts.stop(child)


def lan_lost(world):
    return len(wrong_answers(world, doors=(LAN,), families=(4,),
                             seconds=0.7)) == 8


def test_attached_by_the_user_and_by_root(world, program, podman, pod, socket):
    def right():
        answered(world, (LAN, VPN), (4,), lambda: logs(podman))
    with Ear(world) as ear:
        pod(network('slirp4netns'))
        podman.wait_vpn('vpn')
        assert lan_lost(world), 'the negative control'
        until(ear.heard, 'nothing keeps it from the LAN')
    theirs = 'unshare', podman.program
    podman(*theirs, 'attach', podman.pid('vpn'))
    right()
    podman(*theirs, 'detach', podman.pid('vpn'))
    assert lan_lost(world)
    world.servera.run(program, 'attach', '--engine', socket, 'vpn')
    right()
    done = podman(*theirs, 'watch', '--attach', 'vpn', ok=False)
    assert done.returncode == 1 and 'needs root of the host' in done.stderr


@pytest.fixture
def played(world, podman):
    """The pod of deploy/kubernetes/sidecar.yaml, not started."""
    pod = for_podman_4(yaml.safe_load(read('kubernetes', 'sidecar.yaml')),
                       {'/usr': '/usr', '/lab': podman.lab})
    podman('secret', 'create', 'office-vpn', '-', input=office_secret(world))
    try:
        podman('kube', 'play', '--start=false', '--network',
               'slirp4netns:port_handler=slirp4netns,enable_ipv6=true', '-',
               input=yaml.safe_dump(pod))
        yield podman
    finally:
        podman('pod', 'rm', '-f', '-t', '0', 'office', ok=False)
        podman('secret', 'rm', 'office-vpn', ok=False)


def test_kubernetes_sidecar_by_podman_kube_play(world, played):
    def log():
        return played('logs', 'office-vpn', ok=False).stderr
    with Ear(world) as ear:
        played('start', 'office-web')
        until(ear.heard, 'without the sidecar it is heard')
        played('stop', '-t', '0', 'office-web')
    with Ear(world) as ear:
        played('start', 'office-vpn')
        played('start', 'office-web')
        answered(world, (VPN,), (4, 6), log)
        answered(world, (LAN,), (4,), log)
        played('restart', '-t', '0', 'office-vpn')
        answered(world, (LAN, VPN), (4,), log)
        assert ear.heard() == []


# Podman has pasta from 4.4 on, and starts it like this: the container has the
# host's own addresses, and clients keep theirs. That of Debian 12 says nothing
# to a service's SYN-ACK until the client has spoken, and sends what comes by
# IPv6 to the container's link-local address.
PASTA = ('pasta', '--config-net', '-q', '-f', '-t', '80', '-u', '80',
         '--no-map-gw')


def client_speaks_first(host, address):
    with probe.connect(host, address, 80, seconds=container.UP) as s:
        s.sendall(b'hello\n')
        return probe.line(s).split()[:2]


def test_pasta(world, podman, pod):
    start(podman, 'pause', ('--network', 'none'), ('sleep', '1000'))
    alice = podman.argv[:podman.argv.index('podman')]
    pasta = podman.host.popen([*alice, *PASTA, str(podman.pid('pause'))],
                              stderr=subprocess.DEVNULL)
    try:
        with podman.inside('pause') as inner:
            until(lambda: 'default' in inner.out('ip', 'route'), 'it is there')
        with Ear(world) as ear:
            pod(('--network', 'container:pause'), (), 'sallyport')
            answered(world, (VPN,), (4, 6), lambda: logs(podman))
            answered(world, (LAN,), (4, 6), lambda: logs(podman), protos=('udp',))
            for host, address, seen_as in (
                    (world.laptop, A4, LAPTOP4), (world.mallory, A4, MALLORY4),
                    (world.laptop, A6, LAPTOP6), (world.mallory, A6, MALLORY6)):
                assert client_speaks_first(host, address) == ['room', seen_as]
            assert ear.heard() == []
    finally:
        hosts.stop(pasta)
        for name in ('web', 'vpn', 'pause'):
            podman('rm', '-f', '-t', '0', name, ok=False)
