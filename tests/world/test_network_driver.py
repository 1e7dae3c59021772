# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport driver`: containers of a Docker network as rooms of a gate."""
import json
import os
import signal

import pytest
import yaml

from lab import container
from lab import host as hosts
from lab import probe
from lab.driver import GATE, Driver, again, answered
from lab.host import until
from lab.leak import SECRET
from lab.sniff import Sniffer, inject, inject_tun, mac, udp_packet
from lab.world import (A4, A6, A_VPN4, A_VPN6, B_INET4, B_VPN4, B_VPN6, LAN,
                       LAPTOP2_4, LAPTOP2_6, SELF, VPN, askers, wrong_answers)

COMPOSE = os.path.join(container.LAB,
                       '../../../deploy/compose/network.yml')
PUBLISH = ('-p', '80:80', '-p', '80:80/udp')
ALL = 'sallyport.publish=80@all 80/udp@all'


@pytest.fixture(scope='module')
def docker(world):
    engine = container.Docker(world.servera, f'{world.dir}/docker',
                              '--ip6tables=false')
    yield engine
    engine.close()


@pytest.fixture(scope='module')
def driver(sallyport):
    with Driver(sallyport) as driver:
        yield driver


@pytest.fixture(scope='module')
def gate(world, sallyport):
    with sallyport.up('office', GATE.format(office=world.office)) as gate:
        yield gate


@pytest.fixture
def engine(docker, driver, gate):
    yield docker
    driver.clear(docker)
    until(lambda: len(gate.status()['rooms']) == 1, 'no room is left')


@pytest.fixture
def office(engine, driver):
    """The network, behind the gate."""
    return driver.network(engine, 'office', gate='office')


def web(docker, *options, name='web', port=80, by='room', network='office'):
    return docker.service(name, port, by=by,
                          options=('--network', network, *options))


def addresses(docker, name, network='office'):
    at = docker.inspect(name)['NetworkSettings']['Networks'][network]
    return at['IPAddress'], at['GlobalIPv6Address']


# Who is answered -----------------------------------------------------------

def test_p_publishes_on_the_lan_door_alone(world, office, gate):
    web(office, *PUBLISH)
    answered(world, gate, doors=(LAN, SELF))
    assert len(wrong_answers(world, doors=(VPN,), seconds=0.5)) == 12


def test_an_option_of_the_endpoint_publishes_on_every_door(
        world, office, gate):
    office.service('web', 80, options=(
        '--network', f'name=office,driver-opt={ALL}'))
    answered(world, gate)


def test_a_label_publishes_on_every_door(world, office, gate):
    web(office, '--label', ALL)
    answered(world, gate)
    room = gate.status()['rooms'][1]
    assert room['container'] == 'web'
    assert 'web' in gate.tool('status', 'office', ok=True).stdout


def test_an_option_of_the_network_says_the_doors_of_p(world, engine, driver,
                                                      gate):
    driver.network(engine, 'office', gate='office', doors='all')
    web(engine, *PUBLISH)
    answered(world, gate)


def test_a_label_of_the_image_opens_nothing(world, office, driver, gate):
    with open(f'{office.dir}/Dockerfile', 'w') as f:
        f.write(f'FROM {container.IMAGE}\nLABEL sallyport.publish="80@all"\n')
    office('build', '-q', '-t', 'labelled', '-f', f'{office.dir}/Dockerfile',
           f'{office.dir}/data', env=dict(os.environ, DOCKER_BUILDKIT='0'),
           ok=False)
    office('tag', container.IMAGE, 'plain')
    if 'labelled' not in office('images').stdout:
        pytest.fail('the image was not made')
    office('create', '--name', 'web', '--network', 'office', '-v',
           '/usr:/usr:ro', '-v', f'{container.LAB}:/lab:ro', 'labelled',
           '/usr/bin/python3', '-I', '/lab/service.py', '--name', 'room', '80')
    since = len(driver.log.text())
    office('start', 'web')
    driver.wait('container "web"', 'does not count', since=since)
    assert gate.status()['ports'] == []


def test_two_services_on_port_80_one_to_each_door(world, office, gate):
    web(office, '-p', '80:80', '-p', '80:80/udp', name='lan', by='lan')
    web(office, '--label', 'sallyport.publish=80@office 80/udp@office',
        name='vpn', by='vpn')
    answered(world, gate, by='lan', doors=(LAN, SELF))
    answered(world, gate, by='vpn', doors=(VPN,))


