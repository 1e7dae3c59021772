# SPDX-License-Identifier: GPL-2.0-or-later
"""What rehearse's comparison costs, and that it grows with its input alone."""
import os
import subprocess

import table
from scene import HERE, ROOT

ROUNDS = 5
RINGS = ('plan', 'fib', 'model', 'base')


def seconds(program, *sizes):
    text = subprocess.run([program, *map(str, sizes)], check=True, text=True,
                          capture_output=True).stdout
    return float(text.split()[0])


def measure(scene):
    program = os.path.join(scene.dir, 'clash')
    subprocess.run(['cc', '-O2', '-std=gnu17', '-D_GNU_SOURCE', '-I',
                    f'{ROOT}/src', '-o', program, f'{HERE}/clash.c',
                    *[f'{ROOT}/build/libsp-{r}.a' for r in RINGS]], check=True)
    few = [seconds(program, 10000, 1000, 10000) for _ in range(ROUNDS)]
    many = [seconds(program, 100000, 1000, 10000) for _ in range(ROUNDS)]
    return [
        table.Row('10,000 routes, 1,000 networks, 10,000 sessions', few, 's',
                  0.8, at_most=True),
        table.ratio('  ten times the routes / that', many, few, 15,
                    at_most=True),
    ]
