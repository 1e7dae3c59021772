#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is tried in the machine of tests/qemu/run: a door of the kernel's own
WireGuard, a guard beside that and beside strongSwan with the kernel's ESP, uplinks
of other sorts (uplinks.py), and the kernel tests under that kernel. Speaks TAP.

    laptop 172.16.5.20 --- servera 172.16.5.10 / 203.0.113.10 --- peer 203.0.113.77
                                                          (wg0: 10.66.0.1)
"""
import glob
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, '../..'))
sys.path.insert(0, f'{ROOT}/tests/world')
os.environ.setdefault('SALLYPORT_PATIENCE', '180')  # every instruction is computed

from lab import gate as gates                       # noqa: E402
from lab import host as hosts                       # noqa: E402
from lab import probe                               # noqa: E402
from lab import vpn                                 # noqa: E402
from lab.gate import Sallyport                      # noqa: E402
from lab.guard import Guard, Lines                  # noqa: E402
from lab.host import Host, join, until              # noqa: E402
from lab.sniff import UDP, Sniffer                  # noqa: E402
from lab.ssh import SshServer                       # noqa: E402
from lab.state import difference, hoststate         # noqa: E402
from lab.world import service_argv                  # noqa: E402
from uplinks import uplinks                         # noqa: E402

PROGRAM = f'{ROOT}/build/sallyport'
PORT = 51820
A4, A6 = '172.16.5.10', 'fd00:16:5::10'
LAPTOP4, LAPTOP6 = '172.16.5.20', 'fd00:16:5::20'
OUT4, PEER_OUT4 = '203.0.113.10', '203.0.113.77'
A_WG4, A_WG6 = '10.66.0.10', 'fd00:66::10'
PEER4, PEER6 = '10.66.0.1', 'fd00:66::1'
SLOW = 90  # seconds: every instruction is computed

gates.READY = SLOW


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='sallyport-qemu-')
        self.laptop = Host('laptop')
        self.peer = Host('peer', mounts=True)
        self.servera = Host('servera', mounts=True)
        join(self.servera, 'eth0', self.laptop, 'eth0')
        join(self.servera, 'wan', self.peer, 'eth0')
        self.servera.ip(f'addr add {A4}/24 dev eth0',
                        f'addr add {A6}/64 dev eth0 nodad',
                        f'addr add {OUT4}/24 dev wan')
        self.laptop.ip(f'addr add {LAPTOP4}/24 dev eth0',
                       f'addr add {LAPTOP6}/64 dev eth0 nodad')
        self.peer.ip(f'addr add {PEER_OUT4}/24 dev eth0')
        self._wireguard()

    def _wireguard(self):
        """The partner, by the kernel as well."""
        private, public = vpn.wg_key()
        a_private, self.a_public = vpn.wg_key()
        self.peer.ip('link add wg0 type wireguard')
        conf = hosts.keep(f'{self.dir}/wg0.conf', f'''
[Interface]
PrivateKey = {private}
ListenPort = {PORT}
[Peer]
PublicKey = {self.a_public}
AllowedIPs = {A_WG4}/32, {A_WG6}/128
''', 0o600)
        self.peer.run('wg', 'setconf', 'wg0', conf)
        self.peer.ip(f'addr add {PEER4}/24 dev wg0',
                     f'addr add {PEER6}/64 dev wg0 nodad', 'link set wg0 up')
        self.partner = hosts.keep(f'{self.dir}/partner.conf', f'''
[Interface]
PrivateKey = {a_private}
Address = {A_WG4}/32, {A_WG6}/128
[Peer]
PublicKey = {public}
AllowedIPs = 10.66.0.0/24, fd00:66::/64, 172.16.0.0/12, fd00:16::/32
Endpoint = {PEER_OUT4}:{PORT}
PersistentKeepalive = 1
''', 0o600)


class Tap:
    def __init__(self):
        self.count = self.bad = 0

    def result(self, fine, name, why=''):
        self.count += 1
        self.bad += not fine
        for line in why.splitlines() if not fine else ():
            print(f'# {line}', flush=True)
        print(f'{"ok" if fine else "not ok"} {self.count} - {name}', flush=True)

    def check(self, name, function, *args):
        try:
            function(*args)
            self.result(True, name)
        except Exception:
            self.result(False, name, traceback.format_exc())


def answered(host, proto, dst, saw):
    """As the service saw it; the first may still find no neighbour."""
    got = probe.ask_until_answered(host, proto, dst, 80, 20)
    assert (got.how, got.by, got.saw, got.source) == (
        probe.How.ANSWERED, 'room', saw, dst), got


def is_the_kernels(gate):
    with gate.inner as inner:
        said = inner.out('ip', '-d', 'link', 'show', 'partner')
    assert '\n    wireguard ' in said, said
    assert gate.vpn_pid('wireguard-go') is None


def socket_is_the_hosts(world, gate):
    """wg's own socket listens in the namespace that asked for the device."""
    host = world.servera.out('ss', '-Hulpn')
    with gate.inner as inner:
        port = inner.out('wg', 'show', 'partner', 'listen-port').strip()
        inside = inner.out('ss', '-Huln')
    assert f':{port} ' in host, host
    assert f':{port} ' not in inside, inside


