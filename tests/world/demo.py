#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make demo: the problem, and the main job, in the seed's world.

Exits 0 only if every line is as it must be. Everything happens in namespaces
that end with this program: nothing is left behind.
"""
import os
import shutil
import sys
import time

from lab import probe, sandbox
from lab.gate import Sallyport
from lab.host import PATIENCE, keep
from lab.probe import How
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import (A4, A6, A_VPN4, LAN, SELF, VPN, World, askers)

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get('SALLYPORT') or os.path.normpath(
    os.path.join(HERE, '../../build/sallyport'))

NGINX = '''
# Tells each client which address it has: the service sees who asks.
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 64; }}
http {{
	access_log off;
	client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2;
	fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
	scgi_temp_path {dir}/t5;
	server {{
		listen 80; listen [::]:80;
		location / {{ return 200 "$remote_addr\\n"; }}
	}}
}}
'''

MAP = '''
    laptop  172.16.9.20 --+                   +-- VPN server 198.51.100.2
                          core ---- internet -+   (pushes 172.16.0.0/12)
    Server A 172.16.5.10 -+                   +-- Server B, by VPN 172.20.0.30

    twin is a VPN peer that has the laptop's own address, 172.16.9.20.
'''


class Story:
    """Prints lines and remembers whether all were as they must be."""

    def __init__(self):
        self.wrong = 0
        self.colour = sys.stdout.isatty() and not os.environ.get('NO_COLOR')

    def say(self, text=''):
        print(text, flush=True)

    def title(self, text):
        bold = f'\033[1m{text}\033[0m' if self.colour else text
        self.say(f'\n{bold}\n')

    def line(self, right, what, got):
        mark = 'ok   ' if right else 'WRONG'
        if self.colour:
            mark = f'\033[{32 if right else 31}m{mark}\033[0m'
        self.say(f'  {mark}  {what:<56} {got}')
        self.wrong += not right


def http(host, dst, seconds=PATIENCE):
    """GET /; the client address that the web server saw, or how it failed."""
    try:
        with probe.connect(host, dst, 80, seconds=seconds) as s:
            s.settimeout(seconds)
            s.sendall(f'GET / HTTP/1.0\r\nHost: [{dst}]\r\n\r\n'.encode())
            data = b''
            while more := s.recv(4096):
                data += more
            return data.decode().split('\r\n\r\n', 1)[1].strip()
    except (TimeoutError, BlockingIOError):
        return How.SILENT
    except OSError as err:
        return probe.how_of(err)


def in_words(got):
    if isinstance(got, How):
        return {How.SILENT: 'no answer: lost'}.get(got, got.value)
    return f'answered, and seen as {got}'


NAMES = {LAN: 'LAN', VPN: 'VPN', SELF: 'itself'}


def told(door, host, dst):
    name = {'serverb': 'Server B', 'servera': 'Server A',
            'vpnsrv': 'the VPN server'}.get(host.name, host.name)
    return f'{NAMES[door]:<7}{name} -> {url(dst)}'


def url(dst):
    return f'[{dst}]:80' if ':' in dst else f'{dst}:80'


def nginx(world):
    directory = f'{world.dir}/nginx'
    os.makedirs(directory)
    conf = keep(f'{directory}/nginx.conf', NGINX.format(dir=directory))
    return ['nginx', '-p', directory, '-c', conf, '-g', 'daemon off;']


def the_problem(story, world):
    story.title('1. The problem: a VPN client on the bare Server A')
    server = world.servera.popen(nginx(world), stdout=-3, stderr=-3)
    got = probe.until_true(lambda: http(world.laptop, A4), str)
    story.line(got == '172.16.9.20', 'before the VPN: laptop -> ' + url(A4),
               in_words(got))
    client = OpenVpnClient(world.servera, world.office, world.dir).wait()
    for dst in (A4, A6):
        got = http(world.laptop, dst, 1.0)
        story.line(got is How.SILENT, 'with the VPN:   laptop -> ' + url(dst),
                   in_words(got))
    got = http(world.serverb, A_VPN4)
    story.line(got == '172.20.0.30', 'with the VPN:   Server B -> ' +
               url(A_VPN4), in_words(got))
    client.close()
    server.terminate()
    server.wait()
    shutil.rmtree(f'{world.dir}/nginx')


def the_main_job(story, world):
    story.title('2. The main job')
    tool = Sallyport(PROGRAM, world)
    before = hoststate(world.servera)
    story.say('  # sallyport run -p 80 --vpn office.ovpn -- '
              "nginx -g 'daemon off;'\n")
    begin = time.monotonic()
    with tool.run('-p', '80', '--vpn', world.office, command=nginx(world),
                  ready=False) as gate:
        got = probe.until_true(lambda: http(world.laptop, A4, 0.2), str)
        took = time.monotonic() - begin
        probe.until_true(lambda: http(world.serverb, A_VPN4, 0.2), str)
        opened = time.monotonic() - begin
        story.say(f'  the lan door answers after {took * 1000:.0f} ms, '
                  f'the VPN door after {opened * 1000:.0f} ms\n')
        for door, host, dst, saw in askers(world):
            got = http(host, dst)
            story.line(got == saw, told(door, host, dst), in_words(got))
        if story.wrong:
            story.say('\n' + gate.log.text())
    story.title('3. Afterwards')
    left = difference(before, hoststate(world.servera))
    story.line(not left, "Server A's network is as it was before",
               'byte for byte' if not left else '\n' + left)


def main():
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f'{PROGRAM} is not built; try: make')
    sandbox.enter()
    story = Story()
    story.say(MAP)
    world = World()
    try:
        the_problem(story, world)
        the_main_job(story, world)
    finally:
        world.close()
    story.say()
    if story.wrong:
        sys.exit(f'{story.wrong} of these lines are not as they must be')
    story.say('Every line is as it must be.')


if __name__ == '__main__':
    main()
