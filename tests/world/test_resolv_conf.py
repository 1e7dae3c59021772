# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that replaces its resolv.conf, as DHCP clients do, does not change the
name servers of what already runs in a room."""
import os

import pytest

from lab.host import PATIENCE, until

COMMAND = ['sh', '-c', 'echo ready; while read x; do '
           'grep -v "^#" /etc/resolv.conf; echo end; done']


def answer(child):
    child.stdin.write('\n')
    child.stdin.flush()
    lines = []
    while (line := child.stdout.readline()) != 'end\n':
        assert line, 'the room ended'
        lines.append(line.strip())
    return lines


def replace(world, text):
    path = world.servera.path('/etc/resolv.conf')
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.rename(path + '.new', path)


@pytest.mark.parametrize('times', [1, 3])
def test_a_running_room_keeps_its_name_servers(world, sallyport, times):
    child = world.servera.popen(
        [sallyport.program, 'run', '--name', 'names', '--', *COMMAND],
        stdin=-1, stdout=-1)
    assert child.stdout.readline() == 'ready\n'
    before = answer(child)
    for i in range(times):
        replace(world, f'nameserver 172.16.5.{i + 1}\n')
        # Without the cure the room reads the host's file from now on.
        until(lambda: answer(child) == before, 'the room reads its own file')
    child.stdin.close()
    assert child.wait(PATIENCE) == 0