def packets_leave_from_the_host(world):
    with Sniffer(world.servera, 'wan', (world.peer, 'eth0'), SLOW) as wan, \
            Sniffer(world.servera, 'sp-main') as veth:
        answered(world.peer, 'udp', A_WG4, PEER4)
        sent = wan.seen(lambda p: p.proto == UDP and p.dport == PORT)
        veth._read()
        inside = [p for p in veth.packets if PORT in (p.dport, p.sport)]
    assert sent and all(p.src == OUT4 for p in sent), sent
    assert not inside, inside


def goes_on_after_kill_9(world, sallyport, gate):
    gate.kill9()
    answered(world.peer, 'tcp', A_WG4, PEER4)
    answered(world.laptop, 'tcp', A4, LAPTOP4)


def comes_back_from_silence(world, sallyport):
    """Its server does not know us for longer than a start may take; there is no
    process whose end would be heard."""
    world.peer.run('wg', 'set', 'wg0', 'peer', world.a_public, 'remove')
    with sallyport.up('main', ready=False) as gate:
        gate.wait_log('partner: the client hangs', seconds=SLOW)
        world.peer.run('wg', 'set', 'wg0', 'peer', world.a_public, 'allowed-ips',
                       f'{A_WG4}/32,{A_WG6}/128')
        gate.wait_ready(SLOW)
        gate.serve('room', 80)
        is_the_kernels(gate)
        answered(world.peer, 'tcp', A_WG4, PEER4)


def door(tap):
    world = World()
    sallyport = Sallyport(PROGRAM, world)
    before = hoststate(world.servera)
    conf = f'[room]\npublish = 80 80/udp\n[door partner]\nvpn = {world.partner}\n'
    sallyport.write('main', conf)
    askers = [('laptop', proto, dst, saw) for proto in ('tcp', 'udp')
              for dst, saw in ((A4, LAPTOP4), (A6, LAPTOP6))]
    askers += [('peer', proto, dst, saw) for proto in ('tcp', 'udp')
               for dst, saw in ((A_WG4, PEER4), (A_WG6, PEER6))]

    def up():
        gate = sallyport.up('main', ready=False)
        gate.wait_ready(SLOW)
        return gate

    gate = up()
    gate.serve('room', 80)
    tap.check('the device is the kernel\'s', is_the_kernels, gate)
    for name, proto, dst, saw in askers:
        tap.check(f'{name} is answered by {proto} at {dst}', answered,
                  getattr(world, name), proto, dst, saw)
    tap.check('its socket is the host\'s', socket_is_the_hosts, world, gate)
    tap.check('encrypted packets leave from the host',
              packets_leave_from_the_host, world)
    tap.check('both doors answer after kill -9', goes_on_after_kill_9, world,
              sallyport, gate)

    def take_over():
        nonlocal gate
        gate = up()
        is_the_kernels(gate)
        for name, proto, dst, saw in askers:
            answered(getattr(world, name), proto, dst, saw)
    tap.check('up takes over', take_over)

    def down():
        done = sallyport('down', 'main', timeout=SLOW)
        assert done.returncode == 0, done.stderr
        left = difference(before, hoststate(world.servera))
        assert not left, left
    tap.check('the host is as it was', down)
    tap.check('a server that was silent is heard again', comes_back_from_silence,
              world, sallyport)
    if tap.bad:
        print('\n'.join(f'# {l}' for l in gate.log.text().splitlines()))


# --- a guarded host ------------------------------------------------------------

class GuardedWorld(World):
    """The host itself serves, and has a session of ssh from the laptop."""

    def __init__(self):
        super().__init__()
        self.ssh = SshServer(self.servera, self.dir)
        self.service = self.servera.popen(service_argv('host', 80), stdout=-1)
        assert self.service.stdout.readline() == 'ready\n'

    def lines(self, address=A4):
        return Lines(self.ssh, self.laptop, address, interval=0.05)

    def guard(self, *argv):
        return Guard(PROGRAM, self.servera, self.dir, argv)

    def close(self):
        self.service.kill()
        self.ssh.close()
        self.servera.close()
        self.laptop.close()
        self.peer.close()


