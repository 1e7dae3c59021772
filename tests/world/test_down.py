# SPDX-License-Identifier: GPL-2.0-or-later
"""`down` where something cannot be taken away: the rest goes, what stays is told with
what to try, and when that is mended `down` has done the whole of it."""
import os

import pytest

from lab.state import difference, hoststate

pytestmark = pytest.mark.usefixtures('as_it_was')

CONF = '''
[room]
publish = 80 80/udp
reach = 172.16.9.0/24
[door office]
vpn = {office}
'''

# The call of libc that takes a thing away is refused, as a confined root finds it.
REFUSES = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static int refuses(const char *what)
{
	const char *now = getenv("REFUSE");

	if (!now || strcmp(now, what) != 0)
		return 0;
	errno = EPERM;
	return 1;
}

static int deletes(const struct nlmsghdr *m, int protocol)
{
	if (protocol == NETLINK_NETFILTER)
		return m->nlmsg_type == NFNL_MSG_BATCH_BEGIN && refuses("table");
	return protocol == NETLINK_ROUTE &&
	       ((m->nlmsg_type == RTM_DELRULE && refuses("rule")) ||
		(m->nlmsg_type == RTM_DELLINK && refuses("link")) ||
		(m->nlmsg_type == RTM_DELROUTE && refuses("route")));
}

ssize_t sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to,
	       socklen_t len)
{
	static ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
	int protocol = -1;
	socklen_t l = sizeof(protocol);

	if (!next)
		next = dlsym(RTLD_NEXT, "sendto");
	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &l);
	if (to && to->sa_family == AF_NETLINK && deletes(buf, protocol))
		return -1;
	return next(fd, buf, size, flags, to, len);
}

/* libnftables sends its transactions so. */
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	static ssize_t (*next)(int, const struct msghdr *, int);
	const struct sockaddr *to = m->msg_name;

	if (!next)
		next = dlsym(RTLD_NEXT, "sendmsg");
	if (to && to->sa_family == AF_NETLINK &&
	    deletes(m->msg_iov[0].iov_base, NETLINK_NETFILTER))
		return -1;
	return next(fd, m, flags);
}

ssize_t write(int fd, const void *buf, size_t size)
{
	static ssize_t (*next)(int, const void *, size_t);
	char link[64], path[256];
	ssize_t n;

	if (!next)
		next = dlsym(RTLD_NEXT, "write");
	__builtin_sprintf(link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	if (strstr(path, "/forwarding") && refuses("sysctl"))
		return -1;
	return next(fd, buf, size);
}

int umount2(const char *path, int flags)
{
	static int (*next)(const char *, int);

	if (!next)
		next = dlsym(RTLD_NEXT, "umount2");
	if (strstr(path, "/run/netns/") && refuses("namespace"))
		return -1;
	return next(path, flags);
}
'''


@pytest.fixture(scope='module')
def refusing(sallyport):
    return sallyport.preloaded('refusing', REFUSES)


def left_behind(gate):
    """Of a supervisor that was killed."""
    gate.kill9()
    gate.notify.close()
    gate.log.close()


def lines(world):
    """What there is of any gate."""
    host = world.servera
    return {'links': 'sp-stays' in host.out('ip', '-br', 'link'),
            'rules': '198.18.0.0/15' in host.out('ip', 'rule'),
            'nft': 'table inet sallyport' in host.out('nft', 'list', 'tables'),
            'names': any(n.startswith('stays') for n in
                         os.listdir(host.path('/run/netns'))),
            'files': os.path.exists(host.path('/run/sallyport/stays'))}


@pytest.mark.parametrize('what, names, stays', [
    ('rule', ['rule', '(try: ip -4 rule del pref 0 table 5900)'], {'rules'}),
    ('link', ['link', '(try: ip link del sp-stays)'], set()),
    ('table', ['(try: nft list table inet sallyport)'], {'nft'}),
    ('namespace', ['unmount namespace "stays.gate"',
                   '(try: umount -l /run/netns/stays.gate)'], {'names'})])
def test_one_thing_that_stays_keeps_nothing_else(world, sallyport, refusing, what, names, stays):
    before = hoststate(world.servera)
    left_behind(sallyport.up('stays', CONF.format(office=world.office)))
    done = refusing('down', 'stays', env=dict(os.environ, REFUSE=what))
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert all(any(n in l for l in said) for n in names), done.stderr
    assert said[-1].endswith('go on with: sallyport down stays'), done.stderr
    assert all(l.startswith('sallyport: gate "stays": ') for l in said), done.stderr
    now = lines(world)
    if what == 'link':  # which goes with the namespace of its other end, a moment later
        now['links'] = False
    assert {k for k, is_there in now.items() if is_there} == stays, done.stderr
    again = sallyport('down', 'stays')
    assert again.returncode in ((0, 1) if what == 'link' else (0,)), again.stderr
    assert difference(before, hoststate(world.servera)) == ''


def test_what_a_sysctl_was_is_told_and_kept_until_it_is_so_again(world, sallyport, refusing):
    host = world.servera
    before = hoststate(host)
    left_behind(sallyport.up('stays', CONF.format(office=world.office)))
    assert host.sysctl('net/ipv6/conf/all/forwarding') == '1'
    done = refusing('down', 'stays', env=dict(os.environ, REFUSE='sysctl'))
    assert done.returncode == 1
    assert '(try: sysctl -w net/ipv6/conf/all/forwarding=0)' in done.stderr, done.stderr
    assert {k for k, is_there in lines(world).items() if is_there} == {'files'}
    assert sallyport('down', 'stays').returncode == 0
    assert difference(before, hoststate(host)) == ''


@pytest.mark.parametrize('supervised', [True, False])
def test_down_where_run_has_become_read_only(world, sallyport, supervised):
    host = world.servera
    before = hoststate(host)
    gate = sallyport.up('stays', CONF.format(office=world.office))
    if not supervised:
        left_behind(gate)
    host.run('mount', '-o', 'remount,ro', '/run')
    try:
        done = sallyport('down', 'stays')
        assert done.returncode == 1
        said = done.stderr.splitlines()
        cure = '(try: mount -o remount,rw "$(findmnt -n -o TARGET -T '
        assert any('"stays.gate": Read-only' in l and cure in l for l in said), done.stderr
        assert any('remove /run/sallyport/stays' in l and cure in l for l in said), done.stderr
        assert said[-1].endswith('go on with: sallyport down stays'), done.stderr
        if supervised:
            assert gate.ended() == 1
            gate.notify.close()
        assert {k for k, is_there in lines(world).items() if is_there} == {'names', 'files'}
    finally:
        host.run('mount', '-o', 'remount,rw', '/run')
    done = sallyport('down', 'stays')
    assert done.returncode == 0, done.stderr
    assert difference(before, hoststate(host)) == ''
