# SPDX-License-Identifier: GPL-2.0-or-later
"""The program under test, as a user of a host has it."""
import json
import os
import select
import signal
import socket
import subprocess
import time

from . import host as hosts
from . import world as worlds
from .host import PATIENCE, TimedOut, Within, until
from .vpn import Log

READY = PATIENCE  # seconds until every door answers


class NotifySocket:
    """What systemd would listen on."""

    def __init__(self, path):
        self.path = path
        if os.path.exists(path):
            os.unlink(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.said = []

    def wait(self, word, child, seconds, log):
        end = time.monotonic() + seconds
        p = select.poll()
        p.register(self.socket, select.POLLIN)
        while not any(word in s.split('\n') for s in self.said):
            if p.poll(50):
                self.said.append(self.socket.recv(4096).decode())
            elif child.poll() is not None:
                raise AssertionError(f'sallyport ended: exit '
                                     f'{child.returncode}\n{log.text()}')
            elif time.monotonic() > end:
                raise TimedOut(f'no {word} within {seconds} s\n{log.text()}')

    def close(self):
        self.socket.close()
        os.unlink(self.path)


class Sallyport:
    """The program on one host of a world."""

    def __init__(self, program, world, host=None):
        self.program = program
        self.world = world
        self.host = host or world.servera
        self.count = 0

    def __call__(self, *argv, ok=False, timeout=PATIENCE, env=None, input=None):
        return self.host.run(self.program, *argv, ok=ok, timeout=timeout,
                             env=env, input=input)

    def after(self, name, line):
        """The same behind a line of sh(1); @name: of the file in between."""
        path = hosts.keep(f'{self.world.dir}/{name}',
                          f'#!/bin/sh\n{line}\nexec {self.program} "$@"\n', 0o755)
        return Sallyport(path, self.world, self.host)

    def preloaded(self, name, source):
        """The same with functions of its library's in C, which stand for a kernel's refusals."""
        path, library = f'{self.world.dir}/{name}.c', f'{self.world.dir}/{name}.so'
        hosts.keep(path, source)
        subprocess.run(['cc', '-shared', '-fPIC', '-o', library, path], check=True)
        return self.after(name, f'export LD_PRELOAD={library}')

    def write(self, name, text):
        path = self.host.path(f'/etc/sallyport/{name}.conf')
        hosts.keep(path, text)
        return f'/etc/sallyport/{name}.conf'

    def _log(self):
        self.count += 1
        return Log(os.path.join(self.world.dir,
                                f'sallyport-{id(self)}-{self.count}.log'))

    def up(self, name, text=None, ready=True, seconds=READY):
        """`sallyport up NAME`; returns when every door answers."""
        if text is not None:
            self.write(name, text)
        gate = Gate(self, name, ['up', name])
        if ready:
            gate.wait_ready(seconds)
        return gate

    def run(self, *argv, name='main', command=None, ready=True, **kw):
        """`sallyport run ... -- the service on 80`; returns when it says that
        it is ready."""
        command = command or worlds.service_argv('room', 80)
        gate = Gate(self, name, ['run', '--name', name, *argv, '--', *command],
                    stdout=subprocess.PIPE, **kw)
        if ready:
            line = gate.child.stdout.readline()
            assert line == 'ready\n', f'{line}{gate.log.text()}'
        return gate

    def status(self, name=None):
        done = self('status', *([name] if name else []), '--json', ok=True)
        return json.loads(done.stdout)


class Gate:
    """A running supervisor. Leaving the `with` ends it and its namespaces."""

    def __init__(self, tool, name, argv, **kw):
        self.tool = tool
        self.host = tool.host
        self.name = name
        self.log = tool._log()
        self.notify = NotifySocket(f'{tool.world.dir}/notify-{tool.count}')
        env = dict(os.environ, NOTIFY_SOCKET=self.notify.path)
        self.child = self.host.popen([tool.program, *argv], env=env,
                                     stderr=self.log.file, **kw)
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait_ready(self, seconds=READY):
        self.notify.wait('READY=1', self.child, seconds, self.log)

    def wait_log(self, *words, seconds=PATIENCE, since=0):
        return self.log.wait(*words, seconds=seconds, since=since)

    def wait_idle(self):
        """Until only an event can wake it: the last argument of epoll_wait(2).
        Where others have used up inotify it has to look at a clock."""
        def idle():
            with open(f'/proc/{self.child.pid}/syscall') as f:
                words = f.read().split()
            return len(words) > 4 and int(words[4], 16) & 0xffffffff == 0xffffffff
        until(lambda: idle() or 'max_user_instances' in self.log.text(),
              lambda: 'it waits without a limit\n' + self.log.text())

    def status(self):
        gates = self.tool.status(self.name)['gates']
        return gates[0] if gates else None

    def door(self, name):
        """Its entry in status, once a busy supervisor answers."""
        return until(lambda: next((d for d in self.status().get('doors', ())
                                   if d['name'] == name), None),
                     lambda: f'door {name} is listed\n{self.log.text()}', pause=0.05)

    def wait_door(self, name, state='up', seconds=PATIENCE):
        """The door's entry in status once it has @state."""
        return until(lambda: (lambda d: d if d['state'] == state else None)(
            self.door(name)),
            lambda: f'door {name} is {state}\n{self.log.text()}',
            seconds, 0.05)

    @property
    def inner(self):
        """The gate's namespace, opened anew: use with `with`."""
        return Within(self.host, f'{self.name}.gate')

    def room(self, room=None):
        return Within(self.host, self.name + (f'.{room}' if room else ''))

    def address(self, room='', family=4):
        for r in self.status()['rooms']:
            if r['name'] == room:
                return r[f'address{family}']
        raise KeyError(room)

    def exec(self, *argv, room=None, **kw):
        return self.tool('exec', self.name + (f'.{room}' if room else ''),
                         '--', *argv, **kw)

    def serve(self, name, *ports, room=None):
        """Starts the service in a room; it lives as long as the gate."""
        child = self.host.popen(
            [self.tool.program, 'exec',
             self.name + (f'.{room}' if room else ''), '--',
             *worlds.service_argv(name, *ports)],
            stdout=subprocess.PIPE, stderr=self.log.file)
        line = child.stdout.readline()
        assert line == 'ready\n', f'{line}{self.log.text()}'
        self.children.append(child)
        return child

    def vpn_pid(self, program='openvpn'):
        """The VPN client's process: a descendant of ours by that name."""
        for pid in _descendants(self.child.pid):
            try:
                with open(f'/proc/{pid}/comm') as f:
                    if f.read().strip() == program:
                        return pid
            except OSError:
                continue
        return None

    def zombies(self):
        """Children that ended and that nobody waited for."""
        found = []
        for pid in _children(self.child.pid):
            with open(f'/proc/{pid}/stat') as f:
                if f.read().rsplit(')', 1)[1].split()[0] == 'Z':
                    found.append(pid)
        return found

    def ended(self):
        """Waits for its end; its exit status."""
        return self.child.wait(PATIENCE)

    def kill9(self):
        """The supervisor alone, as the kernel's OOM killer would."""
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def stop(self, sig=signal.SIGTERM, seconds=PATIENCE):
        return hosts.stop(self.child, sig, seconds)

    def down(self, **kw):
        return self.tool('down', self.name, **kw)

    def close(self):
        for child in self.children:
            hosts.stop(child, signal.SIGKILL)
        self.children = []
        self.stop()
        if os.path.exists(self.host.path(f'/run/netns/{self.name}.gate')):
            self.down()
        self.notify.close()
        self.log.close()


def _children(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children') as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def _descendants(pid):
    found = []
    for child in _children(pid):
        found += [child, *_descendants(child)]
    return found