def more(lines, n=20):
    for each in lines:
        want = len(each.came) + n
        until(lambda: len(each.came) >= want, f'{each.name}: {each.lost} lost', SLOW)


def whole(lines):
    for each in lines:
        each.stop(SLOW)
        assert not each.lost, f'{each.name}: {each.lost} lost, {each.worst} s'


def dies(each):
    until(lambda: each.lost > 40, lambda: f'{each.lost} lost', SLOW)
    each.stop(1)


def take_the_lan(world):
    """All of Server A's LAN, by longer prefixes than its own."""
    with open(world.partner) as f:
        text = f.read().replace(
            '172.16.0.0/12, fd00:16::/32', '172.16.5.0/25, 172.16.5.128/25, '
            'fd00:16:5::/65, fd00:16:5:0:8000::/65')
    return hosts.keep(f'{world.dir}/taken.conf', text, 0o600)


def without_guard_wg_quick_cuts(world, conf):
    each = world.lines()
    more([each])
    world.servera.run('wg-quick', 'up', conf, timeout=SLOW)
    dies(each)
    world.servera.run('wg-quick', 'down', conf, timeout=SLOW)


def wg_quick_comes_and_goes(world, conf):
    before = hoststate(world.servera)
    lines = [world.lines(), world.lines(A6)]
    with world.guard('wg-quick', 'up', conf) as guard:
        guard.wait_log('left taken')
        more(lines)
        answered_by_host(world.laptop, A4, LAPTOP4)
        answered_by_host(world.laptop, A6, LAPTOP6)
        answered_by_host(world.peer, A_WG4, PEER4)
        world.servera.run('wg-quick', 'down', conf, timeout=SLOW)
        assert guard.child.wait(SLOW) == 0, guard.log.text()
    more(lines)
    whole(lines)
    left = difference(before, hoststate(world.servera))
    assert not left, left


def answered_by_host(host, dst, saw, src=None):
    for proto in ('tcp', 'udp'):
        got = probe.ask(host, proto, dst, 80, src=src, seconds=20)
        assert (got.how, got.by, got.saw, got.source) == (
            probe.How.ANSWERED, 'host', saw, dst), got


# Without its plugin bypass-lan, which spares directly attached networks.
CHARON = '''
charon {{
  load = random nonce aes sha1 sha2 hmac kdf gmp pem pkcs1 x509 constraints pubkey kernel-netlink socket-default vici updown
  filelog {{
    log {{
      path = {log}
      flush_line = yes
      default = 1
    }}
  }}
  plugins {{
    vici {{
      socket = unix:///run/charon.vici
    }}
  }}
}}
swanctl {{
  socket = unix:///run/charon.vici
}}
'''
SWANCTL = '''
connections {{
  site {{
    version = 2
    local_addrs = {here}
    remote_addrs = {there}
    local {{
      auth = psk
      id = {me}
    }}
    remote {{
      auth = psk
      id = {other}
    }}
    children {{
      net {{
        local_ts = {ts}
        remote_ts = {ts}
      }}
    }}
  }}
}}
secrets {{
  ike {{
    secret = "a test"
  }}
}}
'''
B_ESP4, B_ESP6 = '172.20.0.1', 'fd00:16:20::1'
SELECTORS = '172.16.0.0/12, fd00:16::/32'


class Charon:
    """strongSwan's IKE daemon on a host of its own /run."""

    def __init__(self, host, directory, here, there, me, other):
        self.host = host
        self.log = f'{directory}/charon-{host.name}.log'
        conf = hosts.keep(f'{directory}/strongswan-{host.name}.conf',
                          CHARON.format(log=self.log))
        self.conf = hosts.keep(f'{directory}/swanctl-{host.name}.conf', SWANCTL.format(
            here=here, there=there, me=me, other=other, ts=SELECTORS))
        self.env = ['env', f'STRONGSWAN_CONF={conf}']
        self.child = host.popen([*self.env, '/usr/lib/ipsec/charon'])
        until(lambda: host.run(*self.argv('--stats'), ok=False).returncode == 0,
              self.text, SLOW)
        host.run(*self.argv('--load-all', '--file', self.conf), timeout=SLOW)

    def argv(self, *words):
        return [*self.env, 'swanctl', *words]

    def text(self):
        try:
            with open(self.log) as f:
                return f.read()
        except OSError as why:
            return str(why)

    def close(self):
        hosts.stop(self.child)


