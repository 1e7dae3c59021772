# SPDX-License-Identifier: GPL-2.0-or-later
"""The seed's world on one machine.

Hosts are network namespaces joined by veths. Everything happens inside a
sandbox (sandbox.py): a PID, mount and network namespace of its own, so that
nothing can touch the machine's network, and nothing can be left behind: when
the test run ends, however it ends, the kernel takes all of it away.

    sandbox   the namespace around it all
    host      one host: a network namespace, commands and sockets in it
    probe     who is answered by which door
    sniff     what is seen on a wire, with a proof that it sees
    state     a host's network as text, for byte by byte comparison
    vpn       real OpenVPN, WireGuard and openconnect servers and clients
    world     the seed's world made of these
    gate      the program under test
    plain     a namespace behind a DNAT rule, as many people build it
    service   the service under test (runs by itself; says whom it saw)
"""
