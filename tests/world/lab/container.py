# SPDX-License-Identifier: GPL-2.0-or-later
"""Real container engines on a host, and a deployment as people write it.

No registry is needed: the image is a few directories, and the programs of the
machine are mounted into each container, read-only.
"""
import io
import json
import os
import shutil
import signal
import tarfile
import tempfile

from . import host as hosts
from . import sandbox
from . import world as worlds
from .host import until

UP = 60.0  # seconds: only an engine that hangs is too slow
IMAGE = 'lab'
LINKS = {'bin': 'usr/bin', 'sbin': 'usr/sbin', 'lib': 'usr/lib',
         'lib64': 'usr/lib64', 'var/run': '../run'}
LAB = os.path.dirname(os.path.abspath(__file__))


def image_tar(path):
    """A root without programs: /usr is mounted into it."""
    with tarfile.open(path, 'w') as tar:
        for name in ('usr', 'etc', 'etc/ssl', 'tmp', 'run', 'var',
                     'proc', 'sys', 'dev', 'lab'):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, target in LINKS.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for name, text in (('etc/passwd', 'root:x:0:0::/:/bin/sh\n'),
                           ('etc/group', 'root:x:0:\n')):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


class Engine:
    """What docker(1) and podman(1) have in common."""

    lab = LAB  # as the engine's user sees it

    def __init__(self, host, directory):
        self.host = host
        self.dir = directory
        os.makedirs(directory, exist_ok=True)

    def __call__(self, *argv, ok=True, timeout=UP, **kw):
        return self.host.run(*self.argv, *argv, ok=ok, timeout=timeout, **kw)

    def make_image(self):
        self('import', '-c', 'ENV PATH=/usr/sbin:/usr/bin',
             image_tar(f'{self.dir}/image.tar'), IMAGE)

    def run(self, name, *argv, options=(), networks=()):
        """Starts a container on its first network and on @networks besides,
        each as the words of `network connect`. The lab is in it."""
        self('create', '--name', name, '-v', '/usr:/usr:ro',
             '-v', f'{self.lab}:/lab:ro', *options, IMAGE, *argv)
        for words in networks:
            self('network', 'connect', *words, name)
        self('start', name)
        return name

    def service(self, name, *ports, options=(), by='room'):
        self.run(name, '/usr/bin/python3', '-I', '/lab/service.py', '--name',
                 by, *map(str, ports), options=options)
        until(lambda: 'ready' in self('logs', name).stdout,
              lambda: f'{name}: {self("logs", name).stderr}', UP, 0.05)
        return name

    def vpn(self, name, profile, options=(), wait=True, networks=()):
        """The container of somebody else's image: OpenVPN, and a first process
        that does not mind when it dies."""
        self.run(name, 'sh', '-c', 'openvpn --config /office.ovpn; sleep 1000',
                 networks=networks, options=[
            '--cap-add', 'NET_ADMIN', '--device', '/dev/net/tun',
            '--sysctl', 'net.ipv6.conf.default.disable_ipv6=0',
            '-v', f'{profile}:/office.ovpn:ro', *options])
        if wait:
            self.wait_vpn(name)
        return name

    def wait_vpn(self, name):
        until(lambda: any(w in self('logs', name).stdout for w in
                          ('Initialization Sequence Completed', 'Exiting due')),
              lambda: f'{name}: {self("logs", name).stdout}', UP, 0.05)
        assert 'Exiting due' not in self('logs', name).stdout, \
            self('logs', name).stdout

    def kill_vpn(self, name):
        """The client alone, as the kernel's OOM killer would."""
        for line in self('top', name, '-o', 'pid,comm').stdout.splitlines():
            if line.split()[1] == 'openvpn':
                os.kill(int(line.split()[0]), signal.SIGKILL)
        with self.inside(name) as inner:
            until(lambda: 'tun0' not in inner.run('ip', '-br', 'link').stdout,
                  'the tunnel is gone', UP)

    def inspect(self, name):
        return json.loads(self('inspect', name).stdout)[0]

    def pid(self, name):
        return self.inspect(name)['State']['Pid']

    def remove(self, *names):
        self('rm', '-f', *names, ok=False)

    def inside(self, name):
        """Its network namespace, for sockets and commands: use with `with`."""
        return Namespace(self.host, self.pid(name))


