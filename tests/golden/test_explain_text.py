# SPDX-License-Identifier: GPL-2.0-or-later
"""What `sallyport explain` prints on the server of explain/scene.py, and of a
gate as explain/gate-*.json have it.

Whoever changes a text on purpose runs this once with GOLDEN_REWRITE=1 and
reads what git says has changed.
"""
import functools
import json
import re
import shlex
import subprocess

import golden
import pytest
from golden import HERE, ROOT, SALLYPORT

CASES = f'{HERE}/explain'
expect = functools.partial(golden.expect, CASES)
PRINT = f'{ROOT}/build/golden-print'
ENV = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C'}

LAPTOP, SSH = '172.16.9.20', '172.16.5.10:22'
RANGE = 'route add 172.16.0.0/12 via 172.20.0.1'
WG = ('route add default dev tun0 table 51820; rule add not fwmark 51820 table 51820;'
      'rule add table main suppress_prefixlength 0')
STRICT = 'sysctl -qw net.ipv4.conf.eth0.rp_filter=1'

# Name of the expected file: what is built, arguments, exit status.
TEXTS = {
    'right': ('', [LAPTOP, SSH], 0),
    'range': (RANGE, [LAPTOP, SSH], 1),
    'metric': ('route del default; route add default via 172.20.0.1;'
               'route add default via 172.16.5.1 metric 100', [LAPTOP, SSH], 1),
    'default': ('route add 0.0.0.0/1 dev tun0; route add 128.0.0.0/1 dev tun0',
                [LAPTOP, '172.16.5.10'], 1),
    'wg-quick': (WG, [LAPTOP, SSH], 1),
    'tailscale': ('route add 172.16.0.0/12 dev tun0 table 52; rule add pref 5270 lookup 52;'
                  'rule add pref 5210 fwmark 0x80000/0xff0000 lookup main', [LAPTOP, SSH], 1),
    'two-wires': ('', [LAPTOP, '192.0.2.10'], 1),
    'strict': (f'{RANGE};{STRICT}', [LAPTOP, SSH], 1),
    'no-way': ('route del default', [LAPTOP, SSH], 1),
    'blackhole': ('route add blackhole 172.16.9.0/24', [LAPTOP, SSH], 1),
    'prohibit': ('rule add pref 7 to 172.16.9.0/24 prohibit', [LAPTOP, SSH], 1),
    'source': ('', [LAPTOP, '172.16.5.11:53', 'udp'], 1),
    'udp': (RANGE, [LAPTOP, '172.16.5.10:53', 'udp'], 1),
    'udp-bound': (RANGE, [LAPTOP, '172.16.5.10:69', 'udp'], 1),
    'nobody': ('', [LAPTOP, '172.16.5.10:23'], 0),
    'self': ('', ['172.16.5.10', SSH], 0),
    'own-address': (f'addr add {LAPTOP}/32 dev tun0', ['--iif', 'eth0', LAPTOP, SSH], 1),
    'elsewhere': ('', [LAPTOP, '203.0.113.9:22'], 1),
    'several': ('route del default; route add default nexthop via 172.16.5.1 '
                'nexthop dev tun0', [LAPTOP, SSH], 1),
    'depends': ('route add default dev tun0 table 7; rule add fwmark 3/15 lookup 7;'
                'rule add not uidrange 0-0 lookup 7; rule add dport 5000 lookup 7;'
                'rule add tos 0x10 lookup 7', [LAPTOP, SSH], 0),
    'given': ('route add default dev tun0 table 7; rule add fwmark 3/15 lookup 7',
              ['--mark', '0x3', '--iif', 'eth1', LAPTOP, SSH], 1),
    'selectors': ('route add default dev tun0 table 7;'
                  'rule add pref 8 not from 172.16.5.0/24 lookup 7;'
                  'rule add pref 9 from 172.16.5.10 to 172.16.9.20 ipproto udp sport 1-9 '
                  'lookup 7; rule add pref 10 iif eth1 oif eth0 lookup 7; rule add pref 11 nop;'
                  'rule add pref 12 goto 20; rule add pref 13 blackhole;'
                  'route add throw 172.16.9.20 table 8; rule add pref 20 lookup 8;'
                  'rule add pref 21 lookup 9 suppress_ifgroup default', [LAPTOP, SSH], 0),
    'many': ('; '.join(f'rule add pref {i} from 10.0.{i}.0/24 lookup 7'
                       for i in range(1, 30)), [LAPTOP, SSH], 0),
    'ipv6': ('-6 route add fd00::/8 dev tun0', ['fd00:16:9::20', '[fd00:16:5::10]:80'], 1),
}
JSON = ['range', 'wg-quick', 'udp', 'elsewhere', 'depends']


