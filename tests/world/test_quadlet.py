# SPDX-License-Identifier: GPL-2.0-or-later
"""deploy/quadlet under a systemd that boots: order and restarts are its own, and
so are the health check's timers. What the generator of podman 4.5 makes of the
files is made here, by podman-systemd.unit(5): Debian 12 has 4.3."""
import shlex

import pytest

from lab import container
from lab.deploy import MOUNTS, SALLYPORT, SERVE, answered, build_image, read
from lab.host import PATIENCE, until
from lab.installed import Installed, Podman
from lab.leak import Ear
from lab.world import LAN, VPN, wrong_answers

UNITS = 'office-network', 'vpn', 'web'
# Of a key that is not here nothing is known.
RUN = {'ContainerName': '--name', 'AddCapability': '--cap-add',
       'AddDevice': '--device', 'Network': '--network',
       'PublishPort': '--publish', 'Volume': '--volume',
       'HealthCmd': '--health-cmd', 'HealthInterval': '--health-interval'}
CONTAINER = '''
[Service]
Type=notify
NotifyAccess=all
KillMode=mixed
Delegate=yes
Environment=PODMAN_SYSTEMD_UNIT=%n
ExecStartPre=-rm -f %t/%N.cid
ExecStart=podman run --cidfile=%t/%N.cid --replace --rm --sdnotify=conmon -d {words}
ExecStop=podman rm -v -f -i -t 0 --cidfile=%t/%N.cid
ExecStopPost=-podman rm -v -f -i -t 0 --cidfile=%t/%N.cid
'''
NETWORK = '''
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sh -c 'podman network exists systemd-office || \
	podman network create --ipv6 systemd-office'
'''
NEEDS = '''
[Unit]
Requires=office-network.service
After=office-network.service
'''


def unit(name):
    """Of a unit file, (section, key, value) of each line that says something."""
    section = None
    for line in read('quadlet', name).splitlines():
        if line.startswith('['):
            section = line.strip('[]')
        elif line and line[0] not in '#;':
            key, _, value = line.partition('=')
            yield section, key, value


def quadlet_run(name, **changed):
    """The arguments of podman-run(1) for a .container file."""
    options, image = [], None
    for section, key, value in unit(name):
        if section != 'Container':
            continue
        value = changed.get(key, value)
        if key == 'Image':
            image = value
        elif value.endswith('.network'):
            options += ['--network', f'systemd-{value[:-8]}']
        else:
            options += [RUN[key], value]
    return [*options, *(w for h, t in MOUNTS.items()
                        for w in ('-v', f'{t}:{h}:ro'))], image


def others(name):
    """What a file says besides, which systemd reads as it is."""
    lines, last = [], None
    for section, key, value in unit(name):
        if section in ('Container', 'Network'):
            continue
        lines += [f'[{section}]'] * (section != last) + [f'{key}={value}']
        last = section
    return '\n'.join(lines)


def service(name, argv=(), **changed):
    options, image = quadlet_run(f'{name}.container', **changed)
    words = ' '.join(shlex.quote(w).replace('%', '%%').replace('$', '$$')
                     for w in (*options, image, *argv))
    needs = NEEDS if 'office.network' in read('quadlet', f'{name}.container') else ''
    return others(f'{name}.container') + needs + CONTAINER.format(words=words)


@pytest.fixture(scope='module')
def machine(world, program):
    with open(world.office) as f:
        files = {'/etc/sallyport/office.ovpn': f.read(), **Podman.FILES}
    assert [u for u in unit('office.network') if u[0] == 'Network'] == [
        ('Network', 'IPv6', 'true')]
    texts = (others('office.network') + NETWORK,
             service('vpn', HealthCmd=f'{SALLYPORT} health', HealthInterval='1s'),
             service('web', SERVE, Image=container.IMAGE))
    for name, text in zip(UNITS, texts):
        files[f'/etc/systemd/system/{name}.service'] = text
    machine = Installed(world.servera, world.dir, program, files)
    machine.podman = Podman(machine)
    build_image(machine.podman, program, '--isolation', 'chroot')
    machine.run('systemctl', 'enable', 'vpn', 'web')
    yield machine
    machine.close()


def journals(machine):
    return '\n'.join(machine.journal(u) for u in UNITS)


@pytest.fixture
def started(world, machine):
    machine.run('systemctl', 'reset-failed', 'vpn', 'web', ok=False)
    done = machine.run('systemctl', 'start', 'vpn', timeout=2 * PATIENCE, ok=False)
    assert done.returncode == 0, done.stderr + journals(machine)
    answered(world, (LAN, VPN), (4, 6), lambda: journals(machine))
    return machine


def containers(machine):
    return [machine.podman('ps', '-q', '--filter', f'name={name}').stdout
            for name in ('vpn', 'web')]


def test_systemd_has_nothing_against_the_units(machine):
    done = machine.run('systemd-analyze', 'verify', '--man=no', '--recursive-errors=no',
                       *(f'/etc/systemd/system/{u}.service' for u in UNITS), ok=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_what_is_installed_lies_where_podman_and_ip_look(machine):
    """Else who asks to be attached or not started is started without."""
    asks = ('run', '--rm', '--network', 'none', '-v', '/usr:/usr:ro', container.IMAGE, 'true')
    assert machine.podman(*asks).returncode == 0
    done = machine.podman('run', '--annotation', 'sallyport.attach=require', *asks[1:], ok=False)
    assert done.returncode == 126 and 'sallyport' in done.stderr, done
    machine.run('ip', 'route', 'show', 'proto', 'sallyport')
    assert machine.run('ip', 'route', 'show', 'proto', 'sallyporx', ok=False).returncode


def test_the_service_starts_after_its_vpn_and_systemd_asks_for_its_health(
        started, ear):
    assert all(started.is_active(u) for u in UNITS)
    began = [int(started.prop(u, 'ActiveEnterTimestampMonotonic'))
             for u in ('office-network', 'vpn')]
    web = int(started.prop('web', 'InactiveExitTimestampMonotonic'))
    assert 0 < began[0] < began[1] < web
    until(lambda: '(healthy)' in started.podman('ps', '--filter', 'name=vpn').stdout,
          lambda: started.podman('ps').stdout, PATIENCE)
    assert ear.heard() == []


@pytest.mark.parametrize('how', [
    ('systemctl', 'restart', 'vpn'), ('podman', 'kill', 'vpn'),
    ('podman', 'kill', 'web')], ids=' '.join)
def test_both_are_there_again_after(world, started, how):
    before = containers(started)
    with Ear(world) as ear:
        done = started.run(*how, timeout=2 * PATIENCE, ok=False)
        assert done.returncode == 0, done.stderr + journals(started)
        until(lambda: all(containers(started)) and
              containers(started)[1] != before[1], lambda: journals(started), PATIENCE, 0.1)
        answered(world, (LAN, VPN), (4, 6), lambda: journals(started))
        assert ear.heard() == []
    assert (containers(started)[0] == before[0]) == ('web' in how)


def test_a_vpn_that_is_stopped_takes_the_service_along(world, started):
    started.run('systemctl', 'stop', 'vpn')
    assert not started.is_active('web')
    assert containers(started) == ['', '']
    assert len(wrong_answers(world, doors=(LAN,), families=(4,), seconds=0.2)) == 8


def test_after_a_boot_both_are_there_and_nothing_leaked(world, started):
    with Ear(world) as ear:
        started.shut_down()
        started.boot()
        answered(world, (LAN, VPN), (4, 6), lambda: journals(started))
        assert ear.heard() == []