def test_two_services_on_port_80_to_two_ports(world, office, gate):
    web(office, '-p', '80:80', '-p', '80:80/udp', name='one', by='one')
    web(office, '-p', '8080:80', '-p', '8080:80/udp', name='two', by='two')
    answered(world, gate, by='one', doors=(LAN, SELF))
    answered(world, gate, port=8080, by='two', doors=(LAN, SELF))


def test_an_ipv6_network_keeps_dockers_addresses(world, engine, driver, gate):
    driver.network(engine, 'office', '--ipv6', '--subnet', 'fd00:77::/64',
                   gate='office', doors='all')
    web(engine, *PUBLISH)
    answered(world, gate)
    assert gate.status()['rooms'][1]['address6'].startswith('fd00:77::')


def test_dockers_own_addresses_inside_what_the_vpn_pushes(
        world, engine, driver, gate):
    driver.network(engine, 'office', '--subnet', '172.21.0.0/16',
                   gate='office', doors='all')
    web(engine, *PUBLISH)
    answered(world, gate)
    assert gate.status()['rooms'][1]['address4'] == '172.21.0.2'
    child = world.serve(world.serverb, 'b', 90)
    with engine.inside('web') as inside:
        got = probe.ask_until_answered(inside, 'tcp', B_VPN4, 90)
        assert (got.by, got.saw) == ('b', A_VPN4)
        # A host of the VPN that has an address of Docker's pool.
        world.vpnsrv.ip('addr add 172.21.9.9/32 dev lo')
        far = world.serve(world.vpnsrv, 'far', 91)
        got = probe.ask_until_answered(inside, 'tcp', '172.21.9.9', 91)
        assert (got.by, got.saw) == ('far', A_VPN4)
        world.vpnsrv.ip('addr del 172.21.9.9/32 dev lo')
    child.kill()
    far.kill()


def test_the_services_see_who_asks_and_are_known_by_name(world, office, gate):
    web(office, *PUBLISH)
    web(office, name='other')
    got = office('exec', 'other', 'python3', '-c',
                 'import socket as s; c = s.create_connection(("web", 80), 9);'
                 'print(c.recv(99).decode())').stdout.split()
    assert got[0] == 'room'
    assert got[1] in addresses(office, 'other')


def test_rooms_of_two_networks_do_not_reach_each_other(engine, driver, gate):
    driver.network(engine, 'office', gate='office')
    driver.network(engine, 'other', gate='office')
    web(engine)
    web(engine, name='other', network='other')
    with engine.inside('other') as inside:
        for address in addresses(engine, 'web'):
            assert not probe.ask(inside, 'tcp', address, 80,
                                 seconds=0.5).answered


def test_two_networks_behind_two_gates(world, engine, driver, sallyport, gate):
    with sallyport.up('second', '[room]\ndefault = lan\n') as second:
        driver.network(engine, 'office', gate='office')
        driver.network(engine, 'second', gate='second', default='lan')
        web(engine, *PUBLISH)
        web(engine, '-p', '81:80', '-p', '81:80/udp', name='second',
            by='second', network='second')
        answered(world, gate, doors=(LAN, SELF))
        answered(world, second, port=81, by='second', doors=(LAN, SELF))
        # One container in both: Docker says -p again, so other ports.
        engine.remove('web', 'second')
        engine('create', '--name', 'both', '-v', '/usr:/usr:ro', '-v',
               f'{container.LAB}:/lab:ro', '--network',
               'name=office,driver-opt=sallyport.publish=80 80/udp',
               container.IMAGE, '/usr/bin/python3', '-I', '/lab/service.py',
               '--name', 'both', '80')
        engine('network', 'connect', '--driver-opt',
               'sallyport.publish=81:80 81:80/udp', 'second', 'both')
        engine('start', 'both')
        answered(world, gate, by='both', doors=(LAN, SELF))
        with engine.inside('both') as inside:
            assert len([l for l in inside.run(
                'ip', '-br', 'link').stdout.split() if
                l.startswith('eth')]) == 2
        driver.clear(engine)


