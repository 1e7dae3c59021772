# SPDX-License-Identifier: GPL-2.0-or-later
"""Real VPN servers, and the files a provider would hand out for them."""
import os
import signal
import subprocess
from functools import cache

from . import host as hosts
from .host import PATIENCE, until


@cache
def keys(directory):
    """A small authority and a certificate for each name, once per run."""
    return Keys(directory)


class Keys:
    def __init__(self, directory):
        self.dir = os.path.join(directory, 'keys')
        os.makedirs(self.dir)
        self._openssl('req', '-x509', '-days', '30', '-subj', '/CN=lab-ca',
                      '-out', 'ca.crt', *self._new('ca'))
        self.issue('server', 'serverAuth')
        for name in ('servera', 'servera2', 'serverb'):
            self.issue(name, 'clientAuth')
        subprocess.run(['openvpn', '--genkey', 'tls-crypt', self.path('tc.key')],
                       check=True, capture_output=True)

    def _new(self, name):
        return ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                '-nodes', '-keyout', f'{name}.key')

    def _openssl(self, *argv):
        subprocess.run(['openssl', *argv], cwd=self.dir, check=True,
                       capture_output=True)

    def issue(self, name, usage):
        ext = self.path(f'{name}.ext')
        hosts.keep(ext, f'extendedKeyUsage={usage}\n'
                        'keyUsage=digitalSignature\n')
        self._openssl('req', '-subj', f'/CN={name}', '-out', f'{name}.csr',
                      *self._new(name))
        self._openssl('x509', '-req', '-days', '30', '-in', f'{name}.csr',
                      '-CA', 'ca.crt', '-CAkey', 'ca.key', '-out',
                      f'{name}.crt', '-extfile', ext)

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def inline(self, name):
        parts = (('ca', 'ca.crt'), ('cert', f'{name}.crt'),
                 ('key', f'{name}.key'), ('tls-crypt', 'tc.key'))
        return ''.join(f'<{tag}>\n{self.read(file)}</{tag}>\n'
                       for tag, file in parts)


class Log:
    """A process's output, kept in a file."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, 'w')

    def text(self):
        with open(self.path) as f:
            return f.read()

    def wait(self, *words, child=None, seconds=PATIENCE, since=0):
        """The lines since offset @since that have all of @words; @child, who
        writes them, must not end before."""
        def found():
            ended = child is not None and child.poll() is not None
            lines = [l for l in self.text()[since:].splitlines()
                     if all(w in l for w in words)]
            assert lines or not ended, self.text()
            return lines
        return until(found, lambda: f'the log says {words}; it says:\n' +
                     self.text()[since:], seconds)

    def close(self):
        self.file.close()


class OpenVpnServer:
    """Listens on @address; its pool is 172.20.0.0/16 and fd00:16:20::/64.
    A client's pushes are what give() wrote for it, at its next connect."""

    PUSH = ('route 172.16.0.0 255.240.0.0', 'route-ipv6 fd00:16::/32')

    def __init__(self, host, keys, directory, address='198.51.100.2', port=1194,
                 proto='udp', extra=''):
        self.host = host
        self.keys = keys
        self.address = address
        self.port = port
        self.proto = proto
        self.dir = os.path.join(directory, f'openvpn-{port}-{proto}')
        os.makedirs(self.dir + '/ccd')
        self.conf = hosts.keep(self.dir + '/server.conf', f'''
dev tun0
dev-type tun
proto {proto}{'-server' if proto == 'tcp' else ''}
local {address}
port {port}
topology subnet
server 172.20.0.0 255.255.0.0
server-ipv6 fd00:16:20::/64
ca {keys.path('ca.crt')}
cert {keys.path('server.crt')}
key {keys.path('server.key')}
tls-crypt {keys.path('tc.key')}
dh none
client-config-dir {self.dir}/ccd
keepalive 1 6
verb 3
{extra}
''')
        self.give('servera', '172.20.0.10', 'fd00:16:20::10')
        self.give('servera2', '172.20.0.11', 'fd00:16:20::11')
        self.give('serverb', '172.20.0.30', 'fd00:16:20::30')
        self.start()

    def start(self):
        self.log = Log(self.dir + '/log')
        self.child = self.host.popen(
            ['openvpn', '--config', self.conf], stdout=self.log.file,
            stderr=self.log.file)
        until(lambda: 'Initialization Sequence Completed' in self.log.text()
              or self.child.poll() is not None, 'OpenVPN server listens')
        assert self.child.poll() is None, self.log.text()

    def give(self, client, addr4, addr6=None, push=PUSH, extra=''):
        """What @client is told at its next connect."""
        lines = [f'ifconfig-push {addr4} 255.255.0.0']
        if addr6:
            lines.append(f'ifconfig-ipv6-push {addr6}/64')
        lines += [f'push "{p}"' for p in push]
        hosts.keep(f'{self.dir}/ccd/{client}', '\n'.join(lines) + f'\n{extra}\n')

    def give_a(self, push=PUSH, **kw):
        """What Server A is told."""
        self.give('servera', '172.20.0.10', 'fd00:16:20::10', push, **kw)

    def profile(self, path, client, remotes=None, extra=''):
        """An .ovpn as providers ship it: one file, keys inline."""
        remotes = remotes or [f'{self.address} {self.port} {self.proto}']
        text = 'client\ndev tun\nnobind\npersist-key\n'
        text += ''.join(f'remote {r}\n' for r in remotes)
        text += 'remote-cert-tls server\nverb 3\nconnect-retry 1 2\n'
        text += 'connect-timeout 4\nresolv-retry 5\n' + extra + '\n'
        return hosts.keep(path, text + self.keys.inline(client), 0o600)

    def close(self):
        hosts.stop(self.child, signal.SIGKILL)
        self.log.close()


