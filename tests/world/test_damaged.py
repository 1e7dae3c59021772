# SPDX-License-Identifier: GPL-2.0-or-later
"""What a supervisor that was killed, or a full disk, leaves in the middle of a file below
/run/sallyport: no crash, and nothing is taken away or put back that should not be."""
import os
import shutil

import pytest

from lab import host as hosts
from lab.host import until

pytestmark = pytest.mark.usefixtures('as_it_was')

CONF = '[room]\npublish = 80 80/udp\n[door office]\nvpn = {office}\n'


def emptied(path):
    hosts.keep(path, '')


def cut_in_its_last_word(path):
    """Of before.links: a name that no link has, and eth0 would be it by another name."""
    with open(path, 'r+b') as f:
        f.truncate(max(0, os.path.getsize(path) - 2))


# None is a line of either record; the index of eth0 is 2.
NONSENSE = b'\n'.join((
    b'ipv4/conf/eth0/forwarding', b' ', b'', b' 1', b'x' * 5000 + b' 1', b'../../kernel/x 1',
    b'/ipv4/ip_forward 1', b'ipv4/ 1', b'ipv4/conf/lo/forwarding much', b'ipv4/ip_forward ',
    b'2 ', b'2 ' + b'n' * 40, b'2 no/name', b'2 two words', b'4294967298 was', b'-4294967294 was',
    b'\xff\x1b[2J 1', b'\0\n'))


def nonsense(path):
    with open(path, 'wb') as f:
        f.write(NONSENSE)


def directory(path):
    os.unlink(path)
    os.mkdir(path)
    hosts.keep(f'{path}/file', 'x')


def link_to_another(path):
    os.unlink(path)
    os.symlink('/etc/sallyport/kept', path)


@pytest.mark.parametrize('damage', [emptied, cut_in_its_last_word, nonsense, directory,
                                    link_to_another])
def test_what_is_damaged_below_run(world, sallyport, damage):
    """The host's table tells what was before, too: all of that is put back, and nothing
    else. What a link leads to stays."""
    kept = sallyport.host.path('/etc/sallyport/kept')
    os.mkdir(kept)
    hosts.keep(f'{kept}/file', 'kept\n')
    gate = sallyport.up('hurt', CONF.format(office=world.office))
    gate.kill9()
    gate.notify.close()
    hurt = sallyport.host.path('/run/sallyport/hurt')
    paths = [os.path.join(d, f) for d, _, files in os.walk(hurt) for f in files
             if os.path.isfile(os.path.join(d, f))]
    assert {'before.sysctl', 'before.links'} <= {os.path.basename(p) for p in paths}, paths
    for path in paths:
        damage(path)
    try:
        assert sallyport.status('hurt')['gates'][0]['state'] == 'unsupervised'
        done = sallyport('down', 'hurt')
        assert (done.returncode, done.stderr) == (0, '')
        with open(f'{kept}/file') as f:
            assert f.read() == 'kept\n'
    finally:
        shutil.rmtree(kept)


def test_without_any_of_its_files(world, sallyport):
    gate = sallyport.up('hurt', CONF.format(office=world.office))
    gate.kill9()
    gate.notify.close()
    shutil.rmtree(sallyport.host.path('/run/sallyport/hurt'))
    assert sallyport.status('hurt')['gates'][0]['state'] == 'unsupervised'
    done = sallyport('down', 'hurt')
    assert (done.returncode, done.stderr) == (0, '')


# Killed when the new text stands over the old one, whose end is still there.
KILLED = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int ftruncate(int fd, off_t size)
{
	char link[64], path[256];
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	if (strstr(path, "before.links") && fstat(fd, &st) == 0 && st.st_size > size)
		raise(SIGKILL);
	return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}
"""


def test_the_end_of_an_old_list_of_links_is_not_read_as_one_of_the_new(world, sallyport):
    """"12 other", cut to "2 other": eth0, say, is not `other` by another name."""
    host = world.servera
    links = dict(l.split(': ')[:2] for l in host.out('ip', '-o', 'link').splitlines())
    index, name = next((i, n.partition('@')[0]) for i, n in links.items()
                       if 1 < int(i) < 10 and host.sysctl(
                           f'net/ipv4/conf/{n.partition("@")[0]}/forwarding') == '0')
    line = f'{max(int(i) for i in links) + 1} '
    gone = 'd' * (len('x other') - len(line))  # as long as what is to be left of that line
    host.ip(f'link add {gone} index {line} type bridge',
            f'link add other index 25{index} type bridge')
    gone_line = f'{line}{gone}'
    host.sysctl('net/ipv4/conf/other/forwarding', 1)
    try:
        gate = sallyport.preloaded('killed', KILLED).up('cut', '[room]\npublish = 80\n')
        path = host.path('/run/sallyport/cut/before.links')
        with open(path) as f:
            old = f.read()
        assert old.endswith(f'25{index} other\n') and gone_line in old, old
        host.ip(f'link del {gone}')

        def rewritten():
            with open(path) as f:
                return f.read() != old
        until(rewritten, 'the file is written anew')
        gate.kill9()
        gate.notify.close()
        assert sallyport('down', 'cut').returncode == 0
        assert host.sysctl(f'net/ipv4/conf/{name}/forwarding') == '0'
    finally:
        host.run('ip', 'link', 'del', 'other')
        host.run('ip', 'link', 'del', gone, ok=False)
