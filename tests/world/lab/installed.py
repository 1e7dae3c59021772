# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine on which `make install` was called, and container engines that its
systemd starts by their own units."""
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
[Service]
ExecStartPre=/bin/sh -c 'for d in /sys/fs/cgroup/*/; do mount -o remount,rw,bind $d; done'
'''


class Installed(Machine):
    FLAGS = '--system-call-filter=add_key keyctl bpf',

    def _lay(self, program):
        super()._lay(program)
        subprocess.run(['meson', 'install', '--no-rebuild', '-C', BUILD,
                        '--destdir', self.tree], check=True,
                       capture_output=True)
        shutil.copy(program, self.tree + self.program)
        shutil.copytree(container.LAB, self.tree + '/lab')


class Docker(container.Engine):
    """docker(1) in a machine, whose dockerd is systemd's."""

    lab = '/lab'
    FILES = {
        '/etc/default/docker': 'DOCKER_OPTS="--storage-driver vfs '
                               '--ip6tables=false"\n',
        '/etc/systemd/system/containerd.service.d/lab.conf': WRITABLE,
    }

    def __init__(self, machine):
        super().__init__(machine, f'{machine.dir}/docker')
        self.argv = ('docker',)
        until(lambda: self('version', ok=False).returncode == 0,
              lambda: machine.journal('docker'), container.UP, 0.1)
        container.image_tar(f'{machine.tree}/var/image.tar')
        self('import', '-c', 'ENV PATH=/usr/sbin:/usr/bin', '/var/image.tar',
             container.IMAGE)
