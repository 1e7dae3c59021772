# SPDX-License-Identifier: GPL-2.0-or-later
"""What more ports, more gates and more of other people's rules cost."""
import os
import statistics
import subprocess
import time

import table
from scene import CPU, HERE, NEAR_A, NEAR_BARE

ROUNDS = 5
MS = 500
PORTS = 1000
DOCKER_PORTS = 100  # each is a process of docker-proxy, or two
GATES = 200
CONTAINERS = 100
RULES = 1000
PATIENCE = 60  # seconds for all gates: a cost that grows shows before its end

LAN_ONLY = '[room]\npublish = {}\n'


def conns(scene, port):
    return lambda: scene.measure('conns', NEAR_A, port, MS)


def timed(function):
    begin = time.monotonic()
    result = function()
    return time.monotonic() - begin, result


def up(scene, name, publish):
    text = LAN_ONLY.format(publish)
    return timed(lambda: scene.sallyport.up(name, text))


def each(few_s, many_s, more):
    """What each of @more ports adds, ms."""
    return (many_s - few_s) / more * 1e3


def dockers_ports(scene):
    """What each port adds to a container's start, ms."""
    def start(n):
        publish = [word for i in range(n) for word in ('-p', f'{20000 + i}:80')]
        taken, name = timed(lambda: scene.docker(
            'run', '-d', *publish, 'load', '/load', 'serve', CPU, 80))
        scene.docker('rm', '-f', name.stdout.strip())
        return taken

    found = table.alternate({'few': lambda: start(1),
                             'many': lambda: start(DOCKER_PORTS)}, 3)
    return each(statistics.median(found['few']), statistics.median(found['many']),
                DOCKER_PORTS - 1)


def ports(scene):
    """Both gates stand all the time: what differs is which one is asked."""
    many = ' '.join(f'{10000 + i}:80' for i in range(PORTS))
    few_s, few = up(scene, 'few', '9000:80')
    many_s, lots = up(scene, 'lots', many)
    with few, lots:
        scene.serve_room('few')
        scene.serve_room('lots')
        last = 10000 + PORTS - 1
        found = table.alternate({'few': conns(scene, 9000),
                                 'many': conns(scene, last)}, ROUNDS)
    own, dockers = each(few_s, many_s, PORTS - 1), dockers_ports(scene)
    return [
        table.ratio(f'connections/s, {PORTS} ports / 1 port', found['many'],
                    found['few'], 0.95),
        table.Row('  set-up time, 1 port', [few_s * 1e3], 'ms'),
        table.Row(f'  set-up time, {PORTS} ports', [many_s * 1e3], 'ms'),
        table.Row('  each port adds', [own], 'ms'),
        table.Row('  each port of docker run adds', [dockers], 'ms'),
        table.ratio('  what a port of Docker adds / one of a gate', [dockers], [own], 1),
    ]


def rules(scene):
    add = [f'rule add pref {1000 + i} from 192.0.2.{i % 250} lookup 100'
           for i in range(RULES)]
    delete = [f'rule del pref {1000 + i}' for i in range(RULES)]

    def with_rules(host, address, port, what='conns'):
        host.ip(*add)
        try:
            return scene.measure(what, address, port, MS)
        finally:
            host.ip(*delete)

    scene.serve(lambda argv: scene.bare.popen(argv, stdout=subprocess.PIPE))
    _, gate = up(scene, 'few', '9000:80')
    with gate:
        scene.serve_room('few')
        found = table.alternate({
            'none': conns(scene, 9000),
            'rules': lambda: with_rules(scene.servera, NEAR_A, 9000),
            'bare': lambda: scene.measure('conns', NEAR_BARE, 80, MS),
            'bare, rules': lambda: with_rules(scene.bare, NEAR_BARE, 80),
            'rr': lambda: scene.measure('rr', NEAR_A, 9000, MS),
            'rr, rules': lambda: with_rules(scene.servera, NEAR_A, 9000, 'rr'),
            'rr, bare': lambda: scene.measure('rr', NEAR_BARE, 80, MS),
            'rr, bare, rules': lambda: with_rules(scene.bare, NEAR_BARE, 80, 'rr'),
        }, ROUNDS)
    return [table.ratio(f'connections/s, {RULES} foreign rules / none',
                        found['rules'], found['none'], 0.95),
            table.ratio('  the same on the bare host', found['bare, rules'],
                        found['bare']),
            # Of a forwarded reply the host looks through its rules for every
            # packet, of its own socket's once for the connection.
            table.ratio('  requests/s in one connection', found['rr, rules'],
                        found['rr']),
            table.ratio('  the same on the bare host', found['rr, bare, rules'],
                        found['rr, bare'])]


