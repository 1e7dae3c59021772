#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""UDP services in the styles that there are; each answers a datagram with
"STYLE CLIENT PORT - " and the datagram.

    udp.py FIRST-PORT ADDRESS...

One port after another: see STYLES. `bound` binds to each ADDRESS. Prints
"ready".
"""
import selectors
import socket
import sys

STYLES = ('wildcard', 'pktinfo', 'bound', 'connected', 'dual', 'reuseport')
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
BOTH = ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::'))
SIZE = 65536


def bind(family, address, port, only6=1, reuse=False):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
    s.bind((address, port))
    return s


def answer(style, data, addr):
    client = addr[0].split('%')[0].removeprefix('::ffff:')
    return f'{style} {client} {addr[1]} - '.encode() + data


class Services:
    def __init__(self, port, addresses):
        self.sel = selectors.DefaultSelector()
        self.port = dict(zip(STYLES, range(port, port + len(STYLES))))
        for family, any_ in BOTH:
            self.plain('wildcard', family, any_)
            self.pktinfo(family, any_)
            self.connected(family, any_)
            self.plain('reuseport', family, any_, reuse=True)
            self.plain('reuseport', family, any_, reuse=True)
        self.plain('dual', socket.AF_INET6, '::', only6=0)
        for address in addresses:
            family = BOTH[':' in address][0]
            self.plain('bound', family, address)

    def add(self, s, ready):
        self.sel.register(s, selectors.EVENT_READ, ready)

    def plain(self, style, family, address, **kw):
        s = bind(family, address, self.port[style], **kw)

        def ready():
            data, addr = s.recvfrom(SIZE)
            s.sendto(answer(style, data, addr), addr)
        self.add(s, ready)

    def pktinfo(self, family, address):
        s = bind(family, address, self.port['pktinfo'])
        level, ask, kind = (
            (socket.IPPROTO_IP, IP_PKTINFO, IP_PKTINFO)
            if family == socket.AF_INET else
            (socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_PKTINFO))
        s.setsockopt(level, ask, 1)

        def ready():
            data, anc, _, addr = s.recvmsg(SIZE, 256)
            info = next(d for l, t, d in anc if (l, t) == (level, kind))
            if family == socket.AF_INET:  # ifindex, spec_dst, addr
                info = bytes(4) + info[4:8] + bytes(4)
            else:
                info = info[:16] + bytes(4)
            s.sendmsg([answer('pktinfo', data, addr)], [(level, kind, info)],
                      0, addr)
        self.add(s, ready)

    def connected(self, family, address):
        """As QUIC and DTLS servers do: a socket for each client."""
        s = bind(family, address, self.port['connected'], reuse=True)

        def ready():
            data, addr = s.recvfrom(SIZE)
            own = bind(family, address, self.port['connected'], reuse=True)
            own.connect(addr)
            own.send(answer('connected', data, addr))

            def more():
                own.send(answer('connected', own.recv(SIZE), addr))
            self.add(own, more)
        self.add(s, ready)

    def serve(self):
        while True:
            for key, _ in self.sel.select():
                try:
                    key.data()
                except OSError as err:
                    print(err, file=sys.stderr, flush=True)


if __name__ == '__main__':
    services = Services(int(sys.argv[1]), sys.argv[2:])
    print('ready', flush=True)
    services.serve()
