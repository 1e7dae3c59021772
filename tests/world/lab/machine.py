# SPDX-License-Identifier: GPL-2.0-or-later
"""A host of the world with systemd as its first process, by systemd-nspawn.

Its network is that of the Host it is given, its files are this machine's,
read-only, with what it writes laid over them: /etc has no units of its own but
those that the test gives it.
"""
import contextlib
import os
import shutil
import signal
import subprocess

from . import sandbox
from .host import PATIENCE, Failed, until

# What a machine of a test has no use for.
MASKED = ('getty.target', 'systemd-logind.service', 'console-getty.service',
          'systemd-udevd.service', 'systemd-udev-trigger.service',
          'systemd-tmpfiles-clean.timer', 'apt-daily.timer', 'fstrim.timer',
          'e2scrub_all.timer', 'systemd-networkd-wait-online.service',
          'systemd-network-generator.service', 'ldconfig.service',
          'systemd-hwdb-update.service', 'systemd-journal-catalog-update.service',
          'systemd-firstboot.service', 'dpkg-db-backup.timer',
          'systemd-update-done.service', 'systemd-resolved.service',
          # Nothing here needs them, and many mounts at once make systemd wait.
          'sys-kernel-config.mount', 'sys-kernel-debug.mount',
          'sys-kernel-tracing.mount', 'sys-fs-fuse-connections.mount',
          'dev-hugepages.mount', 'dev-mqueue.mount')

# Programs that tools/install-deps has laid here.
BESIDE = '/var/lib/sallyport-tests'


