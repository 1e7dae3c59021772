# SPDX-License-Identifier: GPL-2.0-or-later
"""UDP services of every style on a guarded host, asked at several of its
addresses by clients of the same address and port."""
import os
import select
import signal
import socket
import sys

import pytest

from lab.guard import Guard
from lab.host import PATIENCE, until
from lab.udp import STYLES
from lab.vpn import Log
from lab.world import A4, A6, A_VPN4, A_VPN6, LAPTOP4, LAPTOP6

SECOND4, SECOND6 = '172.16.5.12', 'fd00:16:5::12'
FIRST = 7000
PORT = dict(zip(STYLES, range(FIRST, FIRST + len(STYLES))))
SPORT = 40000
ROUNDS = 5
UDP = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'lab/udp.py')


@pytest.fixture(scope='module')
def net(world):
    world.servera.ip(f'addr add {SECOND4}/24 dev eth0',
                     f'addr add {SECOND6}/64 dev eth0 nodad')
    log = Log(f'{world.dir}/udp.log')
    child = world.servera.popen(
        [sys.executable, '-I', UDP, str(FIRST), A4, A6, SECOND4, SECOND6],
        stdout=log.file, stderr=log.file)
    until(lambda: 'ready' in log.text(), log.text)
    world.udp_services = child
    yield world
    child.kill()
    log.close()


@pytest.fixture(scope='module')
def guard(program, net):
    with Guard(program, net.servera, net.dir,
               ['openvpn', '--config', net.office]) as guard:
        guard.connected()
        until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']],
              guard.log.text)
        yield guard


class Client:
    """One socket with a port of its own choice."""

    def __init__(self, host, address, sport):
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        self.s = host.socket(family, socket.SOCK_DGRAM)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.s.bind((address, sport))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, dst, style, data):
        self.s.sendto(data, (dst, PORT[style]))

    def receive(self, seconds=2.0):
        """(from where, what); None in silence."""
        p = select.poll()
        p.register(self.s, select.POLLIN)
        if not p.poll(seconds * 1000):
            return None
        data, addr = self.s.recvfrom(65536)
        return addr[0], data.partition(b' - ')[2]

    def ask(self, dst, style, data, seconds=20):
        """Until it is answered: the first datagrams find neighbours."""
        for _ in range(int(seconds * 2)):
            self.send(dst, style, data)
            got = self.receive(0.5)
            while got and got[1] != data:
                got = self.receive(0.1)
            if got:
                return got
        return None


# What connects its socket takes the source that the kernel chooses then.
ASKED = [s for s in STYLES if s != 'connected']


@pytest.mark.parametrize('v', '46')
@pytest.mark.parametrize('style', ASKED)
def test_who_asks_two_addresses_in_turn_is_answered_by_each(net, guard, style, v):
    """From one port, and each time after the answer."""
    here, both = ((LAPTOP4, (A4, SECOND4)) if v == '4' else
                  (LAPTOP6, (A6, SECOND6)))
    with Client(net.laptop, here, SPORT) as client:
        for i in range(ROUNDS):
            for dst in both:
                data = f'{dst} {i}'.encode()
                assert client.ask(dst, style, data) == (dst, data)


@pytest.mark.parametrize('v', '46')
@pytest.mark.parametrize('style', ASKED)
def test_two_who_have_one_address_and_port_are_answered_in_turn(net, guard, style,
                                                                v):
    """One on the LAN, and one behind the VPN."""
    address, lan, vpn = ((LAPTOP4, A4, A_VPN4) if v == '4' else
                         (LAPTOP6, A6, A_VPN6))
    if style == 'bound':  # it was not to the tunnel's address
        return
    with Client(net.laptop, address, SPORT + 1) as laptop, \
            Client(net.twin, address, SPORT + 1) as twin:
        for i in range(ROUNDS):
            for client, dst in ((laptop, lan), (twin, vpn)):
                data = f'{dst} {i}'.encode()
                assert client.ask(dst, style, data) == (dst, data)


def stop(pid):
    """Until it has."""
    def state():
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state() == 'T', state, PATIENCE)


def at_once(service, client, style, both):
    """Asks both before either is answered; from where which answer came."""
    stop(service.pid)
    for dst in both:
        client.send(dst, style, dst.encode())
    os.kill(service.pid, signal.SIGCONT)
    answers = [client.receive(PATIENCE) for _ in both]
    return {what.decode(): source for source, what in answers}


@pytest.mark.parametrize('v', '46')
@pytest.mark.parametrize('style', ASKED)
def test_who_asks_two_addresses_at_once_is_answered_by_the_last(net, guard, style,
                                                                v):
    """Unless the service is bound to each. One that says its source itself is
    not told from one whose source the kernel has chosen."""
    here, both = ((LAPTOP4, (A4, SECOND4)) if v == '4' else
                  (LAPTOP6, (A6, SECOND6)))
    with Client(net.laptop, here, SPORT + 2) as client:
        for dst in both:
            assert client.ask(dst, style, b'x')
        for order in (both, both[::-1]):
            want = {dst: dst if style == 'bound' else order[-1] for dst in both}
            assert at_once(net.udp_services, client, style, order) == want
        for dst in both:  # and from then on as before
            assert client.ask(dst, style, b'y') == (dst, b'y')
