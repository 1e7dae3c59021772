#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scene.py LINES PROGRAM ARG...: a server to explain things on.

    unshare -Urn scene.py 'route add 10.0.0.0/8 dev eth1' sallyport explain ...

It has a LAN on eth0, a second network on eth1 and a tunnel, tun0; LINES, with
semicolons between them, are what ip(8) makes besides.
"""
import socket
import subprocess
import sys

HERE = '''
link set lo up
link add eth0 type veth peer name far0
link add eth1 type veth peer name far1
addr add 172.16.5.10/24 dev eth0
addr add 172.16.5.11/24 dev eth0
addr add fd00:16:5::10/64 dev eth0 nodad
addr add 192.0.2.10/24 dev eth1
link set far0 up
link set far1 up
link set eth0 up
link set eth1 up
route add default via 172.16.5.1
-6 route add default via fd00:16:5::1
tuntap add tun0 mode tun
link set tun0 up
addr add 172.20.0.10/16 dev tun0
'''


def main():
    for line in (HERE + sys.argv[1].replace(';', '\n')).splitlines():
        words = line.split()
        if words:
            subprocess.run(words if words[0] == 'sysctl' else ['ip', *words], check=True)
    keep = []
    for kind, ip, port in ((socket.SOCK_STREAM, '0.0.0.0', 22), (socket.SOCK_DGRAM, '0.0.0.0', 53),
                           (socket.SOCK_DGRAM, '172.16.5.10', 69)):
        s = socket.socket(socket.AF_INET, kind)
        s.bind((ip, port))
        if kind == socket.SOCK_STREAM:
            s.listen()
        keep.append(s)
    sys.exit(subprocess.run(sys.argv[2:], check=False).returncode)


if __name__ == '__main__':
    main()
