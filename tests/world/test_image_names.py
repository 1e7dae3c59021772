# SPDX-License-Identifier: GPL-2.0-or-later
"""The names that services behind the image ask for: by the VPN's name servers,
and never heard past the tunnel."""
import os

import pytest

from lab import container, probe
from lab import host as hosts
from lab.host import until
from lab.leak import Ear
from lab.names import Names, encode
from lab.world import B_VPN4, PARTNER4, CORP4
from test_image import (RIGHTS, docker, logs, start,  # noqa: F401
                        wait_health)

NAME = 'said.in.the.room'
INSIDE, OUTSIDE = '192.0.2.77', '192.0.2.88'
SERVER = 'vpn.example.net'
LOOK_UP = f'import socket; print(socket.gethostbyname("{NAME}"))'
HINTS = ('-e', 'RES_OPTIONS=timeout:1 attempts:1')


@pytest.fixture(scope='module')
def outside(wide_world):
    """The name server of the host's network."""
    names = Names(wide_world.inet, OUTSIDE, '198.51.100.1',
                  {SERVER: '198.51.100.2'})
    hosts.keep(wide_world.servera.path('/etc/resolv.conf'),
               'nameserver 198.51.100.1\n')
    yield names
    names.close()
    os.unlink(wide_world.servera.path('/etc/resolv.conf'))


@pytest.fixture(params=['bridge', 'own'])
def network(request, outside, docker):  # noqa: F811
    """Docker's own name server is on networks of one's own only."""
    outside.asked.clear()
    if request.param == 'own':
        docker('network', 'create', 'own')
    yield ('--network', request.param)
    docker.remove('web', 'vpn')
    if request.param == 'own':
        docker('network', 'rm', 'own')


@pytest.fixture
def pushed(wide_world):
    """Server B answers for the VPN's names."""
    server = wide_world.openvpn
    names = Names(wide_world.serverb, INSIDE, B_VPN4)
    server.give_a(push=(*server.PUSH, f'dhcp-option DNS {B_VPN4}'))
    yield names
    server.give_a()
    names.close()


def join(engine):
    engine.run('web', 'sleep', '1000', options=('--network', 'container:vpn',
                                                *HINTS))


def look_up(engine):
    return engine('exec', 'web', '/usr/bin/python3', '-c', LOOK_UP,
                  ok=False).stdout.strip()


def heard(ear):
    return [str(p) for p in ear.seen(
        lambda p: encode(NAME) in p.payload)]


def names_go_by_the_tunnel(world, engine, *options):
    start(engine, *options)
    join(engine)
    wait_health(engine, 'ok\n')
    with Ear(world) as ear:
        assert look_up(engine) == INSIDE, logs(engine)
        assert heard(ear) == []


@pytest.mark.parametrize('network', ['bridge'], indirect=True)
def test_the_newer_words_of_openvpn_name_servers_too(
        wide_world, docker, network, pushed):  # noqa: F811
    """dns server N beats dhcp-option, and pull-filter counts."""
    server = wide_world.openvpn
    server.give_a(push=(*server.PUSH, 'dhcp-option DNS 198.51.100.1',
                        'dns server 1 address 198.51.100.1',
                        f'dns server 2 address {B_VPN4}'))
    path = server.profile(f'{wide_world.dir}/words.ovpn', 'servera',
                          extra='pull-filter ignore "dns server 1 "')
    start(docker, *network, *RIGHTS, '-v', f'{path}:/etc/sallyport/vpn.ovpn:ro')
    join(docker)
    wait_health(docker, 'ok\n')
    assert look_up(docker) == INSIDE, logs(docker)


def test_without_us_a_name_is_heard_past_the_tunnel(
        wide_world, docker, network, pushed):  # noqa: F811
    docker.vpn('vpn', wide_world.office, options=network)
    join(docker)
    with Ear(wide_world) as ear:
        assert look_up(docker) == OUTSIDE
        assert heard(ear) != []


