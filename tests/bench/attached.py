# SPDX-License-Identifier: GPL-2.0-or-later
"""A container with and without `attach`: the same one, in turns; one whose first
process is `init`, and one without a VPN; and what it takes to start and to keep
one."""
import time

import start
import table
from lab import container as engines
from lab.host import until
from scene import NEAR_WHALE, PROGRAM

ROUNDS = 60
MS = 50  # what disturbs one of a pair for longer disturbs the other
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


def nothing_to_do():
    pass


def in_turns(scene, kinds):
    """{(what, kind): rates}. @kinds: the port to ask at, and what begins and
    ends it."""
    found = {(what, kind): [] for what in UNITS for kind in kinds}
    for i in range(ROUNDS):
        for kind in kinds if i % 2 else reversed(kinds):
            port, begin, end = kinds[kind]
            begin()
            for what in UNITS:
                found[what, kind].append(scene.measure(
                    what, NEAR_WHALE, port, MS, alone=True))
            end()
    return found


def rows(found, kind, words):
    for what, (title, scale, unit) in UNITS.items():
        yield table.Row(f'{title}: {words}',
                        table.scaled(found[what, kind], scale), unit)
        yield table.ratio(f'  {words} / the same without', found[what, kind],
                          found[what, 'plain'], 0.97, sure=True)


def plain(port=80):
    return port, nothing_to_do, nothing_to_do


def speeds(scene, container):
    return rows(in_turns(scene, {'plain': plain(), 'attached': (
        80, lambda: tell(scene, 'attach', container),
        lambda: tell(scene, 'detach', container))}), 'attached', 'attached')


# In the place of a VPN client: the data path is what it is with one.
TUNNEL = '''ip tuntap add tun0 mode tun && ip addr add 10.8.0.2/24 dev tun0 &&
ip link set tun0 up && exec sleep 1000000'''
LIBRARIES = [w for path in ('/usr', '/lib', '/lib64', '/bin')
             for w in ('-v', f'{path}:{path}:ro')]


def first_process(scene):
    """The image's own: with the kill switch. Docker's rules for a container stand
    behind those for earlier ones, which costs a new connection some 0.3 % each:
    there is one without a VPN before it and one behind it."""
    scene.docker('run', '-d', '--name', 'vpn', '-p', '81:80', '--cap-add',
                 'NET_ADMIN', '--device', '/dev/net/tun', *LIBRARIES, '-v',
                 f'{PROGRAM}:/sallyport:ro', 'load', '/sallyport', 'init',
                 '--server', '198.51.100.2:1194/udp', '/bin/sh', '-c', TUNNEL)
    until(lambda: 'tunnels: tun0' in scene.docker('logs', 'vpn').stderr,
          lambda: scene.docker('logs', 'vpn').stderr, 60)
    joined = scene.docker.run('--network', 'container:vpn')
    behind = scene.docker.run('-p', '82:80')
    found = in_turns(scene, {'before': plain(), 'init': plain(81),
                             'behind': plain(82)})
    for what in UNITS:
        found[what, 'plain'] = [sum(pair) / 2 for pair in zip(
            found[what, 'before'], found[what, 'behind'])]
    yield from rows(found, 'init', 'init')
    scene.docker('rm', '-f', joined, behind, 'vpn')


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
    first = [*speeds(scene, container), *first_process(scene),
             *attaching(scene, container)]
    scene.docker('rm', '-f', container)
    return first + [*starting(scene), *weight(scene)]
