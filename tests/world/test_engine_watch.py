# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport watch`: containers that joined another's network, when that one is
restarted or made anew."""
import contextlib
import os
import signal
import socket
import subprocess
import threading

import pytest

from lab import container
from lab import host as hosts
from lab import probe
from lab.container import EngineWatch
from lab.host import until
from lab.world import wrong_answers

COMPOSE = '''
version: "2.4"
services:
  vpn:
    image: {image}
    container_name: vpn
    command: ["sh", "-c", "openvpn --config /office.ovpn; sleep 1000"]
    cap_add: [NET_ADMIN]
    devices: [/dev/net/tun]
    sysctls: {{net.ipv6.conf.default.disable_ipv6: 0}}
    ports: ["80:80", "80:80/udp"]
    network_mode: bridge
    volumes: ["/usr:/usr:ro", "{office}:/office.ovpn:ro"]
  web:
    image: {image}
    container_name: web
    command: [/usr/bin/python3, -I, /lab/service.py, --name, room, "80"]
    network_mode: "service:vpn"
    volumes: ["/usr:/usr:ro", "{lab}:/lab:ro", "data:/data"]
volumes: {{data: {{}}}}
'''


@pytest.fixture(scope='module')
def docker(world):
    engine = container.Docker(world.servera, f'{world.dir}/docker',
                              '--live-restore')
    yield engine
    engine.close()


@pytest.fixture
def watch(world, sallyport, deployed):
    with EngineWatch(sallyport, '--attach', 'vpn') as watch:
        watch.engine = deployed
        answered(world, watch)
        yield watch


def answered(world, watch):
    until(lambda: wrong_answers(world, seconds=1) == [],
          lambda: '\n'.join([watch.log.text(), *wrong_answers(world)]),
          container.UP, 0.2)


def test_control_a_restart_cuts_dependents_off(world, deployed):
    deployed('restart', '-t', '0', 'vpn')
    deployed.wait_vpn('vpn')
    got = probe.ask(world.serverb, 'tcp', '172.20.0.10', 80, seconds=2)
    assert not got.answered


def test_a_restart(world, watch):
    watch.engine('restart', '-t', '0', 'vpn')
    watch.wait('container "web" was cut off', 'restarted')
    answered(world, watch)


def test_killed_and_started(world, watch):
    watch.engine('kill', 'vpn')
    watch.engine('start', 'vpn')
    watch.wait('container "web" was cut off', 'restarted')
    answered(world, watch)


def test_made_anew_under_its_name(world, watch):
    before = watch.engine.inspect('web')
    watch.engine('rm', '-f', 'vpn')
    watch.engine.vpn('vpn', world.office, container.PORTS)
    watch.wait('container "web" was cut off', 'made anew')
    answered(world, watch)
    after = watch.engine.inspect('web')
    assert after['Id'] != before['Id']
    for part in ('Cmd', 'Image', 'Env', 'Labels'):
        assert after['Config'][part] == before['Config'][part]
    assert after['HostConfig']['Binds'] == before['HostConfig']['Binds']
    assert watch.engine('ps', '-aq').stdout.count('\n') == 2


def test_compose_recreates_it(world, sallyport, docker):
    os.makedirs(f'{world.dir}/compose')
    path = hosts.keep(f'{world.dir}/compose/docker-compose.yml',
                      COMPOSE.format(image=container.IMAGE, lab=container.LAB,
                                     office=world.office))

    def compose(*argv):
        world.servera.run('docker-compose', '-f', path, *argv,
                          timeout=container.UP)
    compose('up', '-d')
    try:
        docker.wait_vpn('vpn')
        with EngineWatch(sallyport, '--attach', 'vpn') as watch:
            answered(world, watch)
            docker('exec', 'web', 'sh', '-c', 'echo kept > /data/file')
            compose('up', '-d', '--force-recreate', '--no-deps', 'vpn')
            watch.wait('container "web" was cut off', 'made anew')
            answered(world, watch)
            assert docker('exec', 'web', 'cat', '/data/file').stdout == 'kept\n'
    finally:
        compose('down', '-t', '0')


def test_a_killed_dockerd_changes_nothing_and_is_listened_to_again(
        world, watch):
    watch.engine.child.send_signal(signal.SIGKILL)
    watch.engine.child.wait()
    watch.wait('stopped telling')
    assert wrong_answers(world) == []
    since = len(watch.log.text())
    watch.engine.start()
    watch.wait('is listened to', since=since)
    assert wrong_answers(world) == []
    watch.engine('restart', '-t', '0', 'vpn')
    watch.wait('container "web" was cut off', 'restarted', since=since)
    answered(world, watch)


def test_what_cannot_be_put_right_is_told(world, watch):
    """A name that is taken: the old container stays, stopped, by its name."""
    watch.engine('rm', '-f', 'vpn')
    watch.engine('tag', container.IMAGE, 'other')
    watch.engine.vpn('vpn', world.office, container.PORTS, wait=False)
    watch.wait('container "web"')
    assert watch.engine.inspect('web')['Name'] == '/web'


def test_an_engine_that_is_not_there_is_waited_for(world, sallyport):
    path = f'{world.dir}/no-engine'
    child = sallyport.host.popen([sallyport.program, 'watch', '--engine', path],
                                 stderr=subprocess.PIPE)
    assert 'trying again' in child.stderr.readline()
    child.send_signal(signal.SIGTERM)
    assert child.wait(container.UP) == 0


class Moody:
    """An engine that tells of events, and is asked for its containers in vain while
    `silent`: dockerd does so when its disk hangs, and for minutes at a time."""

    def __init__(self, path, closes=None):
        """@closes: a listener's connection, 'before' or 'behind' the head of the answer."""
        self.silent, self.asked, self.listeners, self.closes = False, 0, [], closes
        self.listened = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):  # it is closed at the end
            while True:
                self.answer(self.socket.accept()[0])

    def answer(self, caller):
        request = b''
        while b'\r\n\r\n' not in request:
            request += caller.recv(4096)
        if b'/events' in request:
            self.listened += 1
            if self.closes != 'before':
                caller.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
            if self.closes:
                caller.close()
            else:
                self.listeners.append(caller)
            return
        with caller:
            caller.sendall(b'HTTP/1.1 500 Oh\r\nContent-Length: 21\r\n\r\n'
                           b'{"message":"no disk"}' if self.silent else
                           b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]')
        self.asked += 1

    def look(self):
        """Has it looked, by an event: once for that and once a moment later."""
        before = self.asked
        for caller in self.listeners:
            event = b'{"Type":"container","Action":"create","Actor":{"ID":"x"}}\n'
            caller.sendall(b'%x\r\n%s\r\n' % (len(event), event))
        until(lambda: self.asked >= before + 2, 'it has asked')


