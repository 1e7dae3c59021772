# SPDX-License-Identifier: GPL-2.0-or-later
"""A guarded host whose network is systemd's: networkd, which removes rules that
are not its own, DHCP, and units that start at boot."""
import pytest

from lab import probe
from lab.dhcp import Dhcp
from lab.guard import Guard, Sessions, lived_in
from lab.host import PATIENCE, until
from lab.machine import Machine
from lab.networkd import EXTRA, STATIC, another_link, is_done
from lab.state import difference, hoststate
from lab.world import A4, A6, LAPTOP4

NETWORK = '/etc/systemd/network/eth0.network'
DROP_IN = '/etc/systemd/networkd.conf.d/50-sallyport.conf'
OFFICE = '/etc/openvpn/client/office.conf'
UNIT = 'sallyport-guard.service'
CLIENT = 'openvpn-client@office.service'
LEASED = '''
[Match]
Name=eth0
[Network]
DHCP=ipv4
IPv6AcceptRA=no
LinkLocalAddressing=no
'''


@pytest.fixture(scope='module')
def net(world):
    with lived_in(world) as net:
        yield net


@pytest.fixture
def boot(program, net):
    """Boots Server A with these files and the VPN's profile."""
    machines = []

    def boot(files, enable=(), links=None, packages=()):
        with open(net.office) as f:
            files = {OFFICE: f.read(), **files}
        machine = Machine(net.servera, net.dir, program, files, links, enable,
                          packages)
        machines.append(machine)
        return machine
    yield boot
    for machine in machines:
        machine.close()
    for link in ('extra0', 'other0'):
        net.servera.run('ip', 'link', 'del', link, ok=False)


def networkd(net, boot, network, files=None, enable=(), **kw):
    """As on a machine that was just switched on: networkd 252 under a newer
    kernel trips over addresses that are there already."""
    net.servera.ip('addr flush dev eth0', 'route flush table main',
                   'link set eth0 down')
    machine = boot({NETWORK: network,
                    NETWORK.replace('eth0', 'extra0'): EXTRA, **(files or {})},
                   ['systemd-networkd.service', *enable], **kw)
    is_done(machine)
    return machine


def sessions(net, to=A4):
    return Sessions(net.ssh, net.beside, [(net.laptop, to), (net.laptop3, to)])


def guarded(machine, net):
    return Guard(machine.program, machine, net.dir,
                 ['openvpn', '--config', OFFICE])


def ended(guard):
    """Its status; nsenter(1), which stands between, passes no signals on."""
    guard.off()
    return guard.child.wait(PATIENCE)


def rules(machine):
    return [l for l in machine.out('ip', 'rule').splitlines() if 'lookup 100' in l]


def all_rules(machine, guard):
    """The guard's, when the tunnel is a door and networkd let the host have
    its address."""
    until(lambda: 'tun0' in [d['name'] for d in guard.status()['doors']] and
          f'from {A4} ' in ''.join(rules(machine)), guard.log.text, PATIENCE)
    return rules(machine)


STRANGER = 'from 10.9.9.9 lookup 77'


def add_strangers(machine):
    machine.run('ip', 'rule', 'add', 'pref', '77', *STRANGER.split())


def reconfigure(machine):
    machine.run('networkctl', 'reconfigure', 'eth0')


@pytest.mark.parametrize('what', [reconfigure, another_link],
                         ids=['that reconfigures', 'that sees a new link'])
def test_networkd_takes_strangers_rules_and_leaves_the_guards(net, boot, what):
    machine = networkd(net, boot, STATIC)
    lines = sessions(net)
    lines.GAP = 1.0  # it may take the address away and put it back
    with guarded(machine, net) as guard:
        guard.connected()
        before = all_rules(machine, guard)
        add_strangers(machine)
        what(machine)
        until(lambda: STRANGER not in machine.out('ip', 'rule'),
              'networkd takes it', PATIENCE)
        is_done(machine)
        # It may have taken the address as well, and the guard's rules with it.
        until(lambda: rules(machine) == before, guard.log.text, PATIENCE)
        lines.wait_lines()
        assert 'rules of the guard' not in guard.log.text()
        assert ended(guard) == 0
    assert lines.wrong() == []


