# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is answered, by which door.

A probe never says only "it works": an Answer holds the address that the reply
came from and the client address that the service saw.
"""
import enum
import errno
import fcntl
import select
import socket
import struct
import termios
import threading
import time
from dataclasses import dataclass

from .host import PATIENCE

SO_SNDBUFFORCE = 32
SILENCE = 0.7  # what has not come by then does not come


class How(enum.Enum):
    ANSWERED = 'answered'
    REFUSED = 'refused'
    UNREACHABLE = 'unreachable'
    SILENT = 'silent'


@dataclass(frozen=True)
class Answer:
    how: How
    by: str = ''       # the service's name
    saw: str = ''      # the client address that the service saw
    saw_port: int = 0
    source: str = ''   # the address that the reply came from
    local: str = ''    # our own address in that conversation

    @property
    def answered(self):
        return self.how is How.ANSWERED

    def __bool__(self):
        raise TypeError('ask for .answered or .how: an answer is not a truth')


def family_of(addr):
    return socket.AF_INET6 if ':' in addr else socket.AF_INET


HOWS = {errno.ECONNREFUSED: How.REFUSED, errno.ECONNRESET: How.REFUSED,
        errno.EHOSTUNREACH: How.UNREACHABLE, errno.ENETUNREACH: How.UNREACHABLE,
        errno.EACCES: How.UNREACHABLE, errno.EPERM: How.UNREACHABLE,
        errno.ETIMEDOUT: How.SILENT}


def how_of(err):
    return HOWS.get(err.errno, How.UNREACHABLE)


def _socket(host, dst, kind, src, sport):
    s = host.socket(family_of(dst), kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if src or sport:
        any_ = '::' if ':' in dst else '0.0.0.0'
        s.bind((src or any_, sport))
    return s


def _wait(s, events, end):
    p = select.poll()
    p.register(s, events)
    left = end - time.monotonic()
    return left > 0 and p.poll(left * 1000)


def connect(host, dst, port, src='', sport=0, seconds=PATIENCE):
    """A connected TCP socket (blocking, with a time limit), or raises."""
    s = _socket(host, dst, socket.SOCK_STREAM, src, sport)
    # A short-lived probe must not hold its port in TIME_WAIT.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    try:
        s.settimeout(seconds)
        s.connect((dst, port))
    except OSError:
        s.close()
        raise
    return s


def line(s, seconds=PATIENCE):
    s.settimeout(seconds)
    data = b''
    while not data.endswith(b'\n'):
        more = s.recv(4096)
        if not more:
            raise ConnectionResetError(errno.ECONNRESET, 'closed')
        data += more
    return data.decode()


def _answer(text, source, local):
    by, saw, port = text.split()[:3]
    return Answer(How.ANSWERED, by, saw, int(port), source, local)


def tcp(host, dst, port, src='', sport=0, seconds=PATIENCE):
    try:
        with connect(host, dst, port, src, sport, seconds) as s:
            return _answer(line(s, seconds), s.getpeername()[0],
                           s.getsockname()[0])
    except (TimeoutError, BlockingIOError):
        return Answer(How.SILENT)
    except OSError as err:
        return Answer(how_of(err))


def udp(host, dst, port, src='', sport=0, seconds=PATIENCE, payload='probe'):
    """Not connected: a reply from a wrong source is seen as such."""
    s = _socket(host, dst, socket.SOCK_DGRAM, src, sport)
    on = (socket.IPPROTO_IPV6, 25) if ':' in dst else (socket.IPPROTO_IP, 11)
    s.setsockopt(*on, 1)  # IP_RECVERR: ICMP errors reach unconnected sockets
    end = time.monotonic() + seconds
    try:
        again = time.monotonic()
        while time.monotonic() < end:
            if time.monotonic() >= again:
                s.sendto(payload.encode(), (dst, port))
                again += 0.5
            if _wait(s, select.POLLIN, min(end, again)):
                data, addr = s.recvfrom(65536)
                return _answer(data.decode(), addr[0], s.getsockname()[0])
        return Answer(How.SILENT)
    except OSError as err:
        return Answer(how_of(err))
    finally:
        s.close()


def ask(host, proto, dst, port, **kw):
    return {'tcp': tcp, 'udp': udp}[proto](host, dst, port, **kw)


def ask_until_answered(host, proto, dst, port, seconds=PATIENCE, **kw):
    """For doors that are just opening: asks again until there is an answer."""
    end = time.monotonic() + seconds
    while True:
        got = ask(host, proto, dst, port, **{'seconds': 0.5, **kw})
        if got.answered or time.monotonic() > end:
            return got
        time.sleep(0.02)


def ping(host, dst, src='', size=56, seconds=PATIENCE, dont_fragment=False):
    """True when an echo reply comes from @dst itself."""
    argv = ['ping', '-n', '-q', '-c', '1', '-i', '0.2', '-W', str(seconds),
            '-s', str(size)]
    argv += ['-M', 'do'] if dont_fragment else []
    argv += ['-I', src] if src else []
    return host.run(*argv, dst, ok=False,
                    timeout=seconds + PATIENCE).returncode == 0


def fetch(host, dst, port, size, seconds=PATIENCE, src=''):
    """Bytes that arrived of @size asked for: stalls show as a smaller number."""
    with connect(host, dst, port, src) as s:
        line(s)  # the greeting
        s.sendall(f'big {size}\n'.encode())
        end = time.monotonic() + seconds
        got = 0
        while got < size and time.monotonic() < end:
            s.settimeout(max(0.05, end - time.monotonic()))
            try:
                data = s.recv(1 << 18)
            except OSError:
                break
            if not data:
                break
            got += len(data)
        return got


def push(host, dst, port, size, seconds=PATIENCE, src=''):
    """Bytes of @size that the other end has acknowledged."""
    with connect(host, dst, port, src) as s:
        line(s)  # the greeting
        s.settimeout(seconds)
        s.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * size)
        s.sendall(bytes(size))
        end = time.monotonic() + seconds
        while (left := _unacknowledged(s)) and time.monotonic() < end:
            time.sleep(0.01)
        return size - left


def _unacknowledged(s):
    return struct.unpack('i', fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]


class Flow(threading.Thread):
    """A TCP conversation that goes on in the background: a line each
    @interval, each answered. stop() says how it went."""

    def __init__(self, host, dst, port, interval=0.002, src='',
                 sport=0, patience=PATIENCE):
        super().__init__(daemon=True)
        self.socket = connect(host, dst, port, src, sport)
        self.greeting = line(self.socket)
        self.patience = patience
        self.interval = interval
        self.count = 0
        self.worst = 0.0
        self.error = None
        self.halt = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.halt.is_set():
                begin = time.monotonic()
                self.socket.sendall(b'%d\n' % self.count)
                line(self.socket, self.patience)
                self.worst = max(self.worst, time.monotonic() - begin)
                self.count += 1
                self.halt.wait(self.interval)
        except OSError as err:
            self.error = err

    def stalled(self):
        """The machine itself stood still: said of a flow that nothing of ours
        is in the way of, it excuses another one."""
        return self.worst > 0.1 or self.total_retransmits > 0

    def retransmits(self):
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from('I', info, 100)[0]

    def stop(self):
        self.halt.set()
        self.join(self.patience + 5)
        if self.socket.fileno() >= 0:
            self.total_retransmits = self.retransmits() if not self.error else -1
            self.socket.close()
        return self


def until_true(ask, kind, seconds=PATIENCE):
    """The first answer of @kind, or the last one of all."""
    end = time.monotonic() + seconds
    while True:
        got = ask()
        if isinstance(got, kind) or time.monotonic() > end:
            return got
        time.sleep(0.01)
