# SPDX-License-Identifier: GPL-2.0-or-later
"""A VPN on the bare host: with a guard, nobody who is in loses his session."""
import os
import signal

import pytest

from lab import host as hosts
from lab import probe
from lab.guard import Guard, Sessions, lived_in
from lab.host import PATIENCE, until
from lab.state import difference, hoststate
from lab.vpn import wg_quick
from lab.world import (A4, A6, LAPTOP2_4, LAPTOP2_6, LAPTOP3_4, LAPTOP3_6, MALLORY4,
                       wrong_answers)
from test_pushes import PUSHES

LOST = ('the enclosing prefix', 'halves of the LAN', 'default',
        'the two halves of everything', 'the clients')


@pytest.fixture(scope='module')
def net(wide_world):
    with lived_in(wide_world) as net:
        yield net


@pytest.fixture(autouse=True)
def plain_pushes_afterwards(net):
    yield
    net.openvpn.give_a()


def ends(net):
    return [(net.laptop, A4), (net.laptop, A6), (net.laptop3, A4),
            (net.mallory, A4)]


def sessions(net):
    return Sessions(net.ssh, net.beside, ends(net))


def openvpn(net):
    return ['openvpn', '--config', net.office, '--verb', '3']


def guarded(program, net, argv, options=(), **kw):
    return Guard(program, net.servera, net.dir, argv, options, **kw)


@pytest.mark.parametrize('push', list(PUSHES.values()), ids=list(PUSHES))
def test_sessions_live_while_openvpn_comes_comes_again_and_goes(program, net,
                                                                push):
    net.openvpn.give_a(push)
    before = hoststate(net.servera)
    lines = sessions(net)
    with guarded(program, net, openvpn(net)) as guard:
        guard.connected()
        lines.wait_lines()
        since = len(guard.log.text())
        os.kill(guard.command_pid(), signal.SIGUSR1)
        guard.connected(since)
        lines.wait_lines()
        assert guard.stop() == 0, guard.log.text()
        lines.wait_lines()
    assert lines.wrong() == []
    assert difference(before, hoststate(net.servera)) == ''


@pytest.mark.parametrize('push', [PUSHES[p] for p in LOST], ids=LOST)
def test_control_without_a_guard_the_sessions_die(net, push):
    net.openvpn.give_a(push)
    lines = sessions(net)
    lines.wait_lines()
    log = open(f'{net.dir}/control.log', 'w+')
    child = net.servera.popen(openvpn(net), stdout=log, stderr=log)
    until(lambda: 'Initialization Sequence' in open(log.name).read(),
          'connected', PATIENCE)
    laptop = lines.lines[0]
    until(lambda: laptop.lost > 100, 'the laptop is lost', PATIENCE)
    wrong = lines.wrong(seconds=1)
    hosts.stop(child)  # by its word: killed it would keep the default route
    log.close()
    assert [w for w in wrong if 'lines lost' in w]


LONG = bool(os.environ.get('SALLYPORT_LONG'))


def test_not_a_line_is_lost_in_many_connects(program, net):
    """Up, again and down, 20 times in a long run, under sessions that arrived
    on a secondary address too."""
    net.servera.ip('addr add 172.16.5.12/24 dev eth0')
    lines = Sessions(net.ssh, net.beside,
                     [*ends(net), (net.laptop2, '172.16.5.12')])
    try:
        for _ in range(20 if LONG else 3):
            with guarded(program, net, openvpn(net)) as guard:
                guard.connected()
                since = len(guard.log.text())
                os.kill(guard.command_pid(), signal.SIGUSR1)
                guard.connected(since)
                lines.wait_lines(5)
                assert guard.stop() == 0
        assert lines.wrong() == []
    finally:
        net.servera.ip('addr del 172.16.5.12/24 dev eth0')


