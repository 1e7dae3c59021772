# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers of somebody else's image, put right from outside."""
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import container, probe
from lab.host import until
from lab.leak import SECRET, Ear, Talker
from lab.sniff import Sniffer
from lab.state import difference, hoststate
from lab.world import A4, B_VPN4, B_VPN6, LAN, LAPTOP4, VPN, wrong_answers

SERVER = '198.51.100.2:1194/udp'


@pytest.fixture(autouse=True)
def plain_pushes_afterwards(world):
    yield
    world.openvpn.give_a()


class Watch(container.Stays):
    VERB = ('attach', '--watch')
    READY = 'lan doors'


def answered(world, **kw):
    """Waits until everybody is answered as they must be."""
    until(lambda: wrong_answers(world, seconds=1, **kw) == [],
          lambda: '\n'.join(wrong_answers(world, **kw)), container.UP)


def refused(sallyport, *argv, status=1):
    done = sallyport('attach', *argv)
    assert (done.returncode, done.stdout) == (status, ''), done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_gate_needs_no_cure(sallyport):
    with sallyport.up('main', '[room]\n[door lan]\npublish = none\n'):
        assert 'gate "main"' in refused(sallyport, '/run/netns/main')
        assert 'gate "main"' in refused(sallyport, '/run/netns/main.gate')


# --- the cure ------------------------------------------------------------------


def test_control_without_attach_the_lan_is_lost(world, deployed):
    assert wrong_answers(world, doors=(VPN,)) == []
    assert len(container.lan_lost(world)) == 16


def test_attach_answers_everybody_by_the_right_door(world, sallyport, deployed):
    done = sallyport('attach', 'vpn', ok=True)
    assert wrong_answers(world) == [], done.stderr


def test_attached_before_its_tunnel_comes_up(world, sallyport, docker):
    world.openvpn.close()
    try:
        docker.vpn('vpn', world.office, container.PORTS, wait=False)
        docker.service('web', 80, options=('--network', 'container:vpn'))
        done = sallyport('attach', 'vpn', ok=True)
        assert 'tunnels: none yet' in done.stderr
        assert wrong_answers(world, doors=(LAN,)) == []
        world.openvpn_again()
        docker.wait_vpn('vpn')
        assert wrong_answers(world) == []
    finally:
        docker.remove('web', 'vpn')


PUSHES = {
    'everything': ('redirect-gateway def1 ipv6',),
    'the default itself': ('redirect-gateway ipv6',),
    'the container network': ('route 172.17.0.0 255.255.128.0',
                              'route 172.16.0.0 255.240.0.0',
                              'route-ipv6 fd00:17::/65',
                              'route-ipv6 fd00:16::/32'),
    'the gateway': ('route 172.17.0.1 255.255.255.255',
                    'route 172.16.0.0 255.240.0.0',
                    'route-ipv6 fd00:16::/32'),
}


@pytest.mark.parametrize('when', ['before', 'after'])
@pytest.mark.parametrize('push', list(PUSHES))
def test_whatever_the_vpn_pushes(world, sallyport, docker, push, when):
    world.openvpn.give_a(PUSHES[push])
    try:
        docker.vpn('vpn', world.office, container.PORTS, wait=when == 'after')
        docker.service('web', 80, options=('--network', 'container:vpn'))
        sallyport('attach', 'vpn', ok=True)
        docker.wait_vpn('vpn')
        assert wrong_answers(world) == []
    finally:
        docker.remove('web', 'vpn')


