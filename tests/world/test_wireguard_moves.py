# SPDX-License-Identifier: GPL-2.0-or-later
"""WireGuard's server gets another address, and its name with it (DynDNS)."""
import os

import pytest

from lab import probe
from lab.host import keep, until
from lab.leak import Ear, Talker
from lab.names import Names
from lab.world import A4, A_WG4, PARTNER4

NAME = 'home.dyndns.example'
OLD, NEW = '203.0.113.77', '203.0.113.78'
CONF = '[room]\npublish = 80 80/udp\n[door wg]\nvpn = {}\n'

# Since a file is there, it is 140 s later: nobody waits for the silence.
LATER = '''
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
	long r = syscall(SYS_clock_gettime, id, t);
	if (r == 0 && id == CLOCK_BOOTTIME && access("%s", F_OK) == 0)
		t->tv_sec += 140;
	return (int)r;
}
'''


@pytest.fixture
def names(wide_world):
    resolv = keep(wide_world.servera.path('/etc/resolv.conf'),
                  'nameserver 198.51.100.1\n')
    names = Names(wide_world.inet, '192.0.2.88', '198.51.100.1', {NAME: OLD})
    yield names
    names.close()
    os.unlink(resolv)


def move(partner, old, new):
    partner.ip(f'addr del {old}/24 dev eth0', f'addr add {new}/24 dev eth0',
               'route replace default via 203.0.113.1')


@pytest.fixture
def moved(wide_world):
    """Moves the server, which then calls nobody: else its peer would hear from where."""
    partner = wide_world.hosts['partner']

    def go():
        partner.ip('route add unreachable 172.16.0.0/16')
        move(partner, OLD, NEW)
        return lambda: partner.ip('route del unreachable 172.16.0.0/16')
    yield go
    move(partner, NEW, OLD)



def test_a_silent_peer_is_followed_to_its_names_new_address(
        wide_world, wide, names, moved):
    w, later = wide_world, f'{wide_world.dir}/it-is-later'
    tool = wide.preloaded('later', LATER % later)
    path = w.partner_server.conf(f'{w.dir}/dyndns.conf', endpoint=f'{NAME}:51820',
                                 allowed='0.0.0.0/0, ::/0')
    with tool.up('main', CONF.format(path)) as gate, Ear(w) as ear, gate.room() as room:
        gate.serve('room', 80)
        assert probe.ask(w.partner, 'tcp', A_WG4, 80).saw == PARTNER4
        flow, pid = probe.Flow(w.laptop, A4, 80), gate.vpn_pid('wireguard-go')
        talker = Talker(room)
        again = moved()
        names.known[NAME] = NEW
        asked = len(names.asked)
        talker.said()
        assert names.asked[asked:] == []  # it has not been silent for long
        keep(later, '')
        gate.wait_log(f'wg: the peer {NAME} is silent, and its name has moved: '
                      f'{OLD} -> {NEW}')
        again()
        got = probe.ask_until_answered(w.partner, 'tcp', A_WG4, 80)
        assert got.saw == PARTNER4, gate.log.text()
        talker.said()
        talker.connect_all()
        talker.stop()
        assert gate.vpn_pid('wireguard-go') == pid
        assert flow.stop().error is None
        assert ear.heard() == []
        until(lambda: gate.zombies() == [], 'who resolved it was waited for')
    os.unlink(later)