def test_what_is_named_by_lan_stays_on_the_lan(program, net):
    """New connections of the host; all others in the pushed range go by the
    VPN, and a VPN peer inside the prefix is still answered by the VPN."""
    children = [net.serve(net.laptop3, 'l3', 8000),
                net.serve(net.laptop2, 'l2', 8000)]
    options = ['--lan', '172.16.77.0/24', '--lan', 'fd00:16:77::/64',
               '--lan', '172.20.0.0/16']
    with guarded(program, net, openvpn(net), options) as guard:
        guard.connected()
        for dst in (LAPTOP3_4, LAPTOP3_6):
            for proto in ('tcp', 'udp'):
                got = probe.ask(net.servera, proto, dst, 8000, seconds=8)
                assert (got.how, got.by, got.saw) == (
                    probe.How.ANSWERED, 'l3', A6 if ':' in dst else A4)
        for dst in (LAPTOP2_4, LAPTOP2_6):
            got = probe.ask(net.servera, 'tcp', dst, 8000, seconds=probe.SILENCE)
            assert got.how is not probe.How.ANSWERED
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              'the tunnel is a door', PATIENCE)
        got = probe.ask(net.serverb, 'tcp', '172.20.0.10', 80, seconds=8)
        assert (got.how, got.saw) == (probe.How.ANSWERED, '172.20.0.30')
    for child in children:
        child.kill()


def test_every_door_answers_its_own(program, net):
    with guarded(program, net, openvpn(net)) as guard:
        guard.connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              'the tunnel is a door', PATIENCE)
        assert wrong_answers(net, by='host') == []


@pytest.mark.parametrize('dst', [A4, A6])
def test_pings_are_answered_by_the_door_they_came_in_by(program, net, dst):
    with guarded(program, net, openvpn(net)) as guard:
        guard.connected()
        assert probe.ping(net.laptop, dst)
        assert probe.ping(net.laptop, dst, size=3000)


def test_new_connections_of_the_host_go_by_the_vpn(program, net):
    child = net.serve(net.serverb, 'b', 8000)
    with guarded(program, net, openvpn(net)) as guard:
        guard.connected()
        got = probe.ask(net.servera, 'tcp', '172.20.0.30', 8000)
        assert (got.how, got.saw) == (probe.How.ANSWERED, '172.20.0.10')
    child.kill()


@pytest.mark.parametrize('command, status', [
    (['true'], 0), (['sh', '-c', 'exit 7'], 7), (['no-such-command'], 127),
    (['/etc/passwd'], 126), (['sh', '-c', 'kill -TERM $$'], 128 + 15)])
def test_the_commands_exit_status_is_passed_on(program, net, command, status):
    before = hoststate(net.servera)
    done = net.servera.run(program, 'guard', '--', *command, ok=False,
                           timeout=PATIENCE)
    assert done.returncode == status, done.stderr
    assert difference(before, hoststate(net.servera)) == ''


def test_signals_are_passed_on_to_the_command(program, net):
    with guarded(program, net, [
            'sh', '-c', 'trap "echo usr1; exit 3" USR1; echo here; '
            'while :; do sleep 0.1; done']) as guard:
        guard.wait_log('here')
        assert guard.stop(signal.SIGUSR1) == 3, guard.log.text()
        assert 'usr1' in guard.log.text()


@pytest.mark.parametrize('allowed', ['0.0.0.0/0, ::/0', '172.16.0.0/12, fd00:16::/32, '
                                     '10.66.0.0/24, fd00:66::/64'],
                         ids=['everything', 'the enclosing prefix'])
def test_sessions_live_while_wg_quick_comes_and_goes(program, net, allowed):
    conf = net.partner_server.conf(f'{net.dir}/wgq.conf', allowed=allowed)
    net.servera.sysctl('net/ipv4/conf/all/src_valid_mark', 1)  # wg-quick's own
    before = hoststate(net.servera)
    lines = sessions(net)
    with guarded(program, net, wg_quick('up', conf)) as guard:
        guard.wait_log('left wgq')
        until(lambda: probe.ping(net.servera, '10.66.0.1', seconds=1),
              'the tunnel works', PATIENCE)
        lines.wait_lines()
        assert wrong_answers(net, by='host', doors=('lan', 'self')) == []
        net.servera.run(*wg_quick('down', conf), timeout=PATIENCE)
        assert guard.child.wait(PATIENCE) == 0, guard.log.text()
        lines.wait_lines()
    assert lines.wrong() == []
    assert difference(before, hoststate(net.servera)) == ''


