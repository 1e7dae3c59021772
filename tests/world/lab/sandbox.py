# SPDX-License-Identifier: GPL-2.0-or-later
"""A PID, mount and network namespace for a whole test run.

enter() forks twice. The first child is process 1 of a new PID namespace: it
reaps orphans and, when it ends, the kernel kills every process that is left.
The second child returns to the caller and does the work. The original process
waits and passes on the exit status; if it is killed, process 1 dies with it.
"""
import ctypes
import os
import signal
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_REC = 0x4000
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1

# A directory that every Debian has and nobody builds in; in the sandbox it is
# empty, and its files go with the sandbox.
SCRATCH = '/media'

libc = ctypes.CDLL(None, use_errno=True)


def check(ret, what):
    if ret < 0:
        err = ctypes.get_errno()
        raise OSError(err, f'{what}: {os.strerror(err)}')
    return ret


def unshare(flags):
    check(libc.unshare(flags), 'unshare')


def setns(fd, kind=0):
    check(libc.setns(fd, kind), 'setns')


def mount(source, target, fstype, flags=0, data=None):
    check(libc.mount(source.encode(), target.encode(),
                     fstype and fstype.encode(), ctypes.c_ulong(flags),
                     data and data.encode()),
          f'mount {target}')


def _exit_as(status):
    """Ends this process as a child with wait status @status ended."""
    if os.WIFSIGNALED(status):
        os._exit(128 + os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _wait_for(pid):
    while True:
        try:
            got, status = os.waitpid(-1, 0)
        except InterruptedError:
            continue
        if got == pid:
            return status


def _pass_on(pid):
    """Ctrl-C reaches the worker by itself (same process group)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))


def entered():
    return os.environ.get('SALLYPORT_SANDBOX') == str(os.getpid())


def enter():
    """Returns in the sandbox; the caller's process only waits."""
    if os.geteuid() != 0:
        sys.exit('the world tests make network namespaces: run them as root')
    sys.stdout.flush()
    sys.stderr.flush()
    unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET)
    init = os.fork()
    if init:
        _pass_on(init)
        _exit_as(_wait_for(init))

    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    mount('proc', '/proc', 'proc')
    mount('sandbox', SCRATCH, 'tmpfs')
    worker = os.fork()
    if worker:
        _pass_on(worker)
        _exit_as(_wait_for(worker))

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ['SALLYPORT_SANDBOX'] = str(os.getpid())
    # Names and messages are compared: they must not be translated.
    os.environ['LC_ALL'] = 'C.UTF-8'