def test_names_go_by_openvpns_servers(wide_world, docker, network,  # noqa: F811
                                      outside, pushed):
    """Also the server's own is found, before there is a tunnel, by the name
    server that was there before."""
    world = wide_world
    profile = world.openvpn.profile(f'{world.dir}/by-name.ovpn', 'servera',
                                    remotes=[f'{SERVER} 1194 udp'])
    with Ear(world) as ear:
        start(docker, *network, *RIGHTS, '-v',
              f'{profile}:/etc/sallyport/vpn.ovpn:ro')
        join(docker)
        look_up(docker)  # before the tunnel, perhaps
        wait_health(docker, 'ok\n')
        assert look_up(docker) == INSIDE, logs(docker)
        world.openvpn.close()
        try:
            wait_health(docker, 'does not answer')
            assert look_up(docker) == ''
        finally:
            world.openvpn_again()
        wait_health(docker, 'ok\n')
        until(lambda: look_up(docker) == INSIDE, lambda: logs(docker),
              container.UP, 0.2)
        assert heard(ear) == []
        assert ear.seen(lambda p: encode(SERVER) in p.payload)
    assert NAME not in outside.asked
    docker.remove('web')
    docker('kill', 'vpn')
    docker('start', 'vpn')  # the file is ours, and tells what it was
    wait_health(docker, 'ok\n')
    docker('stop', '-t', '30', 'vpn')
    docker('start', 'vpn')
    wait_health(docker, 'ok\n')


# Debian 12's Docker does not say whom its own server asks.
@pytest.mark.parametrize('network', ['bridge'], indirect=True)
def test_names_go_by_the_servers_that_docker_was_told(
        wide_world, docker, network, outside):  # noqa: F811
    """Where the VPN offers none: by the tunnel, not by Docker's own, which
    could not ask them past the kill switch."""
    names = Names(wide_world.serverb, INSIDE, B_VPN4)
    try:
        names_go_by_the_tunnel(
            wide_world, docker, *network, *RIGHTS, '--dns', B_VPN4, '-v',
            f'{wide_world.office}:/etc/sallyport/vpn.ovpn:ro')
    finally:
        names.close()


def test_names_go_by_wireguards_servers(wide_world, docker, network,  # noqa: F811
                                        outside):
    names = Names(wide_world.hosts['partner'], INSIDE)
    with open(wide_world.partner_conf) as f:
        text = f.read().replace('[Interface]',
                                f'[Interface]\nDNS = {PARTNER4}', 1)
    conf = hosts.keep(f'{wide_world.dir}/dns.conf', text)
    try:
        names_go_by_the_tunnel(wide_world, docker, *network, *RIGHTS, '-v',
                               f'{conf}:/etc/sallyport/vpn.conf:ro')
    finally:
        names.close()


def test_openconnect_and_its_names(wide_world, docker, network,  # noqa: F811
                                   outside):
    """By vpnc-script, which writes the file itself."""
    server = wide_world.corp_server
    names = Names(wide_world.hosts['corp'], INSIDE)
    secret = hosts.keep(f'{wide_world.dir}/corp-secret', 'secret\n')
    try:
        start(docker, *network, *RIGHTS, '-v', f'{secret}:/secret:ro',
              command=('--server', f'{server.address}:443', '--', 'sh', '-c',
                       'exec openconnect --non-inter --passwd-on-stdin -u b '
                       f'--servercert pin-sha256:{server.pin} '
                       f'https://{server.address}/ < /secret'))
        join(docker)
        with Ear(wide_world) as ear:
            until(lambda: look_up(docker) == INSIDE, lambda: logs(docker),
                  container.UP, 0.2)
            assert heard(ear) == []
        wait_health(docker, 'ok\n')
        docker.service('echo', 80, options=('--network', 'container:vpn'))
        with docker.inside('vpn') as inner:
            mine = inner.out('ip', '-br', '-4', 'addr', 'show', 'dev', 'tun0')
        got = probe.ask(wide_world.hosts['corp'], 'tcp',
                        mine.split()[2].split('/')[0], 80)
        assert got.saw == CORP4, logs(docker)
    finally:
        docker.remove('echo')
        names.close()