class Namespace(hosts.Within):
    def __init__(self, host, pid):
        self.host = host
        self.name = str(pid)
        self.fd = os.open(f'/proc/{pid}/ns/net', os.O_RDONLY)


class Docker(Engine):
    """dockerd(8) on a host, at its usual socket."""
    SOCKET = '/var/run/docker.sock'

    def __init__(self, host, directory, *flags):
        super().__init__(host, directory)
        self.flags = flags
        self.argv = ('docker',)
        self.start()
        self.make_image()

    def start(self):
        self.log = open(f'{self.dir}/log', 'a')
        self.child = self.host.popen(
            ['dockerd', '--data-root', f'{self.dir}/data', '--exec-root',
             f'{self.dir}/exec', '--pidfile', f'{self.dir}/pid',
             '--storage-driver', 'vfs', '--ipv6', '--fixed-cidr-v6',
             'fd00:17::/64', '--experimental', '--ip6tables', *self.flags],
            stdout=self.log, stderr=self.log)
        until(lambda: self.child.poll() is not None or
              self('version', ok=False).returncode == 0, 'dockerd answers', UP,
              0.1)
        assert self.child.poll() is None, open(f'{self.dir}/log').read()[-2000:]

    def stop(self):
        hosts.stop(self.child, seconds=UP)
        self.log.close()

    def close(self):
        names = self('ps', '-aq', ok=False).stdout.split()
        if names:
            self.remove(*names)
        self.stop()
        for family in ('iptables', 'ip6tables'):
            for table in ('filter', 'nat'):
                self.host.run(family, '-t', table, '-F', ok=False)
                self.host.run(family, '-t', table, '-X', ok=False)
            self.host.run(family, '-P', 'FORWARD', 'ACCEPT', ok=False)
        self.host.run('ip', 'link', 'del', 'docker0', ok=False)
        self.host.sysctl('net/ipv4/ip_forward', 0)
        self.host.sysctl('net/ipv6/conf/all/forwarding', 0)


class Podman(Engine):
    """podman(1) as root, and its service at its usual socket."""
    SOCKET = '/run/podman/podman.sock'

    def __init__(self, host, directory):
        super().__init__(host, directory)
        hosts.keep(host.path('/etc/containers/policy.json'),
                   '{"default":[{"type":"insecureAcceptAnything"}]}')
        self.argv = ('podman', '--root', f'{directory}/root', '--runroot',
                     f'{directory}/run', '--storage-driver', 'vfs',
                     '--cgroup-manager', 'cgroupfs', '--runtime', 'runc',
                     '--events-backend', 'file', '--tmpdir',
                     f'{directory}/tmp')
        self.make_image()
        os.makedirs(host.path('/run/podman'), exist_ok=True)
        self.log = open(f'{directory}/log', 'a')
        self.child = host.popen([*self.argv, 'system', 'service', '-t', '0',
                                 f'unix://{self.SOCKET}'], stdout=self.log,
                                stderr=self.log)
        until(lambda: os.path.exists(host.path(self.SOCKET)),
              'podman answers', UP)

    def close(self):
        self('rm', '-f', '-t', '0', '-a', ok=False)
        hosts.stop(self.child, seconds=UP)
        self.log.close()
        for table in ('filter', 'nat'):
            self.host.run('iptables', '-t', table, '-F', ok=False)
            self.host.run('iptables', '-t', table, '-X', ok=False)
        self.host.run('ip', 'link', 'del', 'cni-podman0', ok=False)
        self.host.run('ip', 'link', 'del', 'podman0', ok=False)
        self.host.sysctl('net/ipv4/ip_forward', 0)


