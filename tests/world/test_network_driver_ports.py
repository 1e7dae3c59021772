# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport driver`: ports of one address of the host, ports that nobody named,
and one port out of several."""
import json
import subprocess

import pytest

from lab import container, probe
from lab.driver import again, answered
from lab.host import until
from lab.world import A4, A6, A_VPN4, A_VPN6, LAPTOP4, LAPTOP6, VPN, wrong_answers
from test_network_driver import (  # noqa: F401 (fixtures)
    docker, driver, engine, gate, not_started, office, web)

OTHER4, OTHER6 = '172.16.5.12', 'fd00:16:5::12'
PROTOS = 'tcp', 'udp'


@pytest.fixture
def two(world):
    """Server A has a second address of each family on its LAN."""
    changes = [f'dev eth0 {OTHER4}/24', f'dev eth0 {OTHER6}/64 nodad']
    world.servera.ip(*[f'addr add {c}' for c in changes])
    yield world
    world.servera.ip(*[f'addr del {c.replace(" nodad", "")}' for c in changes])


def published(address, *ports):
    at = f'[{address}]' if ':' in address else address
    return [w for port in ports or ('80:80',) for proto in PROTOS
            for w in ('-p', f'{at}:{port}/{proto}')]


def missed(world, hosts, address, port=80, by='room'):
    """Who of @hosts is not answered by @by from that address."""
    return [(host, proto, got) for host in hosts for proto in PROTOS
            if ((got := probe.ask(world.hosts[host], proto, address, port, seconds=1)).by,
                got.source) != (by, address)]


def answer(world, gate, hosts, address, port=80, by='room'):
    until(lambda: not missed(world, hosts, address, port, by),
          lambda: f'{missed(world, hosts, address, port, by)}\n{gate.log.text()}', container.UP, 0.1)


def silent(world, hosts, addresses, port=80):
    return [(host, address, proto) for host in hosts for address in addresses
            for proto in PROTOS if probe.ask(world.hosts[host], proto, address, port,
                                             seconds=probe.SILENCE).answered] == []


LAN = 'laptop', 'mallory', 'servera'


@pytest.mark.parametrize('ours, others', [
    (A4, (OTHER4, A6)), (OTHER4, (A4, OTHER6)), (A6, (OTHER6, A4))])
def test_one_address_answers_and_no_other(two, office, gate, driver,  # noqa: F811
                                          ours, others):
    def only_ours():
        answer(two, gate, LAN, ours)
        assert silent(two, ('laptop', 'servera'), others)
        assert silent(two, ('servera',), ('127.0.0.1',))
        assert silent(two, ('serverb',), (A_VPN6 if ':' in ours else A_VPN4,))
    web(office, *published(ours))
    only_ours()
    assert {p['address'] for p in gate.status()['ports']} == {ours}
    assert f'80/tcp of {ours} -> ' in gate.tool('status', 'office', ok=True).stdout
    driver.kill9()
    gate.kill9()
    again(gate)
    driver.start()
    only_ours()


def test_explain_knows_whose_the_one_address_is(two, office, gate):  # noqa: F811
    web(office, *published(A4), *published(A6))
    answer(two, gate, LAN, A4)
    for client, server, ours in ((LAPTOP4, A4, True), (LAPTOP4, OTHER4, False),
                                 (LAPTOP6, f'[{A6}]', True), (LAPTOP6, f'[{OTHER6}]', False)):
        done = gate.tool('explain', '--json', client, f'{server}:80')
        legs = [leg['place'] for leg in json.loads(done.stdout)['legs']]
        assert ('gate office' in legs) == ours, done.stdout


def test_two_containers_have_one_port_of_two_addresses(two, office, gate):  # noqa: F811
    web(office, *published(A4), *published(A6), name='one', by='one')
    web(office, *published(OTHER4), *published(OTHER6), name='two', by='two')
    for by, addresses in ('one', (A4, A6)), ('two', (OTHER4, OTHER6)):
        for address in addresses:
            answer(two, gate, LAN, address, by=by)
    for words in published(OTHER4), ('-p', '80:80'):
        assert '80/tcp of door "lan" is published already by room' in not_started(
            office, 'office', *words)
    office.remove('one')
    until(lambda: silent(two, ('laptop',), (A4, A6)), 'one is gone')
    answer(two, gate, LAN, OTHER4, by='two')


@pytest.mark.parametrize('every, other', [('0.0.0.0', 6), ('::', 4)])
def test_every_address_of_one_family(world, engine, driver, gate, every, other):  # noqa: F811
    """The other family's port is still the host's."""
    driver.network(engine, 'every', gate='office', doors='all')
    beside = world.servera.popen(
        ['python3', '-c', 'import socket, sys, time\n'
         f's = socket.create_server(("{"::" if other == 6 else "0.0.0.0"}", 80), '
         f'family=socket.AF_INET{"6" if other == 6 else ""})\n'
         'print("ready", flush=True)\n'
         'while True: c = s.accept()[0]; c.sendall(b"host"); c.recv(1)'],
        stdout=subprocess.PIPE)
    assert beside.stdout.readline() == 'ready\n'
    web(engine, *published(every), network='every')
    answered(world, gate, families=(10 - other,))
    assert wrong_answers(world, families=(other,), protos=('udp',), doors=(VPN,),
                         seconds=probe.SILENCE) != []
    assert silent(world, ('serverb',), (A_VPN6 if other == 6 else A_VPN4,))
    got = world.laptop.run('python3', '-c', 'import socket; print(socket.create_connection('
                           f'("{A6 if other == 6 else A4}", 80), 60).recv(9))').stdout
    assert 'host' in got
    beside.kill()
    beside.wait()


def test_one_container_by_ipv4_and_another_by_ipv6(world, engine, driver, gate):  # noqa: F811
    driver.network(engine, 'every', gate='office', doors='all')
    for family, every in (4, '0.0.0.0'), (6, '::'):
        web(engine, *published(every), network='every', name=f'w{family}', by=f'w{family}')
    for family in 4, 6:
        answered(world, gate, families=(family,), by=f'w{family}')
    assert 'is published already by room' in not_started(engine, 'every', '-p', '80:80')
    engine.remove('w4')
    until(lambda: len(gate.status()['rooms']) == 2, 'one room is gone')
    assert silent(world, ('laptop', 'serverb'), (A4, A_VPN4))
    answered(world, gate, families=(6,), by='w6')


def test_on_127_0_0_1_the_host_itself_is_answered_alone(world, office, gate):  # noqa: F811
    web(office, *published('127.0.0.1'))
    answer(world, gate, ('servera',), '127.0.0.1')
    assert silent(world, ('laptop', 'mallory', 'servera'), (A4, A6))
    assert silent(world, ('servera',), ('127.0.0.2',))


def test_an_address_that_comes_back_answers_again(two, office, gate):  # noqa: F811
    web(office, *published(OTHER4))
    answer(two, gate, LAN, OTHER4)
    two.servera.ip(f'addr del {OTHER4}/24 dev eth0')
    again(gate)
    two.servera.ip(f'addr add {OTHER4}/24 dev eth0')
    answer(two, gate, LAN, OTHER4)


def test_a_label_and_an_option_name_addresses_too(two, office, gate):  # noqa: F811
    web(office, '--label', f'sallyport.publish={OTHER4}:80 [{OTHER6}]:80/udp')
    until(lambda: probe.ask(two.laptop, 'tcp', OTHER4, 80, seconds=1).answered, gate.log.text,
          container.UP)
    assert probe.ask(two.laptop, 'udp', OTHER6, 80).answered
    assert silent(two, ('laptop',), (A4, A6))
    assert not probe.ask(two.laptop, 'tcp', OTHER6, 80).answered


@pytest.mark.parametrize('words, said', [
    (('-p', '172.16.5.99:80:80'), '-p 172.16.5.99:80:80: 172.16.5.99 is no address of this host'),
    (('-p', f'{A_VPN4}:80:80'), f'{A_VPN4} is no address of this host (ip address shows them); '
     'for a VPN\'s door write --label sallyport.publish=80:80/tcp@DOOR'),
    (('-p', '[::1]:80:80'), 'what is sent to ::1 is never passed on'),
    (('-p', '80:80', '-p', '127.0.0.1:80:80'), '80/tcp is published twice on door "lan"'),
], ids=['of nobody here', 'of the VPN', 'loopback of IPv6', 'twice'])
def test_an_address_that_cannot_be(office, gate, words, said):  # noqa: F811
    assert said in not_started(office, 'office', *words)
    assert gate.status()['ports'] == []


def test_a_network_of_the_vpns_door_gives_no_address_of_the_hosts(
        engine, driver, gate):  # noqa: F811
    driver.network(engine, 'far', gate='office', doors='office')
    assert f'{A4} is the lan door\'s, on which this network does not publish' in not_started(
        engine, 'far', '-p', f'{A4}:80:80')


def test_an_address_on_which_the_gate_does_not_listen(
        two, engine, driver, sallyport):  # noqa: F811
    with sallyport.up('narrow', f'[room]\n[door lan]\nlisten = {OTHER4}\n') as narrow:
        driver.network(engine, 'narrow', gate='narrow')
        assert f'the lan door of gate "narrow" listens on {OTHER4} only' in not_started(
            engine, 'narrow', '-p', f'{A4}:80:80')
        web(engine, *published(OTHER4), network='narrow')
        answer(two, narrow, LAN, OTHER4)
        driver.clear(engine)


def chosen(gate, name='web'):  # noqa: F811
    ports = [p for p in gate.status()['ports'] if p.get('container') == name]
    return {p['proto']: p['port'] for p in ports}


def test_nobody_names_the_port(world, office, gate, driver):  # noqa: F811
    """-P, in the place of whose first port a program of the host is."""
    def asked(name, by):
        until(lambda: set(chosen(gate, name)) == {'tcp', 'udp'}, gate.log.text, container.UP)
        ports = chosen(gate, name)
        for address in A4, A6:
            for proto in PROTOS:
                got = probe.ask_until_answered(world.laptop, proto, address, ports[proto])
                assert (got.by, got.source) == (by, address)
        return ports
    expose = '-P', '--expose', '80/tcp', '--expose', '80/udp'
    child = world.serve(world.servera, 'host', 49153)
    web(office, *expose)
    ports = asked('web', 'room')
    assert set(ports.values()) == {49154}
    assert office('port', 'web').stdout == ''
    assert '49154/tcp -> web at ' in gate.tool('status', 'office', ok=True).stdout
    child.kill()
    child.wait()
    driver.kill9()
    gate.kill9()
    again(gate)
    driver.start()
    assert asked('web', 'room') == ports
    web(office, *expose, name='second', by='second')
    assert not set(asked('second', 'second').items()) & set(ports.items())


def test_a_port_that_nobody_named_is_one_for_all_doors(
        world, engine, driver, gate):  # noqa: F811
    driver.network(engine, 'every', gate='office', doors='all')
    web(engine, '-P', '--expose', '80/tcp', '--expose', '80/udp', network='every')
    until(lambda: len(gate.status()['ports']) == 4, gate.log.text, container.UP)
    (port,) = {p['port'] for p in gate.status()['ports']}
    answered(world, gate, port=port)


def test_one_port_out_of_several(world, office, gate):  # noqa: F811
    for name in 'one', 'two':
        web(office, '-p', '8000-8001:80', '-p', '8000-8001:80/udp', name=name, by=name)
    for port, by in (8000, 'one'), (8001, 'two'):
        answer(world, gate, LAN, A4, port, by)
    assert '-p 8000-8001:80/tcp: none of these ports is free' in not_started(
        office, 'office', '-p', '8000-8001:80')
