#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that says whom it saw.

    service.py [--name NAME] [--device DEVICE] PORT...

TCP: says "NAME CLIENT PORT LOCAL" on connect and again for every line that
comes in, with that line behind it. "big N" is answered with N bytes. UDP
(every port as well): the same for every datagram, from a socket bound to the
wildcard address that knows nothing of IP_PKTINFO. Both families, a socket
each. Prints "ready" when it listens. Knows nothing of sallyport.
"""
import selectors
import signal
import socket
import sys


def plain(addr):
    return addr[0].split('%')[0].removeprefix('::ffff:')


class Service:
    def __init__(self, name, ports, device=''):
        self.name = name
        self.device = device
        self.sel = selectors.DefaultSelector()
        for port in ports:
            for family, any_ in ((socket.AF_INET, '0.0.0.0'),
                                 (socket.AF_INET6, '::')):
                self.listen(family, any_, port)
                self.datagrams(family, any_, port)

    def bound(self, family, kind, any_, port):
        s = socket.socket(family, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if self.device:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                         self.device.encode())
        s.bind((any_, port))
        s.setblocking(False)
        return s

    def listen(self, family, any_, port):
        s = self.bound(family, socket.SOCK_STREAM, any_, port)
        s.listen(512)
        self.sel.register(s, selectors.EVENT_READ, self.accept)

    def datagrams(self, family, any_, port):
        s = self.bound(family, socket.SOCK_DGRAM, any_, port)
        self.sel.register(s, selectors.EVENT_READ, self.datagram)

    def accept(self, listener):
        try:
            s, addr = listener.accept()
        except OSError:
            return
        hello = f'{self.name} {plain(addr)} {addr[1]} {plain(s.getsockname())}'
        s.setblocking(False)
        self.send(s, hello.encode() + b'\n')
        self.sel.register(s, selectors.EVENT_READ,
                          lambda s: self.lines(s, hello.encode()))

    def lines(self, s, hello):
        try:
            data = s.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self.sel.unregister(s)
            s.close()
            return
        for line in data.splitlines():
            if line.startswith(b'big '):
                self.big(s, int(line[4:]))
            else:
                self.send(s, hello + b' ' + line + b'\n')

    def send(self, s, data):
        try:
            s.send(data)
        except OSError:
            pass

    def big(self, s, size):
        s.setblocking(True)
        s.settimeout(60)
        try:
            s.sendall(b'x' * size)
        except OSError:
            pass
        s.setblocking(False)

    def datagram(self, s):
        try:
            data, addr = s.recvfrom(65536)
            s.sendto(f'{self.name} {plain(addr)} {addr[1]} - '.encode() + data,
                     addr)
        except OSError:
            pass

    def serve(self):
        while True:
            for key, _ in self.sel.select():
                key.data(key.fileobj)


def main():
    args = sys.argv[1:]
    name, device = 'service', ''
    if args[:1] == ['--name']:
        name, args = args[1], args[2:]
    if args[:1] == ['--device']:
        device, args = args[1], args[2:]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    service = Service(name, [int(a) for a in args], device)
    print('ready', flush=True)
    service.serve()


if __name__ == '__main__':
    main()