def turns(gates):
    """How often each supervisor got the CPU so far (proc(5), schedstat)."""
    found = []
    for gate in gates:
        with open(f'/proc/{gate.child.pid}/schedstat', encoding='ascii') as f:
            found.append(int(f.read().split()[2]))
    return found


def woken(scene, stand):
    """How many of the supervisors @stand wake when one more gate is made, and when it
    goes. What they do for themselves, a second after their own start, is over by then."""
    time.sleep(2)
    before = turns(stand)
    with scene.sallyport.up('more', LAN_ONLY.format('8999:80')):
        made = turns(stand)
    time.sleep(1)  # for the last of two hundred
    gone = turns(stand)
    return [sum(a != b for a, b in zip(then, now))
            for then, now in ((before, made), (made, gone))]


def ends(taken):
    """The first and the last tenth."""
    tenth = max(1, len(taken) // 10)
    return taken[:tenth], taken[-tenth:]


def grown(taken):
    """How much each that stands makes the next one dearer, ms."""
    begin, end = (statistics.median(part) for part in ends(taken))
    return (end - begin) / (len(taken) - len(ends(taken)[0])) * 1e3


def added(taken):
    """What all that stand add to one more, ms, from the quickest to the slowest."""
    begin, end = ends(taken)
    return [(b - a) * 1e3 for a, b in zip(sorted(begin), sorted(end))]


def by_hand(scene):
    """The limit: the same without us, of somebody who hears of changes (byhand.py)."""
    out = scene.servera.out('/usr/bin/python3', os.path.join(HERE, 'byhand.py'), GATES,
                            timeout=PATIENCE)
    return [float(line) for line in out.splitlines()]


def containers(scene):
    """How a peer grows: the same service, published by Docker again and again."""
    taken = [timed(lambda port=9000 + i: scene.docker(
        'run', '-d', '-p', f'{port}:80', 'load', '/load', 'serve', CPU, 80))[0]
             for i in range(CONTAINERS)]
    begin, end = ends(taken)
    return [
        table.Row(f'docker run -d -p, first {len(begin)} of {len(taken)}',
                  table.scaled(begin, 1e3), 'ms'),
        table.Row(f'  last {len(end)}', table.scaled(end, 1e3), 'ms'),
        table.Row('  each makes the next dearer by', [grown(taken)], 'ms'),
    ]


def gates(scene):
    """In the order of their making: nothing else can alternate here."""
    up_s, first = up(scene, 'g0', '9000:80')
    taken, more = [up_s], []
    try:
        scene.serve_room('g0')
        one = [conns(scene, 9000)() for _ in range(ROUNDS)]
        end = time.monotonic() + PATIENCE
        for i in range(1, GATES):
            if time.monotonic() > end:
                break
            up_s, gate = up(scene, f'g{i}', f'{9000 + i}:80')
            taken.append(up_s)
            more.append(gate)
        many = [conns(scene, 9000)() for _ in range(ROUNDS)]
        wake, wake_at_end = woken(scene, [first, *more])
    finally:
        # All at once: each waits for the kernel.
        for gate in more:
            gate.child.terminate()
        for gate in [*more, first]:
            gate.close()
    begin, end = ends(taken)
    hand = by_hand(scene)
    return [
        table.Row('gates made, one after the other', [len(taken)], '', GATES),
        table.ratio(f'  connections/s, {len(taken)} gates / 1 gate', many, one,
                    0.95),
        table.Row(f'  set-up time, first {len(begin)} gates',
                  table.scaled(begin, 1e3), 'ms'),
        table.Row(f'  set-up time, last {len(end)} gates',
                  table.scaled(end, 1e3), 'ms'),
        table.ratio('  set-up time, last / first', sorted(end), sorted(begin),
                    1.25, at_most=True),
        table.Row('  more in the last than in the first', added(taken), 'ms'),
        table.Row('  likewise of ip(8) by hand, with listeners', added(hand), 'ms'),
        table.Row('  each makes the next dearer by', [grown(taken)], 'ms'),
        table.Row('  supervisors that one more gate wakes', [wake], '', 0,
                  at_most=True),
        table.Row('  supervisors that its end wakes', [wake_at_end], '', 0,
                  at_most=True),
    ]


def measure(scene):
    return ports(scene) + rules(scene) + gates(scene) + containers(scene)