def test_several_networks_and_secondary_addresses(world, sallyport, docker):
    world.openvpn.give_a(('route 172.18.0.0 255.255.128.0',
                          'route 172.17.0.0 255.255.0.0'))
    docker('network', 'create', '--subnet', '172.18.0.0/16', 'second')
    try:
        container.deployment(docker, world,
                             networks=[('--ip', '172.18.0.9', 'second')])
        with docker.inside('vpn') as inner:
            inner.run('ip', 'address', 'add', '172.17.0.200/16', 'dev', 'eth0')
        asked = [(proto, dst) for proto in ('tcp', 'udp')
                 for dst in ('172.18.0.9', '172.17.0.200')]

        def lost():
            return [(proto, dst) for proto, dst in asked
                    if not probe.ask(world.servera, proto, dst, 80,
                                     seconds=1).source == dst]
        assert ('udp', '172.18.0.9') in lost()
        sallyport('attach', 'vpn', ok=True)
        assert lost() == []
        assert wrong_answers(world, doors=(VPN,), families=(4,)) == []
    finally:
        docker.remove('web', 'vpn')
        docker('network', 'rm', 'second')


def test_detach_leaves_the_container_byte_for_byte(world, sallyport, deployed):
    with deployed.inside('vpn') as inner:
        until(lambda: 'tentative' not in inner.run('ip', 'address').stdout,
              'every address is tried', container.UP)
        before = hoststate(inner)
        sallyport('attach', 'vpn', ok=True)
        sallyport('attach', '--udp', 'alias', '--server', SERVER, '--reach',
                  '192.0.2.0/24', 'vpn', ok=True)
        assert wrong_answers(world, doors=(VPN,), protos=('tcp',)) == []
        assert difference(before, hoststate(inner)) != ''
        sallyport('detach', 'vpn', ok=True)
        assert difference(before, hoststate(inner)) == ''
        assert len(container.lan_lost(world)) == 16


def test_attached_again_changes_nothing(world, sallyport, deployed):
    with deployed.inside('vpn') as inner:
        sallyport('attach', 'vpn', ok=True)
        once = hoststate(inner).split('== nft')[0]
        sallyport('attach', 'vpn', ok=True)
        assert difference(once, hoststate(inner).split('== nft')[0]) == ''


def test_an_open_connection_of_the_laptop_survives_the_tunnel(
        world, sallyport, docker):
    world.openvpn.close()
    try:
        docker.vpn('vpn', world.office, container.PORTS, wait=False)
        docker.service('web', 80, options=('--network', 'container:vpn'))
        sallyport('attach', 'vpn', ok=True)
        flow = probe.Flow(world.laptop, A4, 80)
        world.openvpn_again()
        docker.wait_vpn('vpn')
        count = flow.count
        until(lambda: flow.count > count + 20 or flow.error, 'it goes on',
              container.UP)
        assert flow.stop().error is None
    finally:
        docker.remove('web', 'vpn')


# --- others' firewalls ------------------------------------------------------------

# As images of this job have it: answers by their state, the rest by the tunnel.
FIREWALL = '''
for t in iptables ip6tables; do
    $t -P INPUT DROP; $t -P OUTPUT DROP
    $t -A INPUT -i lo -j ACCEPT; $t -A OUTPUT -o lo -j ACCEPT
    $t -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    $t -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    $t -A INPUT -p tcp --dport 80 -j ACCEPT
    $t -A INPUT -p udp --dport 80 -j ACCEPT
    $t -A OUTPUT -o tun+ -j ACCEPT
done
ip6tables -I INPUT -p icmpv6 -j ACCEPT; ip6tables -I OUTPUT -p icmpv6 -j ACCEPT
iptables -A OUTPUT -d 198.51.100.2 -p udp --dport 1194 -j ACCEPT
'''
NAT = 'table ip theirs { chain nat { type nat hook postrouting priority 100; }; }'


def ours(inner):
    return inner.out('nft', 'list', 'table', 'inet', 'sallyport-attach')