def test_with_the_drop_in_networkd_leaves_every_rule(net, boot):
    machine = networkd(net, boot, STATIC)
    lines = sessions(net)
    lines.GAP = 1.0
    with guarded(machine, net) as guard:
        guard.connected()
        said = machine.out(machine.program, 'guard', '--networkd')
        assert 'systemctl restart systemd-networkd' in said
        assert 'ManageForeignRoutingPolicyRules=no' in machine.read(DROP_IN)
        machine.run('systemctl', 'restart', 'systemd-networkd')
        add_strangers(machine)
        reconfigure(machine)
        another_link(machine)
        is_done(machine)
        assert STRANGER in machine.out('ip', 'rule')
        lines.wait_lines()
        machine.run('ip', 'rule', 'del', 'pref', '77')
        assert ended(guard) == 0
    assert lines.wrong() == []


def test_rules_that_are_taken_come_back_and_the_drop_in_is_named(net, boot):
    machine = networkd(net, boot, STATIC)
    lines = sessions(net)
    lines.GAP = 1.0  # between the deletion and its repair
    with guarded(machine, net) as guard:
        guard.connected()
        before = all_rules(machine, guard)
        machine.run('ip', '-batch', '-', input=''.join(
            f'rule del pref 0 {r.split(":")[1]}\n' for r in before))
        guard.wait_log('repaired', 'systemd-networkd', 'guard --networkd')
        until(lambda: rules(machine) == before, guard.log.text, PATIENCE)
        lines.wait_lines()
    assert lines.wrong() == []


@pytest.fixture
def dhcp(net):
    server = Dhcp(net, A4)
    yield server
    server.close()


def answers(net, address):
    got = probe.ask(net.laptop, 'tcp', address, 80, seconds=2)
    udp = probe.ask(net.laptop, 'udp', address, 80, seconds=2)
    return got.answered and udp.answered and got.saw == udp.saw == LAPTOP4


def test_a_lease_of_another_address_is_guarded(net, boot, dhcp):
    """While the VPN stands, the DHCP server gives the host a new address."""
    machine = networkd(net, boot, LEASED)
    with guarded(machine, net) as guard:
        guard.connected()
        until(lambda: answers(net, A4), guard.log.text, PATIENCE)
        dhcp.close()
        dhcp.serve('172.16.5.11')
        reconfigure(machine)
        until(lambda: '172.16.5.11' in machine.out('ip', 'addr') and
              f'{A4}/' not in machine.out('ip', 'addr'),
              lambda: machine.journal('systemd-networkd'), PATIENCE)
        until(lambda: answers(net, '172.16.5.11'), guard.log.text, PATIENCE)
        eth0 = [d for d in guard.status()['doors'] if d['name'] == 'eth0']
        assert eth0[0]['addresses'] == ['172.16.5.11'], eth0
        assert ended(guard) == 0


def install(machine, *how):
    machine.run(machine.program, 'guard', '--install')
    machine.run('systemctl', 'daemon-reload')
    machine.run('systemctl', 'enable', *how, UNIT)


def began(machine, unit):
    return int(machine.prop(unit, 'ExecMainStartTimestampMonotonic'))


def connected(machine):
    until(lambda: 'Initialization Sequence Completed' in machine.journal(CLIENT),
          lambda: machine.journal(CLIENT), PATIENCE)


# Ordered as tailscaled is: networkd is not waited for.
EARLY = '''
[Unit]
Wants=network-pre.target
After=network-pre.target
[Service]
Type=oneshot
ExecStart=true
[Install]
WantedBy=multi-user.target
'''
# Who is not ordered behind it will not be late by chance.
SLOW = '[Service]\nExecStartPre=sleep 3\n'


