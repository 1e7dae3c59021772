# SPDX-License-Identifier: GPL-2.0-or-later
"""The VPN client is supervised, and nobody on the LAN notices."""
import contextlib
import os
import signal
import time

import pytest

from lab import probe
from lab.host import PATIENCE, until
from lab.world import A4, A_VPN4, B_VPN4, wrong_answers

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
'''


@pytest.fixture(scope='module')
def gate(world, sallyport):
    with sallyport.up('main', CONF.format(office=world.office)) as gate:
        gate.serve('room', 80)
        yield gate


@pytest.mark.parametrize('sig', ['SIGUSR1', 'SIGHUP', 'SIGTERM', 'SIGINT',
                                 'SIGKILL', 'SIGSEGV'])
def test_the_lan_does_not_notice_and_the_tunnel_comes_back(world, gate, beside,
                                                           sig):
    service = gate.children[0].pid
    flow = probe.Flow(world.laptop, A4, 80)
    since = len(gate.log.text())
    os.kill(gate.vpn_pid(), signal.Signals[sig])
    gate.wait_log('Initialization Sequence Completed', since=since)
    got = probe.ask_until_answered(world.serverb, 'tcp', A_VPN4, 80)
    assert flow.stop().error is None
    assert beside.stop().stalled() or (
        flow.total_retransmits == 0 and flow.worst < 0.5)
    assert (got.saw, gate.children[0].pid, gate.children[0].poll()) == (
        B_VPN4, service, None)
    assert wrong_answers(world) == []


def test_a_client_that_is_stopped_is_told_of_at_once_and_replaced(world, gate):
    """SIGSTOP: no exit, no log line, only silence."""
    pid = gate.vpn_pid()
    flow = probe.Flow(world.laptop, A4, 80)
    since = len(gate.log.text())
    os.kill(pid, signal.SIGSTOP)
    try:
        gate.wait_log('the client was stopped by signal 19', since=since)
        assert gate.door('office')['state'] != 'up'
        until(lambda: gate.vpn_pid() not in (None, pid),
              'the stopped client is replaced', 2 * PATIENCE, 0.2)
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    got = probe.ask_until_answered(world.serverb, 'tcp', A_VPN4, 80)
    assert flow.stop().error is None
    assert got.saw == B_VPN4
    text = gate.log.text()[since:]
    assert text.index('was stopped') < text.index('does not answer') < text.index('hangs')


def test_a_client_that_is_stopped_for_a_moment_goes_on(world, gate):
    """It may take a busy machine too long to let it."""
    def went_on():
        gate.wait_door('office')
        pid = gate.vpn_pid()
        since = len(gate.log.text())
        os.kill(pid, signal.SIGSTOP)
        gate.wait_log('the client was stopped', since=since)
        os.kill(pid, signal.SIGCONT)
        gate.wait_door('office')
        return gate.vpn_pid() == pid and 'the client goes on' in gate.log.text()[since:]
    until(went_on, 'the same client is up again')
    assert wrong_answers(world) == []


def test_a_client_outlives_a_supervisor_that_was_stopped(world, gate):
    """Nobody asked it whether it is well: that is no silence."""
    gate.wait_door('office')
    pid = gate.vpn_pid()
    since = len(gate.log.text())
    flow = probe.Flow(world.laptop, A4, 80)
    gate.child.send_signal(signal.SIGSTOP)
    try:
        time.sleep(11)  # longer than a client may be silent
    finally:
        gate.child.send_signal(signal.SIGCONT)
    assert gate.door('office')['state'] == 'up'
    assert gate.vpn_pid() == pid and 'hangs' not in gate.log.text()[since:]
    assert flow.stop().error is None


def test_a_dead_wire_and_its_return(world, gate):
    """F4: the server cannot be reached for a while; the routes stay."""
    world.inet.ip('link set br198 down')
    try:
        assert wrong_answers(world, doors=('lan', 'self')) == []
        gate.wait_door('office', 'connecting')
        assert wrong_answers(world, doors=('lan', 'self')) == []
    finally:
        world.inet.ip('link set br198 up',
                      'addr replace 2001:db8:198::1/64 dev br198 nodad')
    gate.wait_door('office', 'up')
    got = probe.ask_until_answered(world.serverb, 'tcp', A_VPN4, 80)
    assert got.saw == B_VPN4


def test_a_server_that_restarts_is_found_again(world, gate):
    world.openvpn.close()
    world.openvpn_again()
    got = probe.ask_until_answered(world.vpnsrv, 'tcp', A_VPN4, 80)
    assert got.answered


def test_the_clients_lines_carry_the_doors_name(gate):
    line = gate.wait_log('Initialization Sequence Completed')[0]
    assert 'office' in line


def test_a_client_that_cannot_start_is_tried_again_with_pauses(world,
                                                              sallyport):
    path = world.openvpn.profile(f'{world.dir}/bad.ovpn', 'servera')
    with open(path) as f:
        text = f.read()
    with open(path, 'w') as f:
        f.write(text.replace('<ca>', 'nonsense-option 1\n<ca>'))
    gate = sallyport.up('bad', '[room]\npublish = 8081:80\n[door bad]\n'
                        f'vpn = {path}\n', ready=False)
    with gate:
        gate.wait_log('bad', 'nonsense-option')
        until(lambda: gate.log.text().count('nonsense-option') >= 2,
              'it is tried again')
        gate.serve('bad', 80)
        assert probe.ask(world.laptop, 'tcp', A4, 8081).by == 'bad'
        tries = gate.log.text().count('nonsense-option')
        assert tries < 12, 'no pause between the tries'


# When each try begins.
TRIES = 'read up _ < /proc/uptime; echo "try $up"; exit 1'
PAUSES = (0.5, 1, 2, 4)


def test_each_pause_between_the_tries_is_twice_as_long_and_the_lan_hears_of_none(
        world, sallyport):
    """The later ones, up to a minute, are tests/unit/test_client.c's."""
    with sallyport.up('often', '[room]\npublish = 8082:80\n[door often]\n'
                      f'command = {TRIES}\n', ready=False) as gate:
        gate.wait_log('lan door answers')
        service = gate.serve('often', 80)
        flow = probe.Flow(world.laptop, A4, 8082)

        def begun():
            return [float(l.rsplit(' ', 1)[1]) for l in gate.log.text().splitlines()
                    if 'often: try ' in l]
        until(lambda: len(begun()) > len(PAUSES), gate.log.text)
        begun = begun()
        waited = [b - a for a, b in zip(begun, begun[1:])][:len(PAUSES)]
        # /proc/uptime has hundredths; a try itself takes some, of a busy machine more.
        assert all(-0.02 <= was - pause < 0.4 for was, pause in zip(waited, PAUSES)), waited
        count = flow.count
        until(lambda: flow.count > count + 20 or flow.error, 'the conversation goes on')
        assert (flow.stop().error, service.poll()) == (None, None)


def processes(said):
    """Those whose command line has this in it."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError), open(f'/proc/{pid}/cmdline', 'rb') as f:
            if said.encode() in f.read():
                found.append(pid)
    return found


def test_what_a_client_leaves_behind_ends_and_holds_nobody_up(sallyport):
    """It has the ended client's output still, and its process group or one of its own."""
    gate = sallyport.up('left', '[room]\n[door left]\ncommand = echo begins; '
                        'sleep 1234567 & setsid sleep 2345678 & exit 1\n', ready=False)
    with gate:
        until(lambda: gate.log.text().count('left: begins') > 2, gate.log.text)
        until(lambda: len(processes('1234567')) < 3, gate.log.text)
        assert gate.stop() == 0
    until(lambda: not processes('1234567') + processes('2345678'), gate.name)


def test_a_client_that_will_not_end_ends_with_the_gate(sallyport):
    """Wherever it is by then."""
    stays = 'trap "" TERM; echo stays; while sleep 0.1; do : 7654321; done'
    gate = sallyport.up('stays', '[room]\n[door stays]\ncommand = exec '
                        f"unshare -n sh -c '{stays}'\n", ready=False)
    with gate:
        gate.wait_log('stays: stays')
        assert gate.stop() == 0
    until(lambda: not processes('7654321'), lambda: processes('7654321'))