@pytest.mark.parametrize('first', ['theirs', 'ours'])
def test_a_firewall_inside_that_asks_for_the_state(world, sallyport, deployed,
                                                   first):
    with deployed.inside('vpn') as inner:
        if first == 'theirs':
            inner.run('sh', '-ec', FIREWALL)
        sallyport('attach', 'vpn', ok=True)
        flow = probe.Flow(world.laptop, A4, 80)
        until(lambda: flow.count > 20, 'it goes')
        if first == 'ours':
            inner.run('sh', '-ec', FIREWALL)
        assert 'ct state' not in ours(inner)
        assert wrong_answers(world, doors=(LAN, VPN)) == []
        count = flow.count
        until(lambda: flow.count > count + 20 or flow.error, 'it goes on')
        assert flow.stop().error is None


def test_the_watch_tracks_connections_where_somebody_translates(
        world, sallyport, deployed):
    with Watch(sallyport, 'vpn'), deployed.inside('vpn') as inner:
        flow = probe.Flow(world.laptop, A4, 80)
        for command, chain in ((NAT, 'arrive'),
                               ('delete table ip theirs', 'enter')):
            inner.run('nft', command)
            until(lambda: f'chain {chain} ' in ours(inner), chain,
                  container.UP)
            answered(world)
        assert flow.stop().error is None


# --- the guard -----------------------------------------------------------------


def talk_and_kill(world, docker, ear):
    """A talker in the VPN's namespace while the client is killed; what the
    LAN heard."""
    with docker.inside('vpn') as inner:
        talker = Talker(inner)
        talker.said()
        docker.kill_vpn('vpn')
        talker.said()
        talker.connect_all()
        talker.stop()
    return ear.heard()


def test_control_without_attach_the_lan_hears_all(world, deployed):
    with Ear(world) as ear:
        assert talk_and_kill(world, deployed, ear) != []


def test_with_its_server_named_nothing_leaks(world, sallyport, deployed):
    sallyport('attach', '--server', SERVER, 'vpn', ok=True)
    assert wrong_answers(world) == []
    with Ear(world) as ear:
        assert talk_and_kill(world, deployed, ear) == []
    assert wrong_answers(world, doors=(LAN,)) == []


WITHOUT = {
    'its routes': 'ip route del 172.16.0.0/12; ip route del 172.20.0.0/16; '
                  'ip rule del from 172.20.0.10; '
                  'ip -6 route flush dev tun0; '
                  'ip -6 rule del from fd00:16:20::10; true',
    'its link': 'ip link del tun0',
}


def go_on_without_tunnel(world, docker, v, what, seconds, meanwhile=None):
    """A socket that is connected by the tunnel when that goes: is it heard
    within @seconds on the container's network?"""
    peer = B_VPN4 if v == 4 else B_VPN6
    with Sniffer(world.servera, 'docker0') as ear, \
            docker.inside('vpn') as inner:
        s = inner.socket(probe.family_of(peer), socket.SOCK_DGRAM)
        s.connect((peer, 4444))
        s.send(SECRET)
        if meanwhile:
            meanwhile()
        inner.run('sh', '-c', WITHOUT[what])
        end = time.monotonic() + seconds
        heard = []
        while not heard and time.monotonic() < end:
            try:
                s.send(SECRET)
            except OSError:
                pass  # refused is as good as dropped
            heard = ear.wait_for(lambda p: p.payload == SECRET, 0.02)
        s.close()
        return bool(heard)


# Linux does not send what says an IPv4 address that nobody has any more.
GOES = [(4, 'its routes'), (6, 'its routes'), (6, 'its link')]


@pytest.mark.parametrize('v, what', GOES)
def test_control_without_attach_a_connection_leaks(world, deployed, v, what):
    assert go_on_without_tunnel(world, deployed, v, what, container.UP)


@pytest.mark.parametrize('v, what', GOES)
def test_what_went_by_the_tunnel_never_goes_by_the_lan(world, sallyport,
                                                       deployed, v, what):
    """Without a server's name the guard knows addresses, not aims; those of
    this tunnel from the beginning."""
    assert not go_on_without_tunnel(
        world, deployed, v, what, 0.7,
        lambda: sallyport('attach', 'vpn', ok=True))