def test_the_unit_guards_from_boot_on_before_any_vpn_client(program, net, boot):
    """Installed in one life of the machine; in the next a VPN client of
    systemd's starts at boot, too."""
    machine = networkd(net, boot, STATIC,
                       {'/etc/systemd/system/early.service': EARLY},
                       enable=[CLIENT, 'early.service'])
    connected(machine)
    assert not answers(net, A4)  # the VPN has taken the laptop's answers
    install(machine)
    machine.write(f'/etc/systemd/system/{UNIT}.d/slow.conf', SLOW)
    machine.shut_down()
    net.servera.ip('addr flush dev eth0', 'link set eth0 down')
    machine.boot()
    connected(machine)
    until(lambda: answers(net, A4), lambda: machine.journal(UNIT), PATIENCE)
    assert machine.is_active(UNIT)
    ready = int(machine.prop(UNIT, 'ActiveEnterTimestampMonotonic'))
    assert 0 < began(machine, UNIT) < ready
    late = {unit: began(machine, unit) for unit in (
        CLIENT, 'systemd-networkd.service', 'early.service')}
    assert min(late.values()) > ready, (ready, late)
    status = machine.out(machine.program, 'guard', '--status')
    assert 'eth0' in status and A4 in status and 'tun0' in status


def test_a_client_of_systemds_is_started_under_the_guard_that_stands(net, boot):
    machine = networkd(net, boot, STATIC)
    install(machine, '--now')
    lines = sessions(net)
    machine.run(machine.program, 'guard', '--', 'systemctl', 'start', CLIENT)
    connected(machine)
    lines.wait_lines()
    machine.run('systemctl', 'stop', CLIENT)
    lines.wait_lines()
    assert lines.wrong() == []
    machine.run(machine.program, 'guard', '--off')
    until(lambda: not machine.is_active(UNIT), lambda: machine.journal(UNIT),
          PATIENCE)
    assert rules(machine) == []


def test_a_client_of_systemds_lives_and_ends_with_a_guard_of_its_own(net, boot):
    machine = networkd(net, boot, STATIC)
    before = hoststate(machine)
    lines = sessions(net)
    with Guard(machine.program, machine, net.dir,
               ['systemctl', 'start', CLIENT]) as guard:
        guard.wait_log('left tun0')
        connected(machine)
        lines.wait_lines()
        assert ended(guard) == 0, guard.log.text()
    assert not machine.is_active(CLIENT)
    lines.wait_lines(5)
    assert lines.wrong() == []
    assert difference(before, hoststate(machine)) == ''


def test_after_kill_9_systemd_starts_the_guard_again(net, boot):
    machine = networkd(net, boot, STATIC)
    install(machine, '--now')
    lines = sessions(net)
    machine.run('systemctl', 'start', CLIENT)
    connected(machine)
    first = machine.prop(UNIT, 'MainPID')
    machine.run('kill', '-9', first)
    until(lambda: machine.prop(UNIT, 'MainPID') not in (first, '0') and
          machine.is_active(UNIT), lambda: machine.journal(UNIT), PATIENCE)
    lines.wait_lines()
    assert lines.wrong() == []
    assert answers(net, A4)


# --- systemd-resolved ---------------------------------------------------------

RESOLVED = 'systemd-resolved.service'
STUB = '../run/systemd/resolve/stub-resolv.conf'
NAMES = '/etc/openvpn/names'
# As update-systemd-resolved(8) tells it what the server pushed; and what some
# vendors' clients do besides, to a link that is not theirs.
UP = '''#!/bin/sh
resolvectl dns "$dev" 10.8.0.53
resolvectl domain "$dev" '~.'
[ ! -e /run/others ] || resolvectl llmnr eth0 no
[ ! -e /run/others ] || resolvectl dns eth0 10.8.0.54
echo names are set
'''


def resolved(net, boot):
    """eth0's servers are networkd's word, other0's somebody's at run time."""
    machine = networkd(net, boot, STATIC + 'DNS=192.0.2.1\nDNS=192.0.2.2\n',
                       {NAMES: UP}, [RESOLVED],
                       links={'/etc/resolv.conf': STUB},
                       packages=['systemd-resolved'])
    machine.run('chmod', '755', NAMES)
    machine.run('ip', 'link', 'add', 'other0', 'type', 'veth', 'peer', 'name',
                'other1')
    machine.run('ip', 'addr', 'add', '192.0.2.78/28', 'dev', 'other0')
    machine.run('ip', 'link', 'set', 'other0', 'up')
    machine.run('resolvectl', 'dns', 'other0', '192.0.2.53')
    machine.run('resolvectl', 'domain', 'other0', 'example.net', '~example.org')
    machine.run('resolvectl', 'dnssec', 'other0', 'no')
    until(lambda: '192.0.2.1' in machine.out('resolvectl', 'dns', 'eth0'),
          lambda: machine.journal('systemd-resolved'), PATIENCE)
    return machine


