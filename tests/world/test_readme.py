# SPDX-License-Identifier: GPL-2.0-or-later
"""What README and the EXAMPLES of the manual tell to type, typed as it stands there."""
import json
import os
import re

import pytest
from demo import NGINX, http

from lab import probe
from lab.host import PATIENCE, keep, stop, until
from lab.state import difference, hoststate
from lab.vpn import OpenVpnClient
from lab.world import (A4, A6, A_VPN4, A_VPN6, A_WG4, B_VPN4, B_VPN6, LAPTOP4, LAPTOP6,
                       PARTNER4, service_argv)

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
HOME = '/etc/home'


def text(path):
    with open(f'{TOP}/{path}', encoding='utf-8') as f:
        return f.read()


def documents():
    """The lines of code, without comments and prompts."""
    pages = [text(f'man/{page}').split('.Sh EXAMPLES')[1] for page in
             ('sallyport.8', 'sallyport.conf.5')]
    return {re.sub(r'^[#$] ', '', re.split(r' {2,}#', line)[0].strip()) for line in
            '\n'.join([text('README.md'), *pages]).splitlines()}


def home(wide_world):
    return wide_world.servera.path(HOME)


@pytest.fixture(scope='module')
def typed(program, wide_world):
    """Turns a line of the documents into a command on Server A, whose files lie where
    they say."""
    w, server = wide_world, wide_world.servera
    for directory in '/etc/openvpn/client', '/etc/wireguard', '/etc/nginx', HOME:
        os.makedirs(server.path(directory), exist_ok=True)
    with open(w.office) as f:
        office = f.read()
    for path in f'{HOME}/office.ovpn', '/etc/openvpn/client/office.ovpn':
        keep(server.path(path), office, 0o600)
    for path in f'{HOME}/office.conf', '/etc/wireguard/office.conf', '/etc/wireguard/partner.conf':
        w.partner_server.conf(server.path(path))
    keep(server.path('/etc/nginx/nginx.conf'), NGINX.format(dir=w.dir))
    keep(f'{home(w)}/my-service', f'#!/bin/sh\nexec {" ".join(service_argv("mine", 80, 443))}\n',
         0o755)
    keep(f'{home(w)}/serve', f'#!/bin/sh\nexec {" ".join(service_argv("user"))} "$1"\n', 0o755)
    known = documents()

    def command(line):
        assert line in known, line
        path = f'{os.path.dirname(program)}:{HOME}:$PATH'
        return ['sh', '-c', f'PATH={path}; cd {HOME}; exec {line}']
    return command


@pytest.fixture(autouse=True)
def left_as_it_was(wide_world):
    before = hoststate(wide_world.servera)
    yield
    assert difference(before, hoststate(wide_world.servera)) == ''


def test_the_first_command(wide_world, typed):
    w = wide_world
    child = w.servera.popen(typed("sallyport run -p 80 --vpn office.ovpn -- "
                                  "nginx -g 'daemon off;'"))
    for host, dst, saw in ((w.laptop, A4, LAPTOP4), (w.laptop, A6, LAPTOP6),
                           (w.serverb, A_VPN4, B_VPN4), (w.serverb, A_VPN6, B_VPN6),
                           (w.servera, A4, A4)):
        until(lambda: http(host, dst) == saw, f'{host.name} asks {dst}')
    assert stop(child) == 0


def test_a_service_for_as_long_as_it_runs(wide_world, typed):
    w = wide_world
    child = w.servera.popen(typed('sallyport run -p 80 -p 8443:443 --vpn '
                                  '/etc/wireguard/office.conf -- my-service'), stdout=-1)
    assert child.stdout.readline() == 'ready\n'
    for host, dst, port, saw in ((w.laptop, A4, 80, LAPTOP4), (w.laptop, A6, 8443, LAPTOP6),
                                 (w.partner, A_WG4, 80, PARTNER4),
                                 (w.partner, A_WG4, 8443, PARTNER4)):
        got = probe.ask_until_answered(host, 'tcp', dst, port)
        assert (got.by, got.saw) == ('mine', saw)
    stop(child)
    shown = w.servera.run(*typed(
        'sallyport run --dry-run -p 80 --vpn office.ovpn -- my-service')).stdout
    assert 'ip netns add' in shown and 'nft ' in shown


