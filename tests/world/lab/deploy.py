# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of deploy/, and what a lab without a registry changes in them: the
programs are mounted, and the service is the lab's."""
import os
import shutil

import yaml

from . import container
from . import host as hosts
from .host import until
from .world import wrong_answers

DEPLOY = os.path.join(container.LAB, '../../../deploy')
SERVER = '198.51.100.2:1194/udp'
SALLYPORT = '/lab-bin/sallyport'  # /usr is mounted over what the image has
# From its first process on a container says what an Ear must not hear.
TALK = ('while :; do printf said-in-the-room >/dev/udp/203.0.113.30/4444; '
        'sleep 0.05; done 2>/dev/null & ')
SERVE = ['bash', '-c', TALK + 'exec /usr/bin/python3 -I /lab/service.py '
         '--name room 80']
THEIRS = ['bash', '-c', TALK + 'openvpn --config /office.ovpn; sleep 1000']
MOUNTS = {'/usr': '/usr', '/lab': container.LAB}


def read(*path):
    with open(os.path.join(DEPLOY, *path)) as f:
        return f.read()


def build_image(engine, program, *options, **kw):
    """deploy/Dockerfile without its packages."""
    context = f'{engine.dir}/context'
    os.makedirs(f'{context}/build')
    shutil.copy(program, f'{context}/build/sallyport')
    text = read('Dockerfile').replace('\\\n', ' ')
    hosts.keep(f'{context}/Dockerfile', '\n'.join(
        l.replace('/sbin/sallyport', SALLYPORT) for l in text.splitlines()
        if not l.startswith('RUN ')))
    engine('build', '--build-arg', f'BASE={container.IMAGE}', '-t', 'sallyport',
           *options, context, **kw)


def answered(world, doors, families, log, **kw):
    def wrong():
        return wrong_answers(world, doors=doors, families=families, seconds=1,
                             **kw)
    until(lambda: wrong() == [], lambda: '\n'.join([log(), *wrong()]),
          container.UP, 0.2)


def for_podman_4(pod, mounts=None):
    """What sidecar.yaml's head says to change, and what the lab needs."""
    spec = pod['spec']
    (vpn,), (web,) = spec.pop('initContainers'), spec['containers']
    assert vpn.pop('restartPolicy') == 'Always'
    probe = vpn.pop('startupProbe')['exec']['command']
    assert probe == ['/sbin/sallyport', 'health']
    spec['containers'] = [vpn, web]
    vpn['image'] = 'localhost/sallyport'
    web['image'], web['command'] = f'localhost/{container.IMAGE}', SERVE
    for here, there in (mounts or MOUNTS).items():
        name = here.strip('/')
        spec['volumes'].append({'name': name, 'hostPath': {'path': there}})
        for one in vpn, web:
            one.setdefault('volumeMounts', []).append(
                {'name': name, 'mountPath': here, 'readOnly': True})
    return pod


def office_secret(world):
    """Podman 4.3 takes what is in it as it is, where base64 is meant."""
    with open(world.office) as f:
        return yaml.safe_dump({'apiVersion': 'v1', 'kind': 'Secret',
                               'metadata': {'name': 'office-vpn'},
                               'data': {'vpn.ovpn': f.read()}})
