# SPDX-License-Identifier: GPL-2.0-or-later
"""What is seen on a wire, from outside the tested system.

A sniffer is made with protocol 0 and bound afterwards: made with ETH_P_ALL it
would receive from every interface until bind(). It proves itself: prove() has
a frame planted at the far end of the wire and waits for it. seen() plants one
more and waits, so that everything sent before has been read: no sleeps.
"""
import errno
import os
import select
import socket
import struct
import time
from dataclasses import dataclass

from .host import PATIENCE, TimedOut, until
from .probe import SILENCE, udp

ETH_P_ALL = 0x0003
ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86dd
ETH_P_ARP = 0x0806
ETH_P_PLANT = 0x88b5  # IEEE 802, for local experiments

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


@dataclass(frozen=True)
class Packet:
    src: str
    dst: str
    proto: int
    sport: int = 0
    dport: int = 0
    flags: int = 0       # TCP
    kind: int = 0        # ICMP type
    payload: bytes = b''
    ttl: int = 0
    outgoing: bool = False
    mss: int = 0         # of a SYN that says one

    def __str__(self):
        name = {ICMP: 'icmp', TCP: 'tcp', UDP: 'udp', ICMPV6: 'icmp6'}.get(
            self.proto, f'proto {self.proto}')
        return (f'{name} {self.src}:{self.sport} > {self.dst}:{self.dport}'
                f' flags {self.flags:#x} type {self.kind} {self.payload[:40]}')


def _mss(options):
    while options and options[0] != 0:
        if options[0] == 2 and len(options) >= 4:
            return struct.unpack_from('!H', options, 2)[0]
        size = 1 if options[0] == 1 else max(2, options[1]) if options[1:] else 1
        options = options[size:]
    return 0


def _transport(src, dst, proto, ttl, data, outgoing):
    if proto in (TCP, UDP) and len(data) >= 8:
        sport, dport = struct.unpack_from('!HH', data)
        if proto == TCP and len(data) >= 20:
            head = (data[12] >> 4) * 4
            return Packet(src, dst, proto, sport, dport, data[13], 0, data[head:],
                          ttl, outgoing, _mss(data[20:head]) if data[13] & 2 else 0)
        return Packet(src, dst, proto, sport, dport, 0, 0, data[8:], ttl,
                      outgoing)
    kind = data[0] if data and proto in (ICMP, ICMPV6) else 0
    return Packet(src, dst, proto, kind=kind, payload=data, ttl=ttl,
                  outgoing=outgoing)


def parse(protocol, data, outgoing=False):
    if protocol == ETH_P_IP and len(data) >= 20:
        size = (data[0] & 15) * 4
        total = struct.unpack_from('!H', data, 2)[0]
        return _transport(socket.inet_ntoa(data[12:16]),
                          socket.inet_ntoa(data[16:20]), data[9], data[8],
                          data[size:total or None], outgoing)
    if protocol == ETH_P_IPV6 and len(data) >= 40:
        return _transport(socket.inet_ntop(socket.AF_INET6, data[8:24]),
                          socket.inet_ntop(socket.AF_INET6, data[24:40]),
                          data[6], data[7], data[40:], outgoing)
    return None


class Sniffer:
    """Reads @link of @host, and waits for a link that is not there yet: a VPN
    client that comes back makes it anew. @far is (host, link) at the other
    end of that wire, where frames are planted; a tun device has none."""

    def __init__(self, host, link, far=None, seconds=PATIENCE):
        with host.inside():
            self.s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            self.s.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # RCVBUFFORCE
            until(lambda: self._bound(link), f'no link {link}', seconds)
        self.s.setblocking(False)
        self.link = link
        self.far = far
        self.packets = []
        self.arps = []
        if far:
            self.prove(seconds)

    def _bound(self, link):
        try:
            self.s.bind((link, ETH_P_ALL))
        except OSError as e:
            if e.errno != errno.ENODEV:
                raise
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.s.close()

    def _read(self, until=None):
        """Reads what is there; True when the frame @until was among it."""
        while True:
            try:
                data, addr = self.s.recvfrom(65536)
            except BlockingIOError:
                return False
            if addr[1] == ETH_P_PLANT:
                if until and data.startswith(until):
                    return True
                continue
            if addr[1] == ETH_P_ARP:
                self.arps.append(data)
                continue
            packet = parse(addr[1], data, addr[2] == socket.PACKET_OUTGOING)
            if packet:
                self.packets.append(packet)

    def _wait(self, seconds):
        p = select.poll()
        p.register(self.s, select.POLLIN)
        return p.poll(max(0, seconds) * 1000)

    def prove(self, seconds=PATIENCE):
        """Plants a frame at the far end and waits until it is seen here."""
        host, link = self.far
        mark = os.urandom(24)
        with host.inside():
            out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            out.bind((link, 0))
        with out:
            out.send(b'\xff' * 6 + b'\x02\0\0\0\0\x01' +
                     struct.pack('!H', ETH_P_PLANT) + mark + bytes(22))
        end = time.monotonic() + seconds
        while not self._read(mark):
            if not self._wait(end - time.monotonic()) and \
                    time.monotonic() > end:
                raise TimedOut(f'the sniffer on {self.link} is blind')

    def seen(self, wanted=lambda packet: True):
        """Everything until now that is @wanted."""
        if self.far:
            self.prove()
        else:
            self._read()
        return [p for p in self.packets if wanted(p)]

    def wait_for(self, wanted, seconds=PATIENCE):
        """The first packet that is @wanted, or None."""
        end = time.monotonic() + seconds
        while True:
            self._read()
            for packet in self.packets:
                if wanted(packet):
                    return packet
            if not self._wait(end - time.monotonic()):
                return None

    def forget(self):
        self.seen()
        self.packets = []
        self.arps = []