@pytest.mark.parametrize('v, what', GOES)
def test_nor_what_went_by_a_tunnel_that_came_later(world, sallyport, docker, v,
                                                   what):
    world.openvpn.close()
    try:
        docker.vpn('vpn', world.office, container.PORTS, wait=False)
        done = sallyport('attach', 'vpn', ok=True)
        assert 'tunnels: none yet' in done.stderr
        world.openvpn_again()
        docker.wait_vpn('vpn')
        assert not go_on_without_tunnel(world, docker, v, what, 0.7)
    finally:
        docker.remove('vpn')


# --- the watch -----------------------------------------------------------------

HURTS = {
    'a rule': 'ip rule del from 172.17.0.2',
    'all rules': 'ip rule del from 172.17.0.2; ip rule del to 172.17.0.1; '
                 'ip rule del to 172.17.0.0/16',
    'the order of rules': 'ip rule add pref 0 to 172.16.0.0/12 lookup main; '
                          'ip rule del from 172.17.0.2; '
                          'ip rule add pref 0 from 172.17.0.2 lookup 5901',
    'the table': 'ip route flush table 5901',
    'the nft table': 'nft delete table inet sallyport-attach',
    'an nft rule': 'nft flush chain inet sallyport-attach answer',
    'the link': 'a=$(ip -6 -o address show dev eth0 scope global | awk "{print \\$4}"); '
                'ip link set eth0 down; ip link set eth0 up; '
                'ip route add default via 172.17.0.1; '
                'ip -6 address replace $a dev eth0 nodad; '
                'ip -6 route replace default via fd00:17::1',
}


@pytest.mark.parametrize('hurt', list(HURTS))
def test_the_watch_repairs(world, sallyport, deployed, hurt):
    with Watch(sallyport, 'vpn') as watch, deployed.inside('vpn') as inner:
        answered(world)
        since = len(watch.log.text())
        inner.run('sh', '-c', HURTS[hurt])
        watch.wait('repaired', since=since)
        answered(world)


def test_the_watch_sees_a_network_that_comes_later(world, sallyport, docker):
    world.openvpn.give_a(('route 10.0.0.0 255.0.0.0',))
    docker('network', 'create', '--subnet', '172.18.0.0/16', 'second')
    try:
        container.deployment(docker, world)
        with Watch(sallyport, 'vpn') as watch:
            docker('network', 'connect', '--ip', '172.18.0.9', 'second', 'vpn')
            watch.wait('lan doors', 'eth1')
            for proto in ('tcp', 'udp'):
                got = probe.ask_until_answered(world.servera, proto,
                                               '172.18.0.9', 80, seconds=20)
                assert got.source == '172.18.0.9'
    finally:
        docker.remove('web', 'vpn')
        docker('network', 'rm', 'second')


def test_the_watch_forgets_an_address_that_went(sallyport, deployed):
    """A tunnel has another one each time: what was noted by the old ones must not pile up."""
    def sets():
        return set(re.findall(r'\tset (\w+)', inner.out(
            'nft', 'list', 'table', 'inet', 'sallyport-attach')))
    with Watch(sallyport, 'vpn'), deployed.inside('vpn') as inner:
        before = sets()
        inner.ip('addr add 172.17.0.77/16 dev eth0')
        until(lambda: sets() > before, sets)
        inner.ip('addr del 172.17.0.77/16 dev eth0')
        until(lambda: sets() == before, sets)


def test_the_watch_lets_others_tables_be(sallyport, deployed):
    with Watch(sallyport, 'vpn') as watch, deployed.inside('vpn') as inner:
        since = len(watch.log.text())
        inner.run('nft', 'add', 'table', 'ip', 'others')
        inner.run('nft', 'delete', 'table', 'ip', 'others')
        inner.run('nft', 'flush', 'chain', 'inet', 'sallyport-attach', 'answer')
        watch.wait('repaired', since=since)
        assert watch.log.text()[since:].count('repaired') == 1, watch.log.text()


