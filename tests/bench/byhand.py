# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel takes for gates, without us: the same namespaces, links, addresses and
routes, made by ip(8), and somebody in each who hears of changes.

    byhand.py NUMBER      prints how long each took, in seconds

It is what nobody gets below who does not poll: the kernel shows each message to every
listener of every namespace (netlink_broadcast_filtered(), net/netlink/af_netlink.c).
"""
import ctypes
import os
import socket
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
SO_ATTACH_FILTER = 26
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
# Links, addresses, routes, rules, settings (linux/rtnetlink.h), as a supervisor listens.
GROUPS = (1, 5, 9, 7, 11, 8, 19, 24, 25)

LIBC = ctypes.CDLL(None, use_errno=True)


class Instruction(ctypes.Structure):
    _fields_ = [('code', ctypes.c_uint16), ('jt', ctypes.c_uint8), ('jf', ctypes.c_uint8),
                ('k', ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_uint16), ('filter', ctypes.POINTER(Instruction))]


# Nothing of it has to be read.
DROP = Program(1, ctypes.pointer(Instruction(0x06, 0, 0, 0)))


def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'unshare or setns')


def enter(fd):
    call(LIBC.setns(fd, CLONE_NEWNET))


def here():
    return os.open('/proc/thread-self/ns/net', os.O_RDONLY)


def new_namespace():
    call(LIBC.unshare(CLONE_NEWNET))
    return here()


def ip(fd, lines):
    enter(fd)
    subprocess.run(['ip', '-batch', '-'], input='\n'.join(lines), text=True, check=True,
                   stdout=subprocess.DEVNULL, timeout=30)


def listener(fd):
    enter(fd)
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(DROP))
    for group in GROUPS:
        sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    return sock


def path(fd):
    return f'/proc/{os.getpid()}/fd/{fd}'


def make(home, i):
    """Host, gate and room, and three links."""
    net4, net6 = f'198.18.{i // 64}.{i % 64 * 4}'.rsplit('.', 1)[0], f'fd5a:{i + 1:x}:'
    host, own, room = (f'{net4}.{i % 64 * 4 + j}' for j in range(3))
    gate_ns, room_ns = new_namespace(), new_namespace()
    ip(home, [
        f'link add sp-{i} type veth peer name lan netns {path(gate_ns)}',
        f'link add sp-{i}.0 type veth peer name lan0 netns {path(room_ns)}',
        f'addr add {host}/32 dev sp-{i}', f'addr add {net6}:1/128 dev sp-{i} nodad',
        f'addr add {host}/32 dev sp-{i}.0', f'link set sp-{i} up', f'link set sp-{i}.0 up',
        f'route add {own}/32 dev sp-{i}', f'route add {room}/32 dev sp-{i}.0',
        f'route add {net6}:2/128 dev sp-{i}', f'route add {net6}:3/128 dev sp-{i}.0'])
    ip(gate_ns, [
        f'link add room type veth peer name eth0 netns {path(room_ns)}',
        'link set lo up', f'addr add {own}/32 dev lan', f'addr add {net6}:2/128 dev lan nodad',
        'link set lan up', 'link set room up', f'route add {host}/32 dev lan',
        f'route add {room}/32 dev room', f'route add {net6}:3/128 dev room',
        f'route add default via {host} dev lan onlink',
        f'route add default via {host} dev lan onlink table 5901',
        f'route add ::/0 via {net6}:1 dev lan onlink',
        *(f'rule add pref {n} from {room} lookup 5901' for n in range(5))])
    ip(room_ns, [
        'link set lo up', f'addr add {room}/32 dev eth0', f'addr add {net6}:3/128 dev eth0 nodad',
        'link set eth0 up', 'link set lan0 up', 'route add default dev eth0',
        'route add ::/0 dev eth0'])
    return [listener(fd) for fd in (home, gate_ns, room_ns)], gate_ns, room_ns


def main():
    home = here()
    kept = []
    for i in range(int(sys.argv[1])):
        begin = time.monotonic()
        kept.append(make(home, i))
        print(f'{time.monotonic() - begin:.6f}')


if __name__ == '__main__':
    main()
