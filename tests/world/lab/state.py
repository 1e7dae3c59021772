# SPDX-License-Identifier: GPL-2.0-or-later
"""A host's whole network as text, to be compared byte by byte."""
import difflib
import os
import re

from .host import netns

COMMANDS = (
    ('links', ('ip', '-details', 'link')),
    ('addresses', ('ip', 'address')),
    ('rules', ('ip', '-4', 'rule')),
    ('rules 6', ('ip', '-6', 'rule')),
    ('routes', ('ip', '-4', 'route', 'show', 'table', 'all')),
    ('routes 6', ('ip', '-6', 'route', 'show', 'table', 'all')),
    ('nft', ('nft', '--stateless', '--handle', 'list', 'ruleset')),
    ('namespaces', ('ls', '-1', '/run/netns')),
    ('mounts', ('findmnt', '--raw', '--noheadings', '-o', 'TARGET,FSTYPE')),
    ('etc', ('find', '/etc/netns')),
    ('run', ('find', '/run', '-xdev', '-not', '-path', '/run/etc/*',
             '-not', '-type', 'd')),
)

# Readings, not settings.
VOLATILE = re.compile(r'nf_conntrack_count$|/route/flush$|ip_local_reserved$')

CLOCKS = re.compile(r'expires \d+sec|valid_lft \d+sec|preferred_lft \d+sec|'
                    r'[a-z_]+_timer +[\d.]+')

# Of the table that gates share, every gate writes the common rules anew.
OURS = re.compile(r'(?ms)^table inet sallyport \{.*?^\}')
HANDLES = re.compile(r' # handle \d+')


def _sysctls(fd):
    lines = []
    with netns(fd):
        for root, dirs, files in os.walk('/proc/sys/net'):
            dirs.sort()
            for name in sorted(files):
                path = os.path.join(root, name)
                if VOLATILE.search(path):
                    continue
                try:
                    with open(path) as f:
                        lines.append(f'{path[10:]} = {f.read().strip()}')
                except OSError:
                    continue  # write-only
    return lines


def hoststate(host):
    parts = []
    for title, argv in COMMANDS:
        done = host.run(*argv, ok=False)
        text = OURS.sub(lambda m: HANDLES.sub('', m[0]),
                        CLOCKS.sub('', done.stdout))
        # As after any `ip netns add`, the empty directory may stay.
        text = re.sub(r'(?m)^/run/netns( tmpfs)?\n', '', text)
        parts.append(f'== {title}\n{text}')
    legacy = host.run('iptables-legacy-save', ok=False).stdout
    parts.append('== iptables-legacy\n' + '\n'.join(
        l for l in legacy.splitlines() if not l.startswith(('#', ':'))))
    parts.append('== sysctls\n' + '\n'.join(_sysctls(host.fd)))
    return '\n'.join(parts)


def difference(before, after):
    return '\n'.join(difflib.unified_diff(
        before.splitlines(), after.splitlines(), 'before', 'after',
        lineterm='', n=0))