def test_detach_ends_the_watch(world, sallyport, deployed):
    with deployed.inside('vpn') as inner:
        until(lambda: 'tentative' not in inner.run('ip', 'address').stdout,
              'every address is tried', container.UP)
        before = hoststate(inner)
        with Watch(sallyport, 'vpn') as watch:
            assert sallyport('attach', '--watch', 'vpn').returncode == 1
            sallyport('detach', 'vpn', ok=True)
            assert watch.child.wait(container.UP) == 0
        assert difference(before, hoststate(inner)) == ''


def test_the_watch_ends_with_the_container(sallyport, deployed):
    with Watch(sallyport, 'vpn') as watch:
        deployed.remove('web', 'vpn')
        watch.wait('container "vpn": has ended')
        assert watch.child.wait(container.UP) == 0


# --- what cannot be attached to ------------------------------------------------

def test_the_watch_ends_with_the_name_of_the_namespace(world, sallyport):
    """And does not keep it alive: nothing but the name's end tells of it."""
    host = world.servera
    host.ip('netns add brief',
            'link add brief0 type veth peer name eth0 netns brief')
    for words in ('link set eth0 up', 'address add 192.0.2.2/24 dev eth0'):
        host.run('ip', '-n', 'brief', *words.split())
    with Watch(sallyport, '/run/netns/brief') as watch:
        host.ip('netns add another', 'netns del another')
        assert watch.child.poll() is None
        host.ip('netns del brief')
        watch.wait('is gone')
        assert watch.child.wait(container.UP) == 0
    until(lambda: host.run('ip', 'link', 'show', 'brief0', ok=False).returncode,
          'the namespace is gone, and its link', container.UP)


def test_what_cannot_be_attached_to(world, sallyport, docker):
    assert 'there is no container "nosuch"' in refused(sallyport, 'nosuch')
    for name in ('a b?d#e%2e', 'a%0d%0aHost: x', '..%2fversion', '\N{SNOWMAN}'):
        assert f'there is no container "{name}"' in refused(sallyport, name)
    assert 'No such file' in refused(sallyport, '/run/netns/nosuch')
    assert 'no network namespace' in refused(sallyport, '/etc/passwd')
    assert 'host\'s own network' in refused(
        sallyport, str(world.servera.holder.pid))
    docker.run('plain', 'sleep', '1000', options=('--network', 'none'))
    docker.run('hosted', 'sleep', '1000', options=('--network', 'host'))
    try:
        assert 'no network but loopback' in refused(sallyport, 'plain')
        assert '--network host' in refused(sallyport, 'hosted')
        docker('stop', '-t', '0', 'plain')
        assert 'not running' in refused(sallyport, 'plain')
    finally:
        docker.remove('plain', 'hosted')


def laptop_is_answered(world, **kw):
    return probe.ask(world.laptop, 'udp', A4, 80, **kw).answered


# Root, but without the right to open what is others', and in no group.
BARE = ('setpriv', '--regid=65534', '--clear-groups',
        '--inh-caps=-dac_override,-dac_read_search',
        '--bounding-set=-dac_override,-dac_read_search')


def test_dockers_group_is_needed_for_the_socket_alone(world, sallyport, deployed):
    def bare(*argv):
        return world.servera.run(*BARE, sallyport.program, *argv, ok=False)
    pid = str(deployed.pid('vpn'))
    path = world.servera.path(deployed.SOCKET.removeprefix('/var'))
    owner = os.stat(path)
    os.chown(path, 12345, 12345)
    try:
        for argv in (('attach', 'vpn'), ('detach', 'vpn'),
                     ('explain', '--gate', 'vpn', LAPTOP4, '172.17.0.2:80')):
            done = bare(*argv)
            assert (done.returncode, done.stdout) == (1, ''), done
            assert done.stderr == (
                'sallyport: /var/run/docker.sock: Permission denied: its owner and its '
                'group may ask for "vpn" (ls -l shows them); for the number of a process '
                'of the container nobody needs to be asked\n')
        for word in pid, f'/proc/{pid}/ns/net':
            assert not laptop_is_answered(world, seconds=probe.SILENCE)
            assert bare('attach', word).returncode == 0
            assert laptop_is_answered(world)
            assert bare('detach', word).returncode == 0
    finally:
        os.chown(path, owner.st_uid, owner.st_gid)
    assert bare('attach', 'vpn').returncode == 0, 'its owner, and in no group'