class Machine:
    """Boots when it is made; close() ends it and its files are gone. Of @files a
    text, or a text and its mode, for each path."""

    FLAGS = ()  # of systemd-nspawn(1), besides

    def __init__(self, host, directory, program, files=None, links=None,
                 enable=(), packages=()):
        self.host = host
        self.name = host.name
        self.fd = host.fd
        self.dir = os.path.join(directory, f'machine-{id(self)}')
        self.tree = f'{self.dir}/tree'
        self.program = '/usr/local/sbin/sallyport'
        self.child = self.leader = None
        self._lay(program, packages)
        for path, text in (files or {}).items():
            self.write(path, *([text] if isinstance(text, str) else text))
        for path, target in (links or {}).items():
            self.link(path, target)
        for unit in enable:
            self.enable(unit)
        self.boot()

    def _lay(self, program, packages):
        for name in ('upper', 'work', 'tree'):
            os.makedirs(f'{self.dir}/{name}')
        for package in packages:
            shutil.copytree(f'{BESIDE}/{package}', f'{self.dir}/upper',
                            symlinks=True, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns('doc', 'man', 'locale'))
        sandbox.mount('overlay', self.tree, 'overlay', 0,
                      f'lowerdir=/,upperdir={self.dir}/upper,'
                      f'workdir={self.dir}/work')
        for path in ('/etc/systemd', '/etc/init.d', '/etc/network',
                     '/var/log/journal', '/etc/NetworkManager'):
            shutil.rmtree(self.tree + path, ignore_errors=True)
        for path in ('/etc/resolv.conf', '/etc/machine-id', '/etc/fstab'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.tree + path)
        self.write('/etc/machine-id', '')
        self.write('/etc/hostname', self.name + '\n')
        self.write('/etc/systemd/journald.conf', '[Journal]\nStorage=volatile\n'
                   'RateLimitIntervalSec=0\n')
        for unit in MASKED:
            if os.path.splitext(unit)[0] in packages:
                continue
            self.link(f'/etc/systemd/system/{unit}', '/dev/null')
        if packages:  # their users
            subprocess.run(['systemd-sysusers', '--root', self.tree], check=True,
                           capture_output=True)
        os.makedirs(self.tree + '/usr/local/sbin', exist_ok=True)
        shutil.copy(program, self.tree + self.program)

    # Before and while it runs --------------------------------------------

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.tree + path), exist_ok=True)
        with open(self.tree + path, 'w') as f:
            f.write(text)
        os.chmod(self.tree + path, mode)

    def read(self, path):
        with open(self.tree + path) as f:
            return f.read()

    def link(self, path, target):
        os.makedirs(os.path.dirname(self.tree + path), exist_ok=True)
        os.symlink(target, self.tree + path)

    def enable(self, unit):
        subprocess.run(['systemctl', '-q', '--root', self.tree, 'enable', unit],
                       check=True)

    def boot(self):
        until(self._boots, self.console, PATIENCE, 0.5)
        return self

    def _boots(self):
        """Not when other machines and worlds have, for a moment, what a user
        may have of inotify(7)."""
        since = self._start()
        until(lambda: self.child.poll() is not None or self._is_up(),
              lambda: self.console() + self.run('systemctl', 'list-jobs',
                                                ok=False).stdout, PATIENCE, 0.05)
        if self.child.poll() is None:
            return True
        self.log.close()
        assert 'Too many open files' in self.console()[since:], self.console()
        return False

    def _start(self):
        """How much the console had said before."""
        self.log = open(f'{self.dir}/console', 'a')
        since = len(self.console())
        self.leader = None
        self.child = subprocess.Popen(
            ['systemd-nspawn', '-b', '-q', '-D', self.tree, '--register=no',
             '--keep-unit', f'--network-namespace-path={self.host.net}',
             '--resolv-conf=off', '--link-journal=no', '--console=passive',
             '--machine', self.name, '--bind=/dev/net/tun',
             '--capability=CAP_NET_ADMIN,CAP_NET_RAW', *self.FLAGS],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, 'SYSTEMD_NSPAWN_LOCK': '0',
                 'SYSTEMD_NSPAWN_API_VFS_WRITABLE': 'network'})
        return since

    def _is_up(self):
        self.leader = self.leader or self._leader()
        return self.leader and self.run(
            'systemctl', 'is-system-running', ok=False).stdout.strip() in (
                'running', 'degraded')

    def _leader(self):
        path = f'/proc/{self.child.pid}/task/{self.child.pid}/children'
        with contextlib.suppress(OSError):
            with open(path) as f:
                pids = f.read().split()
            for pid in pids:
                with open(f'/proc/{pid}/comm') as f:
                    if f.read() == 'systemd\n':
                        return int(pid)
        return None

    def console(self):
        with open(f'{self.dir}/console', errors='replace') as f:
            return f.read()

    # Commands ----------------------------------------------------------------

    def enter_argv(self, argv):
        return ['nsenter', '-t', str(self.leader), '-m', '-u', '-i', '-n', '-p',
                '-C', '--', *[str(a) for a in argv]]

    def popen(self, argv, **kw):
        kw.setdefault('stdin', subprocess.DEVNULL)
        kw.setdefault('text', True)
        return subprocess.Popen(self.enter_argv(argv), **kw)

    def run(self, *argv, ok=True, timeout=PATIENCE, input=None):
        done = subprocess.run(self.enter_argv(argv), text=True, input=input,
                              capture_output=True, timeout=timeout)
        if ok and done.returncode:
            raise Failed(self.name, [str(a) for a in argv], done)
        return done

    def out(self, *argv, **kw):
        return self.run(*argv, **kw).stdout

    def journal(self, unit):
        return self.out('journalctl', '--no-pager', '-o', 'cat', '-u', unit)

    def prop(self, unit, name):
        return self.out('systemctl', 'show', '-p', name, '--value', unit).strip()

    def is_active(self, unit):
        return self.run('systemctl', 'is-active', unit,
                        ok=False).stdout.strip() == 'active'

    def shut_down(self):
        """As poweroff does; kills what does not go."""
        if not self.child:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.leader or self.child.pid, signal.SIGRTMIN + 4)
        try:
            self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()
        self.child = None

    def close(self):
        self.shut_down()
        subprocess.run(['umount', '-l', self.tree], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