def test_an_engine_that_is_silent_is_told_once_and_once_when_it_speaks(world, sallyport):
    engine = Moody(f'{world.dir}/moody')
    with EngineWatch(sallyport, '--engine', f'{world.dir}/moody') as watch:
        watch.wait('is listened to')
        until(lambda: engine.asked >= 2, 'the first look')
        engine.silent = True
        for _ in range(3):
            engine.look()
        watch.wait('no disk; asking again until it answers')
        engine.silent = False
        for _ in range(2):
            engine.look()
        watch.wait('answers again')
        text = watch.log.text()
    engine.socket.close()
    assert text.count('no disk') == text.count('answers again') == 1


@pytest.mark.parametrize('closes', ['before', 'behind'])
def test_an_engine_that_hangs_up_each_time_is_told_of_once(world, sallyport, closes):
    """As one whose service manager starts it in vain again and again."""
    path = f'{world.dir}/hangs-up-{closes}'
    engine = Moody(path, closes)
    with EngineWatch(sallyport, '--engine', path) as watch:
        until(lambda: engine.listened >= 4, 'it has tried again and again')
        engine.closes = None
        watch.wait('is listened to', since=len(watch.log.text()))
        engine.closes, tries = closes, engine.listened
        for caller in engine.listeners:  # once it has answered, that is told of anew
            caller.close()
        until(lambda: engine.listened >= tries + 2, 'it has tried again')
        text = watch.log.text()
    engine.socket.close()
    assert text.count('stopped telling') == text.count('is listened to') == 2, text


def test_an_engine_that_is_called_in_vain_is_told_of_once_and_not_said_to_answer(
        world, sallyport):
    """It hung up, could be listened to for a moment, and then says nothing of containers."""
    path = f'{world.dir}/in-vain'
    engine = Moody(path)
    with EngineWatch(sallyport, '--engine', path) as watch:
        watch.wait('is listened to')
        engine.closes, tries = 'behind', engine.listened
        engine.listeners[0].close()
        until(lambda: engine.listened >= tries + 2, 'it has tried again')
        engine.silent, engine.closes, tries = True, None, engine.listened
        until(lambda: engine.listened >= tries + 8, 'a second later each time')
        text = watch.log.text()
        assert text.count('no disk; trying again until it answers') == 1, text
        assert text.count('is listened to') == 1, text
        engine.silent = False
        watch.wait('is listened to', since=len(text))
    engine.socket.close()