def test_no_engine_is_needed_for_a_process_or_a_path(world, sallyport, deployed):
    pid = str(deployed.pid('vpn'))
    path = world.servera.path(deployed.SOCKET.removeprefix('/var'))
    os.rename(path, path + '.away')
    try:
        assert 'no container engine answers' in refused(sallyport, 'vpn')
        for word in pid, f'/proc/{pid}/ns/net':
            assert not laptop_is_answered(world, seconds=probe.SILENCE)
            sallyport('attach', word, ok=True)
            assert laptop_is_answered(world)
            sallyport('detach', word, ok=True)
    finally:
        os.rename(path + '.away', path)


def test_only_root_may(world, sallyport, docker):
    done = world.servera.run('setpriv', '--reuid', '65534', '--clear-groups',
                             sallyport.program, 'attach', 'vpn', ok=False)
    assert done.returncode == 1 and 'needs root' in done.stderr


GARBAGE = {
    'nothing': b'',
    'no HTTP': b'hello\n' * 100,
    'a NUL': b'HTTP/1.1 200 OK\r\nX: \0\r\n\r\n{}',
    'no JSON': b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
    'cut off': b'HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n{',
    'a huge chunk': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
                    b'ffffffffffffffff\r\n',
    'an error': b'HTTP/1.1 500 No\r\nContent-Length: 18\r\n\r\n'
                b'{"message":"sick"}',
    'no container': b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]',
}


class FakeEngine(threading.Thread):
    """Answers each connection with @answer, byte by byte, and closes it."""

    def __init__(self, path, answer=b'', silent=False):
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen()
        self.answer, self.silent = answer, silent
        self.held = []
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.server.accept()
            except OSError:
                return
            if self.silent:
                self.held.append(s)
                continue
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            self.say(s, s.recv(65536))
        except OSError:
            pass
        s.close()

    def say(self, s, asked):
        for i in range(len(self.answer)):
            s.send(self.answer[i:i + 1])

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@pytest.mark.parametrize('what', list(GARBAGE))
def test_an_engine_that_answers_with_garbage(world, sallyport, tmp_path, what):
    path = f'{world.dir}/engine-{list(GARBAGE).index(what)}'
    engine = FakeEngine(path, GARBAGE[what])
    try:
        assert path in refused(sallyport, '--engine', path, 'x')
    finally:
        engine.close()


class Trickle(FakeEngine):
    """Never long without a word, and never done."""

    def say(self, s, asked):
        s.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
        while True:
            s.send(b'1\r\n \r\n')
            time.sleep(0.05)


def test_an_engine_that_never_answers_or_never_ends(world, sallyport):
    engines = {f'{world.dir}/engine-silent': FakeEngine,
               f'{world.dir}/engine-trickle': Trickle}
    running = [kind(path, **({'silent': True} if kind is FakeEngine else {}))
               for path, kind in engines.items()]
    try:
        asking = {path: sallyport.host.popen(
            [sallyport.program, 'attach', '--engine', path, 'x'],
            stderr=subprocess.PIPE) for path in engines}
        for path, child in asking.items():
            assert child.wait(container.UP) == 1
            assert f'{path} does not answer in time' in child.stderr.read()
    finally:
        for engine in running:
            engine.close()