SETTINGS = ('dns', 'domain', 'default-route', 'llmnr', 'mdns', 'dnsovertls',
            'dnssec', 'nta')


def names(machine):
    """All that says who is asked; in resolv.conf links have no order."""
    said = [machine.out('resolvectl', s) for s in SETTINGS]
    for path in ('/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'):
        said.append(machine.run('readlink', path, ok=False).stdout)
        said += sorted(machine.out('cat', path).splitlines())
    return '\n'.join(said)


def with_names(machine, net, others=False, options=()):
    machine.run('touch' if others else 'true', '/run/others')
    return Guard(machine.program, machine, net.dir,
                 ['openvpn', '--config', OFFICE, '--script-security', '2',
                  '--up', NAMES], options)


def set_by_client(machine):
    return '10.8.0.53' in machine.out(
        'cat', '/run/systemd/resolve/resolv.conf')


@pytest.mark.parametrize('others', [False, True],
                         ids=["the tunnel's", "the tunnel's and eth0's"])
def test_what_resolved_is_told_is_shown_and_undone(net, boot, others):
    machine = resolved(net, boot)
    before = names(machine)
    with with_names(machine, net, others) as guard:
        guard.connected()
        assert set_by_client(machine)
        guard.wait_log('systemd-resolved was told', 'tun0', '10.8.0.53',
                       *(['10.8.0.54'] if others else []))
        assert ended(guard) == 0
    until(lambda: names(machine) == before,
          lambda: difference(before, names(machine)) + guard.log.text(), PATIENCE)


def test_what_resolved_was_told_before_is_told_again(net, boot):
    """The client changes what somebody else had said of another link."""
    machine = resolved(net, boot)
    before = names(machine)
    with with_names(machine, net) as guard:
        guard.connected()
        machine.run('resolvectl', 'dns', 'other0', '10.8.0.55')
        machine.run('resolvectl', 'domain', 'other0', '~.')
        machine.run('resolvectl', 'llmnr', 'other0', 'no')
        guard.wait_log('systemd-resolved was told', 'other0', '10.8.0.55')
        assert ended(guard) == 0
    until(lambda: names(machine) == before,
          lambda: difference(before, names(machine)) + guard.log.text(), PATIENCE)


@pytest.mark.parametrize('others', [False, True],
                         ids=["the tunnel's", "the tunnel's and eth0's"])
def test_what_resolved_was_told_by_a_client_that_is_killed_is_undone(net, boot,
                                                                    others):
    """With its guard; what was before stands in a file."""
    machine = resolved(net, boot)
    before = names(machine)
    with with_names(machine, net, others) as guard:
        guard.connected()
        guard.wait_log('systemd-resolved was told', 'tun0',
                       *(['10.8.0.54'] if others else []))
        pids = machine.out('pidof', 'sallyport', 'openvpn').split()
        machine.run('kill', '-9', *pids)
        guard.child.wait(PATIENCE)
        until(lambda: '10.8.0.53' not in machine.out('resolvectl', 'dns'),
              'the tunnel is forgotten', PATIENCE)
        guard.off()
    until(lambda: names(machine) == before,
          lambda: difference(before, names(machine)), PATIENCE)


def test_what_resolved_was_told_is_taken_back_with_the_rest(net, boot):
    """Nobody confirms it: the probe goes silent once the VPN stands."""
    machine = resolved(net, boot)
    before = names(machine)
    machine.write('/etc/openvpn/cut', UP + 'nft add table inet evil\n'
                  "nft add chain inet evil out '{ type filter hook output "
                  "priority 0; }'\n"
                  f'nft add rule inet evil out ip daddr {LAPTOP4} drop\n', 0o755)
    machine.run('touch', '/run/others')
    with Guard(machine.program, machine, net.dir,
               ['openvpn', '--config', OFFICE, '--script-security', '2', '--up',
                '/etc/openvpn/cut'],
               ['--confirm', '5', '--probe', LAPTOP4]) as guard:
        guard.wait_log('names are set')
        guard.wait_log('everything is taken back')
        assert guard.child.wait(PATIENCE) == 1, guard.log.text()
    until(lambda: names(machine) == before,
          lambda: difference(before, names(machine)) + guard.log.text(), PATIENCE)