def run(*argv):
    done = subprocess.run(argv, cwd=CASES, env=ENV, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, re.sub(r'\(pid \d+\)', '(pid 1)',
                                   re.sub(r'"pid": \d+', '"pid": 1', done.stdout))


def explain(lines, *words):
    return run('unshare', '-Urn', f'{CASES}/scene.py', lines, SALLYPORT, 'explain', *words)


@pytest.mark.parametrize('name', TEXTS)
def test_the_text_is_as_expected(name):
    lines, words, status = TEXTS[name]
    got, text = explain(lines, *words)
    expect(f'{name}.txt', text)
    assert got == status


@pytest.mark.parametrize('name', JSON)
def test_json_is_as_expected(name):
    lines, words, status = TEXTS[name]
    got, text = explain(lines, '--json', *words)
    assert got == status and json.loads(text)['schema'] == 1
    expect(f'{name}.json', text)


@pytest.mark.parametrize('name, places, asked, status', [
    ('gate-lan', 'host gate room', (LAPTOP, '172.16.5.10', '80', 'tcp'), 0),
    ('gate-vpn', 'gate room', ('172.20.0.30', '172.20.0.10', '80', 'udp'), 0),
    ('gate-hidden', 'host', (LAPTOP, '172.16.5.10', '80', 'tcp'), 0),
])
def test_the_text_of_a_gate_is_as_expected(name, places, asked, status):
    files = [f'gate-{place}.json' for place in places.split()]
    got, text = run(PRINT, 'explain', *asked, *files)
    expect(f'{name}.txt', text)
    assert got == status


def test_wrong_usage_is_told_as_expected():
    shown = []
    for words in ([], ['172.16.9.20'], ['a', 'b'], ['1.2.3.4', '1.2.3.4:0'],
                  ['1.2.3.4', '[fd00::1'], ['1.2.3.4', '[fd00::1]:5'],
                  ['1.2.3.4', '1.2.3.5', 'tcp'], ['1.2.3.4', '1.2.3.5:5', 'icmp'],
                  ['1.2.3.4', '1.2.3.5:5', 'sctp'], ['0.0.0.0', '1.2.3.4'],
                  ['1.2.3.4', '224.0.0.1'], ['--mark', 'x', '1.2.3.4', '1.2.3.5'],
                  ['--mark', '0x1ffffffff', '1.2.3.4', '1.2.3.5'],
                  ['--client-port', '70000', '1.2.3.4', '1.2.3.5'],
                  ['--gate', 'x', '--snapshot', 'y', '1.2.3.4', '1.2.3.5'],
                  ['--gate', 'nosuch', '1.2.3.4', '1.2.3.5'],
                  ['--snapshot', 'absent.json', '1.2.3.4', '1.2.3.5'],
                  ['--snapshot', 'scene.py', '1.2.3.4', '1.2.3.5'],
                  ['--iif', 'eth9', '--snapshot', 'gate-room.json', '1.2.3.4', '1.2.3.5']):
        status, text = run(SALLYPORT, 'explain', *words)
        shown.append(f'$ {shlex.join(["sallyport", "explain", *words])}\n{text}[{status}]\n')
        assert status in (1, 2)
    expect('usage.txt', ''.join(shown))
