# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine on which `make install` was called, and container engines whose
containers systemd starts. The world's directory and the lab are where they are
outside."""
import os
import shutil
import subprocess

from . import container
from .host import until
from .machine import Machine

BUILD = os.path.normpath(os.path.join(container.LAB, '../../../build'))
# The machine's control groups are its own; systemd-nspawn hands those of
# version 1 over for reading alone.
WRITABLE = '''
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'for d in /sys/fs/cgroup/*/; do mount -o remount,rw,bind $d; done'
[Install]
WantedBy=sysinit.target
'''


class Installed(Machine):
    def __init__(self, host, directory, program, files, enable=()):
        self.host_dir = directory
        self.FLAGS = ('--system-call-filter=add_key keyctl bpf',
                      f'--bind={directory}:{directory}:norbind',
                      f'--bind-ro={container.LAB}')
        files = {'/etc/systemd/system/cgroups.service': WRITABLE, **files}
        super().__init__(host, directory, program, files,
                         enable=['cgroups.service', *enable])

    def _lay(self, program, packages):
        super()._lay(program, packages)
        subprocess.run(['meson', 'install', '--no-rebuild', '-C', BUILD,
                        '--destdir', self.tree], check=True,
                       capture_output=True)
        shutil.copy(program, self.tree + self.program)


class Docker(container.Engine):
    """docker(1) in a machine, whose dockerd is systemd's."""

    FILES = {'/etc/default/docker':
             'DOCKER_OPTS="--storage-driver vfs --ip6tables=false"\n'}

    def __init__(self, machine):
        super().__init__(machine, f'{machine.host_dir}/docker')
        self.argv = ('docker',)
        until(lambda: self('version', ok=False).returncode == 0,
              lambda: machine.journal('docker'), container.UP, 0.1)
        self.make_image()


class Podman(container.Engine):
    """podman(1) in a machine, as root; whoever calls it needs no flags."""

    FILES = {
        '/etc/containers/policy.json':
            '{"default":[{"type":"insecureAcceptAnything"}]}',
        '/etc/containers/storage.conf':
            '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\n'
            'graphroot = "/var/lib/containers/storage"\n',
        '/etc/containers/containers.conf':
            '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\n'
            'events_logger = "file"\n',
    }

    def __init__(self, machine):
        super().__init__(machine, f'{machine.host_dir}/podman')
        self.argv = ('podman',)
        self.make_image()