class RootlessPodman(Engine):
    """podman(1) as a user who is not root, in a directory of that user's; what
    else the user must see is copied to it."""
    UID = 1000
    USER = 'alice'
    # Without a session of systemd's there is no cgroup that the user may write.
    FLAGS = ('--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs',
             '--runtime', 'runc', '--events-backend', 'file')

    def __init__(self, host, program):
        super().__init__(host, tempfile.mkdtemp(dir=sandbox.SCRATCH))
        self.lab = shutil.copytree(LAB, f'{self.dir}/lab')
        # Not where `kube play` would look for a Dockerfile of that image.
        os.mkdir(f'{self.dir}/bin')
        self.program = shutil.copy(program, f'{self.dir}/bin')
        runtime = f'/run/user/{self.UID}'
        os.makedirs(host.path(runtime), mode=0o700)
        for path in (self.dir, host.path(runtime)):
            os.chown(path, self.UID, self.UID)
        self._account()
        self.argv = (
            'setpriv', f'--reuid={self.UID}', f'--regid={self.UID}',
            '--clear-groups', '--inh-caps=-all', 'env', '-i',
            '--chdir', self.dir, 'LC_ALL=C.UTF-8', 'PATH=/usr/sbin:/usr/bin',
            f'HOME={self.dir}', f'XDG_RUNTIME_DIR={runtime}', 'podman',
            *self.FLAGS)
        self.make_image()

    def _account(self):
        for file, line in (
                ('passwd', f'{self.USER}:x:{self.UID}:{self.UID}::/:/bin/sh'),
                ('group', f'{self.USER}:x:{self.UID}:'),
                ('subuid', f'{self.USER}:100000:65536'),
                ('subgid', f'{self.USER}:100000:65536')):
            with open(self.host.path(f'/etc/{file}'), 'a') as f:
                f.write(line + '\n')
        os.makedirs(self.host.path('/etc/containers'), exist_ok=True)
        hosts.keep(self.host.path('/etc/containers/policy.json'),
                   '{"default":[{"type":"insecureAcceptAnything"}]}')

    def close(self):
        self('rm', '-f', '-t', '0', '-a', ok=False)
        self('system', 'migrate', ok=False)  # ends the process it keeps
        hosts.remove_tree(self.dir)


def with_runtime(directory, program, server, **config):
    """Flags of a Docker that knows `--runtime sallyport`, whose VPN server is
    @server; @config is what else its file says."""
    config['runtimes'] = {'sallyport': {'path': program, 'runtimeArgs': [
        'oci-runtime', '--require', '--server', server, '--']}}
    return '--config-file', hosts.keep(f'{directory}/daemon.json',
                                       json.dumps(config))


class Stays:
    """A verb of sallyport that stays, until the `with` ends."""

    def __init__(self, sallyport, *argv):
        self.log = sallyport._log()
        self.child = sallyport.host.popen(
            [sallyport.program, *self.VERB, *argv], stderr=self.log.file)
        self.wait(self.READY)

    def wait(self, *words, since=0):
        self.log.wait(*words, child=self.child, seconds=UP, since=since)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        hosts.stop(self.child)
        self.log.close()


class EngineWatch(Stays):
    VERB = ('watch',)
    READY = 'is listened to'


PORTS = ('-p', '80:80', '-p', '80:80/udp')


def deployment(engine, world, name='vpn', options=PORTS, networks=()):
    """The seed's: a VPN container that publishes port 80, and a service that
    joins its network namespace."""
    engine.vpn(name, world.office, options, networks=networks)
    engine.service('web', 80, options=('--network', f'container:{name}'))


def lan_lost(world, port=80):
    """The LAN's askers that get no answer: the negative control."""
    return worlds.wrong_answers(world, port, doors=(worlds.LAN,), seconds=0.7)
