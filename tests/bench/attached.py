# SPDX-License-Identifier: GPL-2.0-or-later
"""A container with and without `attach`: the same one, in turns; and what it
takes to start and to keep one."""
import time

import start
import table
from lab import container as engines
from lab.host import until
from scene import NEAR_WHALE, PROGRAM

ROUNDS = 7
MS = 800
STARTS = 15
REST = 0.5  # what a container leaves to be cleared away must not be measured

UNITS = {'conns': ('new connections', 1, '/s'),
         'rr': ('requests, one connection', 1, '/s'),
         'fetch': ('throughput, service to client', 8e-9, 'Gbit/s')}

# What images of this job begin with: a firewall, then the client, started
# again when it ends.
ENTRYPOINT = '''
iptables -P OUTPUT DROP
iptables -A OUTPUT -o lo -j ACCEPT
iptables -A OUTPUT -o tun+ -j ACCEPT
iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A OUTPUT -d 198.51.100.2 -p udp --dport 1194 -j ACCEPT
while :; do openvpn --config /etc/sallyport/vpn.ovpn; sleep 1; done
'''


def took(run):
    """In ms."""
    begin = time.monotonic()
    run()
    return (time.monotonic() - begin) * 1000


def tell(scene, verb, container):
    """The whole command, from fork to exit."""
    return took(lambda: scene.docker.host.run(
        PROGRAM, verb, '--engine', scene.docker.socket, container))


def nothing(scene):
    return took(lambda: scene.docker.host.run(PROGRAM, '--version'))


def speeds(scene, container):
    found = {(what, how): [] for what in UNITS for how in ('plain', 'attached')}
    for _ in range(ROUNDS):
        for how, verb in (('plain', 'attach'), ('attached', 'detach')):
            for what in UNITS:
                found[what, how].append(
                    scene.measure(what, NEAR_WHALE, 80, MS))
            tell(scene, verb, container)
    for what, (title, scale, unit) in UNITS.items():
        yield table.Row(f'{title}: attached',
                        table.scaled(found[what, 'attached'], scale), unit)
        yield table.ratio('  attached / the same without',
                          found[what, 'attached'], found[what, 'plain'], 0.97)


def attaching(scene, container):
    idle, busy = [], []
    for _ in range(STARTS):
        idle.append(nothing(scene))
        busy.append(tell(scene, 'attach', container))
        tell(scene, 'detach', container)
        time.sleep(REST)
    yield table.Row('attach, more than a command that does nothing',
                    [b - i for b, i in zip(busy, idle)], 'ms', 10,
                    at_most=True)


def starting(scene):
    def run(*flags):
        return took(lambda: scene.docker('run', '--rm', *flags, 'load',
                                         '/load', ok=False))
    found = table.alternate({
        'usual': run, 'ours': lambda: run('--runtime', 'sallyport'),
    }, STARTS, REST)
    yield table.Row('docker run --rm', found['usual'], 'ms')
    yield table.Row('  more with --runtime sallyport',
                    [o - u for o, u in zip(found['ours'], found['usual'])],
                    'ms')


def memory(engine):
    """Of all processes of the container: resident and proportional MiB."""
    lines = engine('top', 'vpn', '-o', 'pid').stdout.split()[1:]
    each = [start.memory(pid) for pid in lines]
    return sum(m[0] for m in each), sum(m[1] for m in each)


def weighed(engine, world, program, command):
    engine('run', '-d', '--name', 'vpn', '--cap-add', 'NET_ADMIN', '--device',
           '/dev/net/tun', '--sysctl', 'net.ipv6.conf.default.disable_ipv6=0',
           '-v', '/usr:/usr:ro', '-v', f'{program}:/sallyport:ro', '-v',
           f'{world.office}:/etc/sallyport/vpn.ovpn:ro', engines.IMAGE,
           *command)
    until(lambda: 'Initialization Sequence Completed' in
          engine('logs', 'vpn').stdout + engine('logs', 'vpn').stderr,
          'it is connected', 60)
    time.sleep(3)  # what the start needed is given back
    found = memory(engine)
    engine.remove('vpn')
    return found


def weight(scene):
    engine = engines.Docker(scene.servera, f'{scene.dir}/vpn-docker')
    try:
        script, ours = (
            weighed(engine, scene.world, PROGRAM, command)
            for command in (('sh', '-c', ENTRYPOINT), ('/sallyport', 'init')))
    finally:
        engine.close()
    for what, i in (('VmRSS', 0), ('proportional (Pss)', 1)):
        yield table.Row(f'container with openvpn: {what}', [ours[i]], 'MiB')
        yield table.Row('  the same by a shell and iptables', [script[i]],
                        'MiB')


def measure(scene):
    container = scene.docker.run('-p', '80:80')
    rows = [*speeds(scene, container), *attaching(scene, container)]
    scene.docker('rm', '-f', container)
    return rows + [*starting(scene), *weight(scene)]