class Passing(FakeEngine):
    """Docker's own answers, each after what @meanwhile does and as it has them."""

    def __init__(self, path, docker, meanwhile):
        self.real = docker.host.path(docker.SOCKET.removeprefix('/var'))
        self.meanwhile = meanwhile
        super().__init__(path)

    def say(self, s, asked):
        with socket.socket(socket.AF_UNIX) as real:
            real.connect(self.real)
            real.send(asked)
            answer = http.client.HTTPResponse(real)
            answer.begin()
            body = answer.read()
        body = self.meanwhile(body) or body
        s.sendall(b'HTTP/1.1 %d Said\r\n\r\n' % answer.status + body)


def attach_while(world, sallyport, docker, meanwhile):
    """The exit status of `attach brief` and what it said."""
    path = f'{world.dir}/engine-passing'
    engine = Passing(path, docker, meanwhile)
    try:
        done = sallyport('attach', '--engine', path, 'brief')
    finally:
        engine.close()
        os.unlink(path)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_a_container_that_ends_or_restarts_while_docker_tells_of_it(
        world, sallyport, docker):
    docker.run('brief', 'sleep', '1000')
    try:
        status, said = attach_while(
            world, sallyport, docker,
            lambda _: docker('restart', '-t', '0', 'brief') and None)
        assert status == 1 and 'container "brief"' in said, said
        status, said = attach_while(world, sallyport, docker,
                                    lambda _: docker.remove('brief'))
        assert status == 1 and 'container "brief"' in said, said
    finally:
        docker.remove('brief')


def test_a_process_that_got_the_number_of_a_containers_is_let_be(
        world, sallyport, docker):
    docker.run('brief', 'sleep', '1000')
    docker.run('other', 'sleep', '1000')
    pids = [f'"Pid":{docker.pid(name)},'.encode() for name in ('brief', 'other')]
    answers = []

    def first_is_of_yesterday(answer):
        answers.append(answer)
        return answer.replace(*pids) if len(answers) == 1 else answer
    try:
        status, said = attach_while(world, sallyport, docker,
                                    first_is_of_yesterday)
        assert pids[0] in answers[0]
        assert status == 1 and 'ended or restarted just now' in said, said
        with docker.inside('other') as inner:
            assert 'lookup 5901' not in inner.run('ip', 'rule').stdout
    finally:
        docker.remove('brief', 'other')


def test_a_container_that_is_killed_while_it_is_attached_to(
        world, sallyport, docker):
    """Whenever it goes: done, or a line that says so."""
    for delay in range(8):
        docker.run('brief', 'sleep', '1000')
        pid = docker.pid('brief')
        child = sallyport.host.popen(
            [sallyport.program, 'attach', 'brief'], stderr=subprocess.PIPE)
        try:
            child.wait(delay * 0.004)
        except subprocess.TimeoutExpired:
            pass
        os.kill(pid, signal.SIGKILL)
        status, said = child.wait(container.UP), child.stderr.read()
        last = said.splitlines()[-1]
        assert 'brief' in last and len(said.splitlines()) <= 2, said
        assert status == (0 if 'lan doors' in last else 1), said
        docker.remove('brief')


def test_fifty_containers_at_once(world, sallyport, docker):
    """Docker answers none of them before all have asked."""
    names = [f'c{i}' for i in range(50)]
    path = f'{world.dir}/engine-passing'
    barrier = threading.Barrier(len(names))

    def together(_):
        try:
            barrier.wait(5)
        except threading.BrokenBarrierError:
            pass  # a machine so busy that sallyport would give up waiting
    engine = Passing(path, docker, together)
    try:
        for name in names:
            docker.run(name, 'sleep', '1000')
        children = [sallyport.host.popen(
            [sallyport.program, 'attach', '--engine', path, name],
            stderr=subprocess.PIPE) for name in names]
        assert [c.wait(container.UP) for c in children] == [0] * 50, \
            [c.stderr.read() for c in children]
        for name in names:
            with docker.inside(name) as inner:
                assert 'lookup 5901' in inner.run('ip', 'rule').stdout
    finally:
        engine.close()
        docker.remove(*names)
