# SPDX-License-Identifier: GPL-2.0-or-later
"""A room that talks all the time, and a sniffer on the LAN that must not hear
it."""
import contextlib
import socket
import struct
import threading
import time

from .host import PATIENCE
from .sniff import ICMP, ICMPV6, Sniffer, checksum
from .world import B_INET4, B_INET6, B_VPN4, B_VPN6, LAPTOP2_4, LAPTOP2_6

SECRET = b'said-in-the-room'

# A VPN peer, a host on the internet, a host of the LAN that VPN claims too.
AIMS = (B_VPN4, B_VPN6, B_INET4, B_INET6, LAPTOP2_4, LAPTOP2_6)


class Talker(threading.Thread):
    """Sends a datagram to each aim every millisecond, and opens a connection
    to one of them in turn, from the namespace @where."""

    def __init__(self, where, aims=AIMS, port=4444):
        super().__init__(daemon=True)
        self.aims = aims
        self.port = port
        self.sent = 0
        self.halt = threading.Event()
        self.fd = where.fd
        self.where = where
        self.sockets = {6: self._udp(socket.AF_INET6),
                        4: self._udp(socket.AF_INET)}
        self.start()

    def _udp(self, family):
        return self.where.socket(family, socket.SOCK_DGRAM)

    def _one(self, aim):
        s = self.sockets[6 if ':' in aim else 4]
        try:
            s.sendto(SECRET, (aim, self.port))
        except OSError:
            pass  # refused is as good as dropped: only the wire counts
        self.sent += 1

    def run(self):
        while not self.halt.is_set():
            for aim in self.aims:
                self._one(aim)
            self.halt.wait(0.001)

    def said(self, count=50, seconds=PATIENCE):
        """Returns after at least @count more datagrams were tried."""
        end = time.monotonic() + seconds
        goal = self.sent + count * len(self.aims)
        while self.sent < goal:
            assert time.monotonic() < end and self.is_alive()
            time.sleep(0.005)

    def connect_all(self):
        """TCP: a SYN to each aim is enough to leak. And ICMP."""
        for aim in self.aims:
            s = self.where.socket(
                socket.AF_INET6 if ':' in aim else socket.AF_INET,
                socket.SOCK_STREAM)
            try:
                s.connect((aim, self.port))
            except OSError:
                pass
            s.close()
        self.ping_all()

    def ping_all(self):
        """Nor by a protocol without ports."""
        for aim in self.aims:
            family, proto, kind = ((socket.AF_INET6, ICMPV6, 128) if ':' in aim else
                                   (socket.AF_INET, ICMP, 8))
            with self.where.socket(family, socket.SOCK_RAW, proto) as s:
                head = struct.pack('!BBHHH', kind, 0, 0, self.port, 1)
                if proto == ICMP:  # of ICMPv6 the kernel computes it
                    head = head[:2] + struct.pack('!H', checksum(head + SECRET)) + head[4:]
                with contextlib.suppress(OSError):
                    s.sendto(head + SECRET, (aim, 0))

    def stop(self):
        self.halt.set()
        self.join(PATIENCE)
        for s in self.sockets.values():
            s.close()


class Ear(Sniffer):
    """On the LAN, at the router's end of Server A's cable."""

    def __init__(self, world):
        super().__init__(world.core, 'servera', (world.servera, 'eth0'))

    def heard(self, port=4444):
        """What the room said: by its words or by the port it aimed at."""
        return [str(p) for p in self.seen(
            lambda p: SECRET in p.payload or p.dport == port)]