# Forged packets ---------------------------------------------------------

def checksum(data):
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pton(addr):
    return socket.inet_pton(
        socket.AF_INET6 if ':' in addr else socket.AF_INET, addr)


def ip_packet(src, dst, proto, payload, ttl=64):
    if ':' in dst:
        return (struct.pack('!IHBB', 6 << 28, len(payload), proto, ttl) +
                pton(src) + pton(dst) + payload)
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 1, 0, ttl,
                       proto, 0, pton(src), pton(dst))
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload


def _with_sum(src, dst, proto, payload, at):
    pseudo = (pton(src) + pton(dst) +
              struct.pack('!IHBB' if ':' in dst else '!HBB',
                          *((len(payload), 0, 0, proto) if ':' in dst else
                            (len(payload), 0, proto))))
    if ':' not in dst:
        pseudo = pton(src) + pton(dst) + struct.pack('!BBH', 0, proto,
                                                     len(payload))
    total = checksum(pseudo + payload)
    return payload[:at] + struct.pack('!H', total) + payload[at + 2:]


def tcp_packet(src, sport, dst, dport, flags=2, seq=1000, ack=0, data=b''):
    seg = struct.pack('!HHIIBBHHH', sport, dport, seq, ack, 5 << 4, flags,
                      64000, 0, 0) + data
    return ip_packet(src, dst, TCP, _with_sum(src, dst, TCP, seg, 16))


def strays(src, sport, dst, dport=80):
    """Segments of a conversation, out of its window: of these, whatever its numbers
    are, conntrack takes one for the far future (of the past it bears with)."""
    return [tcp_packet(src, sport, dst, dport, 0x10, quarter << 30, 1 << 30)
            for quarter in range(4)]


def udp_packet(src, sport, dst, dport, data=b'probe'):
    seg = struct.pack('!HHHH', sport, dport, 8 + len(data), 0) + data
    return ip_packet(src, dst, UDP, _with_sum(src, dst, UDP, seg, 6))


def icmp_packet(src, dst, kind, code, rest, data):
    seg = struct.pack('!BBH', kind, code, 0) + rest + data
    if ':' in dst:
        return ip_packet(src, dst, ICMPV6, _with_sum(src, dst, ICMPV6, seg, 2))
    seg = seg[:2] + struct.pack('!H', checksum(seg)) + seg[4:]
    return ip_packet(src, dst, ICMP, seg)


def mac(host, link):
    return host.out('ip', '-br', 'link', 'show', link).split()[2]


def inject(host, link, dst_mac, packet):
    """Sends an IP packet to a chosen neighbour, whatever the routes say."""
    with host.inside():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        s.bind((link, 0))
    kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
    with s:
        s.sendto(packet, (link, kind, 0, 0, bytes.fromhex(
            dst_mac.replace(':', ''))))


def inject_tun(host, link, packet):
    """The same into a tun device: a frame without addresses."""
    with host.inside():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        s.bind((link, 0))
    kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
    with s:
        s.sendto(packet, (link, kind))


def forged(world, where, link, to, a, src):
    """A neighbour talks to a service of the host on @a; @where says something in
    @src's name. What the service answers goes to that neighbour: did it hear?"""
    child = world.serve(world.servera, 'host', 9292)
    try:
        assert udp(world.laptop2, a, 9292, sport=4500).answered
        with Sniffer(world.laptop2, 'eth0', (world.core, 'laptop2')) as far:
            inject(where, link, to, udp_packet(src, 4500, a, 9292, b'forged'))
            # By the same queues: what was sent before has arrived as well.
            assert udp(world.laptop2, a, 9292, sport=4500).answered
            return far.seen(lambda p: b'forged' in p.payload)
    finally:
        child.kill()


def told(where, link, sender, target):
    """Does somebody on @link answer an ARP request for @target?"""
    me = bytes.fromhex(mac(where, link).replace(':', ''))
    with where.inside():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                          socket.htons(ETH_P_ARP))
    with s:
        s.bind((link, ETH_P_ARP))
        s.settimeout(SILENCE)
        s.send(b'\xff' * 6 + me + struct.pack('!H', ETH_P_ARP) + struct.pack(
            '!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 1, me, pton(sender), bytes(6),
            pton(target)))
        try:
            while True:
                data = s.recv(2048)
                if data[20:22] == b'\0\2' and data[28:32] == pton(target):
                    return True
        except TimeoutError:
            return False


def minus(address, n):
    """The address @n below: from a room's to its gate's and host's."""
    head, _, last = address.rpartition('.' if '.' in address else ':')
    return f'{head}.{int(last) - n}' if '.' in address else \
        f'{head}:{int(last, 16) - n:x}'
