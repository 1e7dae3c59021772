# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody takes from a VPN's interface is put back, or its client is
started again; the log says which."""
import pytest

from lab import probe
from lab.host import keep, until
from lab.world import (A_VPN4, A_VPN6, A_WG4, A_WG6, B_VPN4, B_VPN6, CORP4, PARTNER4,
                       PARTNER6)
from test_doors_and_rooms import VPNC

CONF = '''
[room]
publish = 80 80/udp
[door office]
vpn = {office}
[door partner]
vpn = {partner}
[door corp]
command   = {corp}
interface = tun7
server    = 203.0.113.99:443
'''


@pytest.fixture(scope='module')
def gate(wide_world, wide):
    w = wide_world
    keep(f'{w.dir}/vpnc-script', VPNC, 0o755)
    conf = CONF.format(office=w.office, partner=w.partner_conf,
                       corp=w.corp_server.command(f'{w.dir}/vpnc-script'))
    with wide.up('tunnels', conf) as gate:
        gate.serve('room', 80)
        yield gate


def asked(world, gate, door):
    """Who asks by this door, whom, and as whom."""
    hosts = world.hosts
    if door == 'partner':
        return [(hosts['partner'], A_WG4, PARTNER4), (hosts['partner'], A_WG6, PARTNER6)]
    if door == 'corp':
        return [(hosts['corp'], a.split('/')[0], CORP4)
                for a in gate.door('corp')['addresses'] if '.' in a]
    return [(hosts['serverb'], A_VPN4, B_VPN4), (hosts['serverb'], A_VPN6, B_VPN6)]


def all_answered(world, gate, door):
    askers = asked(world, gate, door)
    for host, dst, saw in askers:
        for proto in ('tcp', 'udp'):
            got = probe.ask(host, proto, dst, 80, seconds=1)
            if (got.how, got.by, got.saw) != (probe.How.ANSWERED, 'room', saw):
                return False
    return bool(askers)


def settings(inner, link):
    """Of the tunnel, and what leads into it."""
    shown = []
    for family in (4, 6):
        for what in ('-o addr show dev', 'route show dev'):
            lines = inner.out('ip', f'-{family}', *what.split(), link, ok=False)
            shown += [' '.join(l.split(': ', 1)[-1].split()) for l in lines.splitlines()
                      if 'fe80' not in l]
    return sorted(shown)


HANDS = {
    'renamed': ['link set {} name other'],
    'renamed while down': ['link set {} down', 'link set {} name other'],
    'set down': ['link set {} down'],
    'without addresses': ['addr flush dev {}'],
    'without IPv6 addresses': ['-6 addr flush dev {}'],
    'without routes': ['route flush dev {}', '-6 route flush dev {}'],
    'too small': ['link set {} mtu 700'],
    'deleted': ['link del {}'],
}


def lay_hands(inner, link, hands):
    """In one go: between two commands all could be put right."""
    done = inner.run('sh', '-c', ' && '.join('ip ' + line.format(link) for line in HANDS[hands]),
                     ok=False)
    # A flush goes on until nothing is left, and what it took may be back by then.
    assert not done.returncode or 'Flush remains incomplete' in done.stderr, done.stderr


@pytest.mark.parametrize('door', ['office', 'partner'])
@pytest.mark.parametrize('hands', HANDS)
def test_a_tunnel_in_somebodys_hands_answers_again(wide_world, gate, door, hands):
    until(lambda: all_answered(wide_world, gate, door), 'all are answered before')
    pid = gate.vpn_pid('openvpn')
    with gate.inner as inner:
        before = settings(inner, door)
        since = len(gate.log.text())
        if hands == 'renamed while down':
            lay_hands(inner, door, 'set down')
            inner.run('ip', 'link', 'set', door, 'name', 'other', ok=False)
        else:
            lay_hands(inner, door, hands)
        until(lambda: all_answered(wide_world, gate, door),
              lambda: 'all are answered: ' + gate.log.text()[since:])
        until(lambda: settings(inner, door) == before,
              lambda: f'{before}\n{settings(inner, door)}')
    if hands == 'deleted':
        gate.wait_log(f'{door}: connecting', since=since)
    else:
        gate.wait_log('repaired: tunnels.gate: ', since=since)
        assert gate.vpn_pid('openvpn') == pid


@pytest.mark.parametrize('hands', ['without addresses', 'deleted'])
def test_an_unknown_client_whose_tunnel_is_taken_apart_is_started_again(wide_world, gate,
                                                                        hands):
    until(lambda: all_answered(wide_world, gate, 'corp'), 'all are answered before')
    since = len(gate.log.text())
    with gate.inner as inner:
        lay_hands(inner, 'tun7', hands)
    gate.wait_log('corp: connecting', since=since)
    until(lambda: all_answered(wide_world, gate, 'corp'),
          lambda: 'all are answered: ' + gate.log.text()[since:])


def test_what_a_client_takes_away_itself_stays_away(wide_world, gate):
    """At the next connect the server gives other routes: openvpn makes its
    interface anew."""
    until(lambda: all_answered(wide_world, gate, 'office'), 'all are answered before')
    since = len(gate.log.text())
    server = wide_world.openvpn
    try:
        server.give_a(push=('route 172.24.0.0 255.255.0.0',))
        server.close()
        wide_world.openvpn_again()
        with gate.inner as inner:
            until(lambda: '172.24.0.0/16' in inner.out('ip', 'route'), 'the new route is there')
            until(lambda: all_answered(wide_world, gate, 'office'),
                  lambda: 'all are answered: ' + gate.log.text()[since:])
            assert '172.16.0.0/12' not in inner.out('ip', 'route')
        assert 'repaired' not in gate.log.text()[since:]
    finally:
        server.give_a()