class OpenVpnClient:
    """A plain client on a bare host, as anybody would start it."""

    def __init__(self, host, profile, directory, args=()):
        self.log = Log(os.path.join(directory, f'client-{host.name}.log'))
        self.child = host.popen(['openvpn', '--config', profile, *args],
                                stdout=self.log.file, stderr=self.log.file)

    def wait(self):
        until(lambda: 'Initialization Sequence Completed' in self.log.text()
              or self.child.poll() is not None, 'OpenVPN client connected')
        assert self.child.poll() is None, self.log.text()
        return self

    def close(self):
        hosts.stop(self.child)
        self.log.close()


def wg_key():
    private = subprocess.run(['wg', 'genkey'], capture_output=True, text=True,
                             check=True).stdout
    public = subprocess.run(['wg', 'pubkey'], input=private, text=True,
                            capture_output=True, check=True).stdout
    return private.strip(), public.strip()


# A user has 128 inotify instances, and wireguard-go needs one: with many worlds
# at a time there may be none left for a moment.
SHORT = 'too many open files'

WG_QUICK = f"""#!/bin/sh
[ "$1" = up ] || exec wg-quick "$@"
end=$(($(date +%s) + {int(PATIENCE)}))
until wg-quick "$@" > "$2.said" 2>&1; do
	cat "$2.said"
	grep -q '{SHORT}\\|Unable to [a-z]* interface' "$2.said" || exit 1
	[ $(date +%s) -lt $end ] || exit 1
	sleep 0.2
done
cat "$2.said"
"""


def wg_quick(what, conf):
    """A command line, with wireguard-go for the kernel's. Its name is
    wg-quick, for the guard knows by the name what takes the tunnel down."""
    program = hosts.keep(os.path.join(os.path.dirname(conf), 'wg-quick'),
                         WG_QUICK, 0o755)
    return ['env', 'WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go',
            'LOG_LEVEL=error', program, what, conf]