def test_a_running_container_is_connected(world, office, gate):
    """Its namespace is there before the driver is asked, as with every container
    of Docker 28."""
    web(office, network='none')
    office('network', 'disconnect', 'none', 'web')
    for _ in range(2):
        office('network', 'connect', '--driver-opt', ALL, 'office', 'web')
        answered(world, gate)
        again(gate)
        answered(world, gate)
        office('network', 'disconnect', 'office', 'web')
        until(lambda: len(gate.status()['rooms']) == 1, 'its room is gone')


@pytest.mark.parametrize('flags', [(), ('--ipv6', '--subnet', '172.21.0.0/16',
                                        '--subnet', 'fd00:77::/64')],
                         ids=["the gate's addresses", "Docker's addresses"])
def test_default_lan_and_reach_are_the_networks(world, engine, driver, gate, flags):
    driver.network(engine, 'office', *flags, gate='office',
                   reach=f'{LAPTOP2_4}/32,{LAPTOP2_6}/128')
    web(engine)
    child = world.serve(world.laptop2, 'beside', 90)
    far = world.serve(world.serverb, 'far', 92)
    with engine.inside('web') as inside:
        for address, saw in ((LAPTOP2_4, A4), (LAPTOP2_6, A6)):
            got = probe.ask_until_answered(inside, 'tcp', address, 90)
            assert (got.by, got.saw) == ('beside', saw)
        assert not probe.ask(inside, 'tcp', '172.16.9.20', 90,
                             seconds=0.5).answered
        for address, own in ((B_VPN4, A_VPN4), (B_VPN6, A_VPN6)):
            got = probe.ask_until_answered(inside, 'tcp', address, 92)
            assert (got.by, got.saw) == ('far', own)
    child.kill()
    far.kill()


def test_the_compose_file_as_it_is(world, docker, driver, gate):
    volumes = ['/usr:/usr:ro', f'{container.LAB}:/lab:ro']
    serve = ['/usr/bin/python3', '-I', '/lab/service.py', '--name']
    over = hosts.keep(f'{world.dir}/over.yml', yaml.safe_dump({'services': {
        name: {'image': container.IMAGE, 'volumes': volumes,
               'command': [*serve, name, '80']} for name in ('web', 'other')}}))

    def compose(*argv):
        world.servera.run('docker-compose', '--project-directory', world.dir,
                          '-f', COMPOSE, '-f', over, *argv,
                          timeout=2 * container.UP)
    try:
        compose('up', '-d')
        answered(world, gate, by='web', protos=('tcp',))
        answered(world, gate, by='other', port=8080, protos=('tcp',),
                 doors=(LAN, SELF))
        compose('up', '-d', '--force-recreate')
        answered(world, gate, by='web', protos=('tcp',))
    finally:
        compose('down', '-t', '0')


# What gets out -----------------------------------------------------------------

TALK = f'''
import socket, time
aims = {(B_VPN4, B_VPN6, B_INET4, LAPTOP2_4, LAPTOP2_6)!r}
while True:
    for aim in aims:
        try:
            family = socket.AF_INET6 if ":" in aim else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.sendto({SECRET!r}, (aim, 4444))
        except OSError:
            pass
    time.sleep(0.001)
'''


def test_nothing_leaks_from_the_first_process_on(world, office, gate, ear):
    office.run('talker', 'python3', '-c', TALK,
               options=('--network', 'office', '--cap-add', 'NET_ADMIN'))
    with gate.inner as inner, Sniffer(inner, 'office') as vpn:
        assert vpn.wait_for(lambda p: p.dst == B_VPN4 and p.dport == 4444)
        gate.kill9()
        vpn.forget()
        assert ear.heard() == []
    again(gate)
    with gate.inner as inner, Sniffer(inner, 'office') as vpn:
        assert vpn.wait_for(lambda p: p.dst == B_VPN4 and p.dport == 4444)
        os.kill(gate.vpn_pid(), signal.SIGKILL)
        office('restart', '-t', '0', 'talker')
    with gate.inner as inner, Sniffer(inner, 'office') as vpn:
        assert vpn.wait_for(lambda p: p.dst == B_VPN4 and p.dport == 4444)
    gate.down(ok=True)
    assert ear.heard() == []
    again(gate)
    with gate.inner as inner, Sniffer(inner, 'office') as vpn:
        assert vpn.wait_for(lambda p: p.dst == B_VPN4 and p.dport == 4444)
    assert ear.heard() == []


