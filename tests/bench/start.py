# SPDX-License-Identifier: GPL-2.0-or-later
"""From the command to the first answered byte, and what the supervisor
weighs."""
import re
import select
import socket
import subprocess
import time

import table
from lab import host as hosts
from scene import CPU, NEAR_A, NEAR_WHALE, PROGRAM

ROUNDS = 7


def answered(host, address, port=80):
    """One try; a packet that was dropped must not cost its retransmission."""
    s = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    with s:
        s.connect_ex((address, port))
        p = select.poll()
        p.register(s, select.POLLOUT)
        if not p.poll(3) or s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        try:
            s.send(b'1')
            p.modify(s, select.POLLIN)
            return bool(p.poll(20)) and s.recv(1) == b'1'
        except OSError:
            return False


def until_answered(host, address, seconds=20):
    end = time.monotonic() + seconds
    while not answered(host, address):
        assert time.monotonic() < end, f'{address} does not answer'


def at_the_start(host, argv):
    """A process that is in @host already and becomes @argv when it is given a
    line: what a test host costs to enter is no program's own time."""
    child = host.popen(['sh', '-c', 'echo in; read -r go; exec "$@"', '-', *argv],
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == 'in\n'
    return child


def go(child):
    begin = time.monotonic()
    child.stdin.write('\n')
    child.stdin.flush()
    return begin


def first_byte(scene, host, argv, address):
    """Milliseconds from the start of @argv, whose service says when it
    listens, to the first answer. Nobody asks before: a packet that comes while
    the links are made leaves the host waiting a second for its neighbour."""
    child = at_the_start(host, argv)
    begin = go(child)
    assert child.stdout.readline() == 'ready\n'
    until_answered(scene.near, address)
    return child, (time.monotonic() - begin) * 1e3


def run_time(scene, *flags):
    child, taken = first_byte(
        scene, scene.servera,
        [PROGRAM, 'run', '--name', 'start', '-p', '80', *flags, '--',
         scene.load, 'serve', CPU, 80], NEAR_A)
    hosts.stop(child)
    return taken


def docker_time(scene):
    child, taken = first_byte(
        scene, scene.docker.host,
        ['docker', '-H', scene.docker.socket, 'run', '--name', 'start', '-p',
         '80:80', 'load', '/load', 'serve', CPU, 80], NEAR_WHALE)
    scene.docker('rm', '-f', 'start')
    hosts.stop(child)
    return taken


def true_time(scene, *argv):
    """A command that does nothing, from start to end."""
    child = at_the_start(scene.servera, [*argv, 'true'])
    begin = go(child)
    assert child.wait(20) == 0
    return (time.monotonic() - begin) * 1e3


def memory(pid):
    """Resident and proportional MiB."""
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        rss = int(re.search(r'VmRSS:\s+(\d+)', f.read())[1])
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
        text = f.read()
    pss = int(re.search(r'^Pss:\s+(\d+)', text, re.M)[1])
    own = sum(int(n) for n in re.findall(r'^Private_\w+:\s+(\d+)', text, re.M))
    return rss / 1024, pss / 1024, own / 1024


def weigh(scene):
    scene.config()
    with scene.sallyport.up('main') as gate:
        begun = memory(gate.child.pid)[0]
        time.sleep(2)  # in its second second it gives back what the start needed
        rss, pss, own = memory(gate.child.pid)
    return [table.Row('supervisor of 1 gate with OpenVPN: VmRSS', [rss], 'MiB',
                      5, at_most=True),
            table.Row('  as it becomes ready', [begun], 'MiB'),
            table.Row('  proportional (Pss)', [pss], 'MiB'),
            table.Row('  its own alone (private)', [own], 'MiB')]


def measure(scene):
    found = table.alternate({
        'run': lambda: run_time(scene),
        'vpn': lambda: run_time(scene, '--vpn', scene.world.office),
        'docker': lambda: docker_time(scene),
        'true': lambda: true_time(scene, PROGRAM, 'run', '--name', 'true',
                                  '--'),
        'nothing': lambda: true_time(scene, 'env'),
    }, ROUNDS, rest=0.5)  # the kernel takes namespaces away in the background
    return [
        table.Row('start to first byte: sallyport run -p', found['run'], 'ms'),
        table.Row('  with --vpn', found['vpn'], 'ms'),
        table.Row('  docker run -p', found['docker'], 'ms'),
        table.ratio('  docker run / sallyport run', found['docker'],
                    found['run'], 20),
        table.ratio('  docker run / sallyport run --vpn', found['docker'],
                    found['vpn'], 20),
        table.Row('sallyport run -- true, whole', found['true'], 'ms'),
        table.Row('  true alone', found['nothing'], 'ms'),
    ] + weigh(scene)
