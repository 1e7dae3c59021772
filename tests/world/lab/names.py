# SPDX-License-Identifier: GPL-2.0-or-later
"""A name server that tells everybody the same, and who asked it what."""
import select
import socket
import struct
import threading


def encode(name):
    return b''.join(bytes([len(w)]) + w.encode() for w in name.split('.'))


class Names(threading.Thread):
    """Answers at @address of @host: @address4 for every name but @known's."""

    def __init__(self, host, address4, address='', known=()):
        super().__init__(daemon=True)
        self.answer = address4
        self.known = dict(known)
        self.asked = []
        self.halt = threading.Event()
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.start()

    def _reply(self, question):
        words, at = [], 12
        while question[at]:
            words.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        name = '.'.join(words)
        self.asked.append(name)
        kind, = struct.unpack_from('!H', question, at + 1)
        reply = question[:2] + struct.pack('!HHHHH', 0x8580, 1, kind == 1, 0, 0)
        reply += question[12:at + 5]
        if kind == 1:
            reply += struct.pack('!HHHIH', 0xc00c, 1, 1, 1, 4)
            reply += socket.inet_aton(self.known.get(name, self.answer))
        return reply

    def run(self):
        while not self.halt.is_set():
            if select.select([self.socket], [], [], 0.1)[0]:
                question, who = self.socket.recvfrom(2048)
                self.socket.sendto(self._reply(question), who)

    def close(self):
        self.halt.set()
        self.join()
        self.socket.close()