def test_control_a_container_that_may_is_heard(world, engine, driver, gate,
                                               ear):
    driver.network(engine, 'office', gate='office', default='lan')
    engine.run('talker', 'python3', '-c', TALK,
               options=('--network', 'office'))
    assert ear.wait_for(lambda p: p.dport == 4444 and p.dst == B_INET4)


@pytest.mark.parametrize('dst', [B_VPN4, B_VPN6])
def test_a_container_does_not_say_anothers_address(world, office, gate, dst):
    web(office)
    web(office, name='other')
    own, others = (addresses(office, name)[':' in dst]
                   for name in ('web', 'other'))
    link = next(r['name'] for r in gate.status()['rooms']
                if own in (r['address4'], r['address6']))
    with office.inside('web') as inside, gate.inner as inner, \
            Sniffer(inner, 'office') as vpn:
        to = mac(inner, f'room-{link}')
        said = others, LAPTOP2_6 if ':' in dst else LAPTOP2_4, own
        for port, src in enumerate(said, 4301):
            inject(inside, 'eth0', to, udp_packet(src, port, dst, 4300))
        assert vpn.wait_for(lambda p: p.sport == 4303 and p.dport == 4300)
        assert vpn.seen(lambda p: p.sport in (4301, 4302)) == []


@pytest.mark.parametrize('dst, peer', [(A_VPN4, B_VPN4), (A_VPN6, B_VPN6)])
def test_nobody_in_a_tunnel_says_a_containers_address(world, engine, driver, gate, dst,
                                                     peer):
    """Not even while somebody has the gate's rp_filter off."""
    driver.network(engine, 'office', '--ipv6', '--subnet', '172.21.0.0/16',
                   '--subnet', 'fd00:77::/64', gate='office')
    web(engine, '--label', ALL)
    web(engine, name='other')
    neighbour = addresses(engine, 'other')[':' in dst]
    answered(world, gate)
    with gate.inner as inner:
        keys = [f'net/ipv4/conf/{where}/rp_filter' for where in ('all', 'office')]
        before = [inner.sysctl(key) for key in keys]
        for key in keys:
            inner.sysctl(key, 0)
        with engine.inside('web') as inside, Sniffer(inside, 'eth0') as eth0:
            for src in neighbour, peer:
                inject_tun(world.vpnsrv, 'tun0', udp_packet(src, 4640, dst, 80))
            assert eth0.wait_for(lambda p: p.sport == 4640 and p.src == peer)
            assert {p.src for p in eth0.seen(lambda p: p.sport == 4640 and
                                             p.dport == 80)} == {peer}
        for key, value in zip(keys, before):
            inner.sysctl(key, value)


def test_nobody_of_the_lan_gets_to_an_unpublished_port(world, office, gate):
    web(office, '-p', '81:81')
    outside = until(lambda: [p for p in gate.status()['ports']], 'published')
    assert outside[0]['port'] == 81
    with gate.inner as inner:
        enter = inner.run('nft', 'list', 'map', 'inet', 'sallyport-office',
                          'enter4').stdout
    address = enter.split('elements = {')[1].split(':')[0].strip()
    world.mallory.ip(f'route add {address}/32 via {A4}')
    try:
        for port in (80, 81):
            assert not probe.ask(world.mallory, 'tcp', address, port,
                                 seconds=0.5).answered
    finally:
        world.mallory.ip(f'route del {address}/32')


# What is said to whom --------------------------------------------------------------

def refused(docker, *argv):
    done = docker(*argv, ok=False)
    assert done.returncode, done.stdout
    return done.stderr


def not_started(docker, network, *options):
    """A container of which the driver is to say why. /usr is there, as a Docker
    that looks for the command first (28) must find it."""
    docker.remove('bad')
    return refused(docker, 'run', '--name', 'bad', '-v', '/usr:/usr:ro',
                   '--network', network, *options, container.IMAGE, 'true')


CREATE = ('network', 'create', '-d', 'sallyport')