class WireGuardServer:
    """The partner's: 10.66.0.1 and fd00:66::1, by wireguard-go. Server A is
    10.66.0.10 and fd00:66::10 there."""

    def __init__(self, host, directory, address='203.0.113.77', port=51820):
        self.host = host
        self.address = address
        self.port = port
        self.private, self.public = wg_key()
        self.a_private, self.a_public = wg_key()
        self.b_private, self.b_public = wg_key()
        self.log = Log(os.path.join(directory, 'wireguard.log'))
        host.run('mkdir', '-p', '/run/wireguard')
        until(self._start, self.log.text)
        conf = hosts.keep(os.path.join(directory, 'wg0.conf'), f'''
[Interface]
PrivateKey = {self.private}
ListenPort = {port}
[Peer]
PublicKey = {self.a_public}
AllowedIPs = 10.66.0.10/32, fd00:66::10/128
[Peer]
PublicKey = {self.b_public}
AllowedIPs = 10.66.0.11/32, fd00:66::11/128
''', 0o600)
        host.run('wg', 'setconf', 'wg0', conf)
        host.ip('addr add 10.66.0.1/24 dev wg0', 'link set wg0 mtu 1420 up',
                'addr add fd00:66::1/64 dev wg0')

    def _start(self):
        self.child = self.host.popen(
            ['env', 'LOG_LEVEL=error', 'WG_PROCESS_FOREGROUND=1',
             'wireguard-go', '-f', 'wg0'],
            stdout=self.log.file, stderr=self.log.file)
        # Its socket is there before it is known whether inotify is to be had.
        until(lambda: self.child.poll() is not None or self.host.run(
            'wg', 'show', 'wg0', ok=False).returncode == 0,
              'wireguard-go answers for wg0')
        ended = self.child.poll() is not None
        assert not ended or SHORT in self.log.text(), self.log.text()
        return not ended

    def conf(self, path, extra_interface='', extra_peer='', endpoint=None,
             allowed='10.66.0.0/24, fd00:66::/64'):
        """A wg-quick file as a provider ships it."""
        return hosts.keep(path, f'''# made by the partner's web page
[Interface]
PrivateKey = {self.a_private}
Address = 10.66.0.10/32, fd00:66::10/128
{extra_interface}

[Peer]
PublicKey = {self.public}
AllowedIPs = {allowed}
Endpoint = {endpoint or f'{self.address}:{self.port}'}
PersistentKeepalive = 1
{extra_peer}
''', 0o600)

    def close(self):
        hosts.stop(self.child)
        self.log.close()


class OpenConnectServer:
    """The corporation's: ocserv, pool 10.77.0.0/24, users a and b, of whom b
    is told of a name server, password secret."""

    def __init__(self, host, keys, directory, address='203.0.113.99'):
        self.host = host
        self.address = address
        self.dir = os.path.join(directory, 'ocserv')
        os.makedirs(self.dir)
        for user in 'ab':
            subprocess.run(['ocpasswd', '-c', f'{self.dir}/passwd', user],
                           input='secret\nsecret\n', text=True, check=True,
                           capture_output=True)
        os.makedirs(f'{self.dir}/users')
        hosts.keep(f'{self.dir}/users/b', 'dns = 10.77.0.1\n')
        conf = hosts.keep(f'{self.dir}/conf', f'''
auth = "plain[passwd={self.dir}/passwd]"
tcp-port = 443
udp-port = 443
run-as-user = root
run-as-group = root
socket-file = {self.dir}/socket
server-cert = {keys.path('server.crt')}
server-key = {keys.path('server.key')}
isolate-workers = false
max-clients = 16
max-same-clients = 0
device = oc
ipv4-network = 10.77.0.0
ipv4-netmask = 255.255.255.0
predictable-ips = true
config-per-user = {self.dir}/users
route = 10.77.0.0/255.255.255.0
cisco-client-compat = true
use-occtl = false
log-level = 2
rekey-time = 172800
auth-timeout = 40
keepalive = 30
dpd = 10
try-mtu-discovery = false
''')
        self.log = Log(f'{self.dir}/log')
        self.child = host.popen(['ocserv', '-f', '-c', conf],
                                stdout=self.log.file, stderr=self.log.file)
        der = subprocess.run(
            ['openssl', 'x509', '-in', keys.path('server.crt'), '-noout',
             '-pubkey'], capture_output=True, check=True).stdout
        pub = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'DER'],
                             input=der, capture_output=True, check=True).stdout
        digest = subprocess.run(['openssl', 'dgst', '-sha256', '-binary'],
                                input=pub, capture_output=True,
                                check=True).stdout
        self.pin = subprocess.run(['base64'], input=digest, capture_output=True,
                                  check=True).stdout.decode().strip()
        until(lambda: 'listening' in self.log.text() or
              self.child.poll() is not None, 'ocserv listens')
        assert self.child.poll() is None, self.log.text()

    def command(self, script, interface='tun7', address=None):
        """A command line that connects Server A, for `command =`. Its
        password is not a secret; @script is the vpnc-script."""
        return (f"sh -c 'echo secret | exec openconnect --non-inter "
                f"--passwd-on-stdin -u a --interface {interface} --script "
                f"{script} --servercert pin-sha256:{self.pin} "
                f"https://{address or self.address}/'")

    def close(self):
        hosts.stop(self.child)
        self.log.close()
