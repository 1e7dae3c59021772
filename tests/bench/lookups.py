# SPDX-License-Identifier: GPL-2.0-or-later
"""The lookup beside the kernel's own on the same tables, and explain on a host
that has many routes and rules."""
import json
import os
import re
import subprocess
import sys
import time

import table
from scene import HERE, PROGRAM

ROUNDS = 5
ROUTES, RULES = 100000, 1000
LINE = re.compile(r'(IPv[46]) +(\d+) routes: ([\d.]+) steps a lookup, at most (\d+).*'
                  r'ratio +([\d.]+); loads in [\d.]+ s, ([\d.]+) s a million')


def lookups():
    """{family: [(routes, steps, ratio, seconds a million)]} of growing tables."""
    text = subprocess.run([f'{HERE}/fib/run'], check=True, text=True, capture_output=True).stdout
    found = {}
    for family, routes, steps, _, ratio, load in LINE.findall(text):
        found.setdefault(family, []).append(
            (int(routes), float(steps), float(ratio), float(load)))
    assert len(found) == 2, text
    return found


def lookup_rows():
    rows = []
    for family, tables in lookups().items():
        small, large = tables[0], tables[-1]
        rows += [
            table.Row(f'{family}, {large[0]} routes: lookups / RTM_GETROUTE', [large[2]], 'x', 1),
            table.Row('  prefixes looked at, against 1,000 routes', [large[1] / small[1]], 'x',
                      1.5, at_most=True),
            table.Row('  loading, a million routes', [large[3]], 's', 1, at_most=True)]
    return rows


def crowd(program):
    """In a namespace of its own: prints the seconds of each round as JSON."""
    lines = ['link set lo up', 'link add eth0 type veth peer name far',
             'addr add 172.16.5.10/16 dev eth0', 'link set far up', 'link set eth0 up',
             'route add default via 172.16.5.1']
    lines += [f'route add {20 + i // 65536}.{i // 256 % 256}.{i % 256}.0/24 via 172.16.5.1'
              for i in range(ROUTES)]
    lines += [f'rule add pref {i + 1} from 10.{i // 256}.{i % 256}.0/24 lookup 77'
              for i in range(RULES)]
    subprocess.run(['ip', '-batch', '-'], input='\n'.join(lines), text=True, check=True)
    seconds = []
    for _ in range(ROUNDS):
        begin = time.monotonic()
        done = subprocess.run([program, 'explain', '172.16.9.20', '172.16.5.10:22'],
                              stdout=subprocess.DEVNULL, check=False)
        seconds.append(time.monotonic() - begin)
        assert done.returncode == 0
    print(json.dumps(seconds))


def measure(_):
    text = subprocess.run(['unshare', '-n', sys.executable, __file__, os.path.abspath(PROGRAM)],
                          check=True, text=True, capture_output=True, cwd=HERE).stdout
    return lookup_rows() + [
        table.Row('explain, 100,000 routes and 1,000 rules', json.loads(text), 's', 0.5,
                  at_most=True)]


if __name__ == '__main__':
    crowd(os.path.abspath(sys.argv[1]))