@pytest.mark.parametrize('options, words', [
    ((), 'which gate? Say it with -o gate=NAME'),
    (('-o', 'gate=nowhere'), 'there is no gate "nowhere": write '
     '/etc/sallyport/nowhere.conf'),
    (('-o', 'gaet=office'), '-o gaet is no option of this driver; did you '
     'mean "gate"?'),
    (('-o', 'gate=../x'), '-o gate: gate name "../x"'),
    (('-o', 'gate='), '-o gate has no value'),
    (('-o', 'gate=office', '--internal'), '--internal means nothing here'),
    (('-o', 'gate=office', '--subnet', '172.20.0.0/16'), 'let the gate give '
     'addresses, with: docker network create -d sallyport --ipam-driver null '
     '-o gate=office'),
])
def test_a_network_that_cannot_be(engine, options, words):
    assert words in refused(engine, *CREATE, *options, 'bad')
    assert 'bad' not in engine('network', 'ls').stdout


def test_a_port_that_cannot_be(office):
    assert 'neither TCP nor UDP' in not_started(office, 'office', '-p',
                                                '80:80/sctp')


@pytest.mark.parametrize('value, words', [
    ('80@nodoor', 'has no door "nodoor"; it has lan, office'),
    ('80x', '"80x" is not a port to publish'),
    ('80@', '"80@" names no door'),
])
def test_a_publish_that_cannot_be(office, gate, value, words):
    assert words in not_started(
        office, f'name=office,driver-opt=sallyport.publish={value}')
    assert len(gate.status()['rooms']) == 1


def test_a_bad_label_is_told_and_the_container_runs(office, driver, gate):
    since = len(driver.log.text())
    web(office, '--label', 'sallyport.publish=80@nodoor')
    driver.wait('container "web"', 'no door "nodoor"', since=since)
    assert gate.status()['ports'] == []


def test_a_port_that_a_program_of_the_host_has(world, office, gate):
    child = world.serve(world.servera, 'host', 80)
    try:
        assert 'is in use on the host (by python3' in not_started(
            office, 'office', '-p', '80:80')
    finally:
        child.kill()
        child.wait()
    office.remove('bad')
    web(office, *PUBLISH)
    answered(world, gate, doors=(LAN,))


def test_a_port_that_another_container_has(world, office, gate):
    web(office, *PUBLISH)
    assert '80/tcp of door "lan" is published already by room' in not_started(
        office, 'office', '-p', '80:80')
    answered(world, gate, doors=(LAN,))


def test_a_network_with_a_container_is_not_removed(world, office, gate):
    web(office, *PUBLISH)
    assert 'active endpoints' in refused(office, 'network', 'rm', 'office')
    answered(world, gate, doors=(LAN,))


def test_a_gate_that_is_not_up(engine, driver, sallyport):
    sallyport.write('later', '[room]\n')
    driver.network(engine, 'later', gate='later')
    assert 'gate "later" is not up: start it with: systemctl start ' \
        'sallyport@later' in not_started(engine, 'later')


def test_more_containers_than_a_gate_has_rooms(office, gate):
    """One room is the configuration's."""
    for i in range(29):
        office('create', '--name', f'c{i}', '--network', 'office', '-v',
               '/usr:/usr:ro', container.IMAGE, 'sleep', '1000')
    office('start', *[f'c{i}' for i in range(29)])
    assert len(gate.status()['rooms']) == 30
    # Whoever ended by itself has made room.
    states = office('inspect', '--format', '{{.Name}} {{.State.Status}} {{.State.ExitCode}}',
                    *[f'c{i}' for i in range(29)]).stdout.splitlines()
    assert [s for s in states if ' running ' not in s] == []
    said = not_started(office, 'office')
    assert 'takes 30 rooms' in said or 'takes no more' in said
    assert len(gate.status()['rooms']) == 30


@pytest.mark.parametrize('flags', [(), ('--subnet', '172.21.0.0/16')],
                         ids=['the gates addresses', 'dockers'])
def test_explain_goes_into_the_container_by_every_door(world, engine, driver,
                                                       gate, flags):
    driver.network(engine, 'office', *flags, gate='office', doors='all')
    web(engine, *PUBLISH)
    answered(world, gate)
    for door, host, server, saw in askers(world, families=(4,)):
        if door == SELF:
            continue
        done = gate.tool('explain', '--json', '--gate', 'office', saw,
                         f'{server}:80')
        assert done.returncode == 0, done.stdout + done.stderr
        legs = [leg['place'] for leg in json.loads(done.stdout)['legs']]
        assert f'container {addresses(engine, "web")[0]}' in legs, legs