def strongswan(world):
    world.peer.ip(f'addr add {B_ESP4}/32 dev lo', f'addr add {B_ESP6}/128 dev lo nodad')
    world.servera.ip(f'route add {B_ESP4}/32 via {PEER_OUT4}')
    world.peer_charon = Charon(world.peer, world.dir, PEER_OUT4, OUT4, 'b', 'a')
    return Charon(world.servera, world.dir, OUT4, PEER_OUT4, 'a', 'b')


def without_guard_esp_cuts(world, charon):
    each = world.lines()
    more([each])
    charon.host.run(*charon.argv('--initiate', '--child', 'net'), timeout=SLOW)
    dies(each)
    charon.host.run(*charon.argv('--terminate', '--ike', 'site'), timeout=SLOW)


def esp_comes_and_goes(world, charon):
    before = world.servera.out('ip', 'xfrm', 'policy')
    lines = [world.lines(), world.lines(A6)]
    for _ in range(2):
        with world.guard(*charon.argv('--initiate', '--child', 'net')) as guard:
            guard.wait_log('left xfrm policy')
            more(lines)
            answered_by_host(world.laptop, A4, LAPTOP4)
            answered_by_host(world.laptop, A6, LAPTOP6)
            assert probe.ping(world.laptop, A4) and probe.ping(world.laptop, A6)
            esp_is_answered_by_esp(world)
            world.servera.run(*charon.argv('--terminate', '--ike', 'site'),
                              timeout=SLOW)
            assert guard.child.wait(SLOW) == 0, guard.log.text()
        more(lines)
    whole(lines)
    assert world.servera.out('ip', 'xfrm', 'policy') == before


def esp_is_answered_by_esp(world):
    """Who came in encrypted is answered so: nothing of it is on the wire."""
    with Sniffer(world.servera, 'wan', (world.peer, 'eth0'), SLOW) as wan:
        answered_by_host(world.peer, A4, B_ESP4, src=B_ESP4)
        plain = wan.seen(lambda p: p.outgoing and B_ESP4 in (p.src, p.dst))
    assert not plain, plain


def refused_without_a_module(world):
    """The kernel takes the guard's table whole or not at all: that is tried
    before anything is changed, also what only a VPN will need."""
    rule = '/run/modprobe.d/sallyport-test.conf'
    before = hoststate(world.servera)
    subprocess.run(['modprobe', '-r', 'nft_socket'], check=True)
    os.makedirs(os.path.dirname(rule), exist_ok=True)
    hosts.keep(rule, 'install nft_socket /bin/false\n')
    try:
        done = world.servera.run(PROGRAM, 'guard', '--', 'true', ok=False,
                                 timeout=SLOW)
    finally:
        os.unlink(rule)
        subprocess.run(['modprobe', 'nft_socket'], check=True)
    assert done.returncode == 1 and 'modprobe nft_socket' in done.stderr, done
    left = difference(before, hoststate(world.servera))
    assert not left, left


def guard(tap):
    world = GuardedWorld()
    tap.check('a guard refuses a kernel that lacks what it needs',
              refused_without_a_module, world)
    conf = take_the_lan(world)
    tap.check('without a guard wg-quick cuts a session',
              without_guard_wg_quick_cuts, world, conf)
    tap.check('a guard keeps sessions while wg-quick comes and goes',
              wg_quick_comes_and_goes, world, conf)
    charon = strongswan(world)
    tap.check('without a guard an SA of strongSwan cuts a session',
              without_guard_esp_cuts, world, charon)
    tap.check('a guard keeps sessions while an SA comes and goes',
              esp_comes_and_goes, world, charon)
    if tap.bad:
        print('\n'.join(f'# {l}' for l in charon.text().splitlines()[-60:]))
    charon.close()
    world.peer_charon.close()
    world.close()


def kernel_tests(tap):
    for program in sorted(glob.glob(f'{ROOT}/build/kernel-test_*')):
        if os.path.isdir(program):
            continue
        for _ in range(2):  # time limits hold once the files are cached
            done = subprocess.run([program], capture_output=True, text=True,
                                  timeout=600)
            if done.returncode == 0:
                break
        tap.result(done.returncode == 0, os.path.basename(program),
                   done.stdout + done.stderr)


def main():
    tap = Tap()
    print(f'# Linux {platform.release()}', flush=True)
    began = time.monotonic()
    tap.check('a door of the kernel\'s WireGuard', door, tap)
    tap.check('a guard of the host', guard, tap)
    uplinks(tap, PROGRAM)
    tap.check('the kernel tests', kernel_tests, tap)
    print(f'# {time.monotonic() - began:.0f} s')
    print(f'1..{tap.count}', flush=True)


if __name__ == '__main__':
    main()