def test_a_guard_that_is_told_to_end_takes_the_tunnel_with_it(program, net):
    conf = net.partner_server.conf(f'{net.dir}/wgq.conf', allowed='0.0.0.0/0')
    net.servera.sysctl('net/ipv4/conf/all/src_valid_mark', 1)
    before = hoststate(net.servera)
    lines = sessions(net)
    with guarded(program, net, wg_quick('up', conf)) as guard:
        guard.wait_log('left wgq')
        assert guard.stop() == 0
    lines.wait_lines(5)
    assert lines.wrong() == []
    assert difference(before, hoststate(net.servera)) == ''


def daemonized(net):
    """Over at once, and connected by its child some time later, as vendors'
    clients are."""
    return [*openvpn(net), '--daemon', '--log', f'{net.dir}/daemon.log',
            '--writepid', f'{net.dir}/daemon.pid']


def its_log(net):
    with open(f'{net.dir}/daemon.log') as f:
        return f.read()


def test_a_client_that_goes_into_the_background_is_guarded_until_it_has_ended(
        program, net):
    before = hoststate(net.servera)
    lines = sessions(net)
    with guarded(program, net, daemonized(net)) as guard:
        guard.wait_log('left tun0')
        until(lambda: 'Initialization Sequence Completed' in its_log(net),
              lambda: its_log(net) + guard.log.text(), PATIENCE)
        lines.wait_lines()
        with open(f'{net.dir}/daemon.pid') as f:
            os.kill(int(f.read()), signal.SIGTERM)
        assert guard.child.wait(PATIENCE) == 0, guard.log.text()
        lines.wait_lines(5)
    assert lines.wrong() == []
    assert difference(before, hoststate(net.servera)) == ''


def test_a_guard_that_is_told_to_end_ends_what_went_into_the_background(program,
                                                                       net):
    before = hoststate(net.servera)
    with guarded(program, net, daemonized(net)) as guard:
        guard.wait_log('left tun0')
        assert guard.stop() == 0
    assert difference(before, hoststate(net.servera)) == ''


def test_wg_quicks_rules_stand_as_it_meant_them(program, net):
    """It adds "lookup main suppress_prefixlength 0" last and means it to come
    first: the host's own LAN stays outside the tunnel."""
    conf = net.partner_server.conf(f'{net.dir}/wgq.conf', allowed='0.0.0.0/0')
    with guarded(program, net, wg_quick('up', conf)) as guard:
        guard.wait_log('left wgq')

        def way():
            return net.servera.out('ip', 'route', 'get', MALLORY4)
        until(lambda: 'dev eth0' in way(), way, PATIENCE)
        assert 'dev wgq' in net.servera.out('ip', 'route', 'get', '192.0.2.77')
        net.servera.run(*wg_quick('down', conf), timeout=PATIENCE)
        assert guard.child.wait(PATIENCE) == 0


def test_sessions_live_while_openconnect_comes_and_goes(program, net):
    before = hoststate(net.servera)
    lines = sessions(net)
    script = f'{net.dir}/vpnc-wide'
    with open(script, 'w') as f:
        # What a corporation pushes: everything private, and the LAN's router.
        f.write('#!/bin/sh\n/usr/share/vpnc-scripts/vpnc-script\n'
                '[ "$reason" = connect ] || exit 0\n'
                'ip route add 172.16.0.0/12 dev $TUNDEV\n'
                'ip route add 172.16.5.1/32 dev $TUNDEV\n'
                'ip -6 route add fd00:16::/32 dev $TUNDEV\necho routes are in\n')
    os.chmod(script, 0o755)
    secret = hosts.keep(f'{net.dir}/secret', 'secret\n')
    server = net.corp_server
    argv = ['sh', '-c', 'exec openconnect --non-inter --passwd-on-stdin -u a '
            f'--interface tun7 --script {script} --servercert '
            f'pin-sha256:{server.pin} https://{server.address}/ < {secret}']
    with guarded(program, net, argv) as guard:
        guard.wait_log('routes are in')
        lines.wait_lines()
        assert guard.stop(signal.SIGINT) in (0, 130, 2), guard.log.text()
        lines.wait_lines()
    assert lines.wrong() == []
    assert difference(before, hoststate(net.servera)) == ''
