# SPDX-License-Identifier: GPL-2.0-or-later
"""A second interface of Server A, eth1, to a network of which the LAN does not
know. Which routes and rules lead there is each test's matter."""
import contextlib

from .host import Host, join

B4, B6 = '192.168.50.10', 'fd00:50::10'  # Server A's
NEXT4, NEXT6 = '192.168.50.1', 'fd00:50::1'  # who is at the other end
FAR4, FAR6 = '192.168.60.20', 'fd00:60::20'  # who is behind that one


@contextlib.contextmanager
def beside(a, name):
    """Who is at the other end."""
    host = Host(name)
    join(a, 'eth1', host, 'eth0')
    a.ip(f'addr add {B4}/24 dev eth1', f'addr add {B6}/64 dev eth1 nodad')
    host.ip(f'addr add {NEXT4}/24 dev eth0', f'addr add {NEXT6}/64 dev eth0 nodad')
    try:
        yield host
    finally:
        a.ip('link del eth1')
        host.close()


@contextlib.contextmanager
def behind(a):
    """A client behind the second network's router, its `router2`."""
    with beside(a, 'router2') as router:
        client = Host('far')
        join(router, 'eth1', client, 'eth0')
        router.router()
        router.ip('addr add 192.168.60.1/24 dev eth1', 'addr add fd00:60::1/64 dev eth1 nodad')
        client.ip(f'addr add {FAR4}/24 dev eth0', f'addr add {FAR6}/64 dev eth0 nodad',
                  'route add default via 192.168.60.1', 'route add default via fd00:60::1')
        client.router2 = router
        try:
            yield client
        finally:
            client.close()