def test_as_the_user_who_called_sudo(wide_world, typed):
    w = wide_world
    command = typed('sudo sallyport run --user -p 80:8080 --vpn office.conf -- ./serve 8080')
    command[-1] = command[-1].replace('exec sudo ', 'exec ')
    child = w.servera.popen(command, stdout=-1, env=dict(
        os.environ, SUDO_USER='daemon', SUDO_UID='1', SUDO_GID='1'))
    assert child.stdout.readline() == 'ready\n'
    assert probe.ask(w.laptop, 'tcp', A4, 80).by == 'user'
    assert probe.ask_until_answered(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4
    pids = w.servera.out('pgrep', '-f', 'service.py --name user').split()
    assert {os.stat(f'/proc/{pid}').st_uid for pid in pids} == {1}
    stop(child)


def of_readme(name):
    """The block that begins with the name of that file."""
    return re.search(rf'^```\n(# {name}\n.*?)^```', text('README.md'), re.M | re.S)[1]


def test_a_gate_that_stays(wide_world, typed):
    w = wide_world
    conf = w.servera.path('/etc/sallyport/office.conf')
    keep(conf, of_readme('/etc/sallyport/office.conf'))
    gate = w.servera.popen(typed('sallyport up office'))

    def run(line, ok=True):
        return w.servera.run(*typed(line), ok=ok)

    def doors():
        done = run('sallyport status office --json', ok=False)
        return done.returncode == 0 and {
            d['name']: d['state'] for d in json.loads(done.stdout)['gates'][0]['doors']}
    try:
        until(lambda: doors() == dict.fromkeys(('lan', 'office', 'partner'), 'up'), doors)
        assert 'State' in run('sallyport exec office -- ss -tln').stdout
        assert 'eth0' in run('sallyport exec office -- ip address').stdout
        assert 'partner' in run('sallyport status office').stdout
        watch = w.servera.popen(['sh', '-c', typed('sallyport status office')[-1] + ' --watch'],
                                stdout=-1)
        shown = ''
        while shown.count('partner') < 2:
            line = watch.stdout.readline()
            assert line, shown
            shown += line
        stop(watch)
        run('sallyport down office')
        assert gate.wait(PATIENCE) == 0
    finally:
        stop(gate)
        os.unlink(conf)


def test_somebody_gets_no_answer(wide_world, typed):
    w = wide_world

    def run(line):
        done = w.servera.run(*typed(line), ok=False)
        assert done.returncode in (0, 1) and not done.stderr, done.stderr
        return done.returncode, ' '.join(done.stdout.split())

    asks = 'sallyport explain 172.16.9.20 172.16.5.10:22'
    assert run(asks)[0] == 0
    child = w.serve(w.servera, 'host', 22)
    client = OpenVpnClient(w.servera, w.office, w.dir).wait()
    try:
        run('sallyport snapshot -o servera.json')
        said = re.search(r'^```\n(The reply leaves by .*?)^```', text('README.md'),
                         re.M | re.S)[1]
        for line in asks, ('sallyport explain --snapshot servera.json 172.16.9.20 '
                           '172.16.5.10:22'):
            status, shown = run(line)
            assert status == 1 and ' '.join(said.split()) in shown, shown
    finally:
        client.close()
        child.kill()
    w.servera.run('ip', 'netns', 'add', 'web')
    try:
        run('sallyport explain --gate web 172.16.9.20 172.17.0.2:80')
    finally:
        w.servera.run('ip', 'netns', 'del', 'web')


def test_before_a_vpn_is_connected(wide_world, typed):
    w = wide_world
    child = w.serve(w.servera, 'host', 22)
    s = probe.connect(w.laptop, A4, 22)
    try:
        w.servera.run(*typed('sallyport snapshot -o servera.json'))
        for line in ('sallyport rehearse office.ovpn',
                     'sallyport rehearse --routes 172.16.0.0/12,fd00::/8',
                     'sallyport rehearse --from-snapshot servera.json --routes 172.16.0.0/12'):
            done = w.servera.run(*typed(line), ok=False)
            assert done.returncode == 1 and LAPTOP4 in done.stdout, done.stdout + done.stderr
    finally:
        s.close()
        child.kill()
