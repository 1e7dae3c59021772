#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scene.py PROGRAM ARG...: a server with sessions, to rehearse on.

    unshare -Urnm scene.py sallyport rehearse --routes 172.16.0.0/12

Everything has the same addresses and ports each time. The other end of eth0
is in a namespace of its own, and has the router's address and all clients'.
"""
import ctypes
import os
import socket
import subprocess
import sys
import tempfile

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

HERE = '''
link set lo up
addr add 172.16.5.10/24 dev eth0
addr add fd00:16:5::10/64 dev eth0 nodad
link set eth0 up
route add default via 172.16.5.1
route add default via fd00:16:5::1
link add docker0 type bridge
link add one type veth peer name two
link set one master docker0 up
link set two up
addr add 172.17.0.1/16 dev docker0
link set docker0 up
'''
THERE = '''
link set lo up
addr add 172.16.5.1/24 dev far
addr add fd00:16:5::1/64 dev far nodad
addr add 172.16.5.66/32 dev far
addr add 172.16.9.20/32 dev far
addr add 203.0.113.5/32 dev far
addr add fd00:16:9::20/128 dev far nodad
link set far up
route add 172.16.5.10/32 dev far
'''
# (from, port, to, port)
SESSIONS = (('172.16.9.20', 51022, '172.16.5.10', 22),
            ('172.16.5.66', 51000, '172.16.5.10', 22),
            ('203.0.113.5', 40404, '172.16.5.10', 80),
            ('172.16.9.20', 50080, '172.16.5.10', 80),
            ('fd00:16:9::20', 50080, 'fd00:16:5::10', 80))
PROXY = ('-proto', 'tcp', '-host-ip', '0.0.0.0', '-host-port', '8080',
         '-container-ip', '172.17.0.2', '-container-port', '80')


def ip(text):
    subprocess.run(['ip', '-batch', '-'], input=text, text=True, check=True)


def setns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'setns')


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def bound(address, kind, port):
    s = socket.socket(family(address), kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    return s


def listen(address, port):
    s = bound(address, socket.SOCK_STREAM, port)
    s.listen()
    return s


def far_namespace(home):
    """A namespace with the other end of eth0, as an fd."""
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'unshare')
    far = os.open('/proc/self/ns/net', os.O_RDONLY)
    setns(home)
    ip(f'link add eth0 type veth peer name far netns /proc/{os.getpid()}/fd/{far}')
    setns(far)
    ip(THERE)
    setns(home)
    ip(HERE)
    return far


def proxy():
    """A process that looks like docker-proxy."""
    code = ("import socket, sys; open('/proc/self/comm', 'w').write('docker-proxy');"
            "s = socket.socket(); s.bind(('0.0.0.0', 8080)); s.listen();"
            "print(flush=True); sys.stdin.read()")
    child = subprocess.Popen(['/usr/bin/docker-proxy', '-I', '-c', code, *PROXY],
                             executable='/usr/bin/python3', text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    return child


def name_servers():
    file = tempfile.NamedTemporaryFile('w', prefix='scene-', delete=False)
    file.write('nameserver 172.16.5.1\nnameserver 9.9.9.9\n')
    file.close()
    subprocess.run(['mount', '--bind', file.name, os.path.realpath('/etc/resolv.conf')],
                   check=True)
    os.unlink(file.name)


def main():
    home = os.open('/proc/self/ns/net', os.O_RDONLY)
    name_servers()
    far = far_namespace(home)
    keep = [listen('0.0.0.0', 22), listen('::', 80), listen('127.0.0.1', 5432),
            bound('0.0.0.0', socket.SOCK_DGRAM, 53),
            bound('172.16.5.10', socket.SOCK_DGRAM, 69)]
    docker = proxy()
    for source, sport, to, port in SESSIONS:
        setns(far)
        s = bound(source, socket.SOCK_STREAM, sport)
        setns(home)
        s.connect((to, port))
        keep.append(s)
    # In a child of its own: this one holds both ends of each session.
    done = subprocess.run(sys.argv[1:], check=False)
    docker.stdin.close()
    docker.wait()
    sys.exit(done.returncode)


if __name__ == '__main__':
    main()
