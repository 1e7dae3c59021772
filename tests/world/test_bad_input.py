# SPDX-License-Identifier: GPL-2.0-or-later
"""One clear error with file:line:column or flag, and nothing changed."""
import os

import pytest

from lab import sandbox
from lab.state import difference, hoststate

OK = '[room]\npublish = 80\n'


@pytest.fixture(autouse=True)
def nothing_changes(world):
    before = hoststate(world.servera)
    yield
    assert difference(before, hoststate(world.servera)) == ''


@pytest.mark.parametrize('text, where, words', [
    ('[room]\npublihs = 80\n', '2:1', ['publihs', 'publish']),
    ('[room]\npublish = 80\npublish = 81\n', '3:1', ['publish']),
    ('[room]\npublish = 0\n', '2:11', ['0']),
    ('[room]\npublish = 65536\n', '2:11', ['65536']),
    ('[room]\npublish = 80:0\n', '2:11', [' 0 ']),
    ('[room]\npublish = 80:65536\n', '2:11', ['65536']),
    ('[room]\npublish = 80 443 80\n', '2:18', ['80']),
    ('[room]\npublish = 80/sctp\n', '2:', ['sctp']),
    ('[room]\npublish = eighty\n', '2:11', ['eighty']),
    ('[room a]\npublish = 80\n[room b]\npublish = 80\n', '4:', ['80']),
    ('[room]\nreach = 172.16.5.0/33\n', '2:9', ['172.16.5.0/33']),
    ('[room]\nreach = 172.16.5.999\n', '2:9', ['172.16.5.999']),
    ('[room]\ndefault = somewhere\n', '2:11', ['somewhere']),
    ('[room]\n[room]\n', '2:', ['room']),
    ('[roam]\n', '1:', ['roam']),
    ('publish = 80\n', '1:', []),
    ('[room', '1:', []),
    ('[door office]\n', '1:', ['office']),
    ('[door office]\nvpn = a\ncommand = b\n', '3:', []),
    ('[door a/b]\nvpn = x\n', '1:', ['a/b']),
    ('[door averyveryverylongname]\nvpn = x\n', '1:', ['averyveryverylongname']),
    ('[room]\npublish = 80\n[door lan]\npublish = 81\n', '4:', ['81']),
    ('[door lan]\nlisten = 1.2.3\n', '2:10', ['1.2.3']),
    ('[door lan]\nlistn = 172.16.5.10\n', '2:1', ['listn', 'listen']),
    ('[room]\n[door office]\nvpn = /etc\n', '3:7', ['/etc']),
    ('[room]\n[door office]\nvpn = /dev/null\n', '3:7', ['/dev/null']),
    ('[room a/b]\n', '1:', ['a/b']),
    ('[room averyveryverylongname]\n', '1:', ['averyveryverylongname']),
])
def test_configuration(sallyport, text, where, words):
    path = sallyport.write('wrong', text)
    done = sallyport('up', 'wrong')
    os.unlink(sallyport.host.path(path))
    assert done.returncode == 2, done.stderr
    assert f'{path}:{where}' in done.stderr
    assert all(w in done.stderr for w in words)
    assert len(done.stderr.strip().splitlines()) <= 2


def test_a_vpn_file_that_is_not_there(sallyport):
    path = sallyport.write('wrong', '[room]\n[door office]\nvpn = /nowhere.ovpn\n')
    done = sallyport('up', 'wrong')
    os.unlink(sallyport.host.path(path))
    assert done.returncode == 1
    assert f'{path}:3:7: ' in done.stderr and '/nowhere.ovpn' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('argv, words', [
    (['run', '-p', '99999', '--', 'true'], ['-p', '99999']),
    (['run', '-p', '80', '-p', '80', '--', 'true'], ['80']),
    (['run', '--name', 'a/b', '--', 'true'], ['a/b']),
    (['run', '--name', 'muchtoolongname', '--', 'true'], ['muchtoolongname']),
    (['run', '--vpn', '/nowhere.ovpn', '--', 'true'], ['/nowhere.ovpn']),
    (['run', '--nonsense', '--', 'true'], ['nonsense']),
    (['run'], ['command']),
    (['up'], []), (['down'], []), (['exec'], []), (['frobnicate'], []),
    (['up', 'nosuchgate'], ['nosuchgate']),
    (['up', '../../etc/passwd'], []),
    (['run', '--vpn', '/etc', '--', 'true'], ['/etc']),
    (['run', '-p', '80:65536', '--', 'true'], ['-p', '80:65536']),
    (['run', '-p', '80/sctp', '--', 'true'], ['-p', 'sctp']),
    (['run', '--name', '', '--', 'true'], ['--name']),
])
def test_flags(sallyport, argv, words):
    done = sallyport(*argv)
    assert done.returncode in (1, 2)
    assert done.stderr and all(w in done.stderr for w in words), done.stderr
    lines = [l for l in done.stderr.splitlines() if not l.startswith(('usage: ', '       '))]
    assert len(lines) <= 2, done.stderr


def test_a_vpn_file_that_only_others_may_read(world, sallyport):
    """As on NFS, where root may be nobody."""
    path = vpn_file(world, 'client\nremote 198.51.100.2 1194\n')
    os.chmod(path, 0)
    done = world.servera.run(
        'setpriv', '--bounding-set=-dac_override,-dac_read_search',
        '--inh-caps=-dac_override,-dac_read_search', sallyport.program, 'run', '--vpn', path,
        '--', 'true', ok=False)
    assert done.returncode in (1, 2) and 'bad.ovpn' in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_configuration_that_is_a_directory(sallyport):
    os.mkdir(sallyport.host.path('/etc/sallyport/dir.conf'))
    done = sallyport('up', 'dir')
    os.rmdir(sallyport.host.path('/etc/sallyport/dir.conf'))
    assert done.returncode in (1, 2) and 'dir.conf' in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def vpn_file(world, text):
    path = f'{world.dir}/bad.ovpn'
    with open(path, 'w') as f:
        f.write(text)
    return path


@pytest.mark.parametrize('extra, words', [
    ('auth-user-pass\n', ['auth-user-pass']),
    ('askpass\n', ['askpass']),
    ('dev tap\n', ['tap']),
])
def test_an_ovpn_that_asks_or_is_no_tun(world, sallyport, extra, words):
    path = vpn_file(world, 'client\nremote 198.51.100.2 1194\n' + extra)
    done = sallyport('run', '--vpn', path, '--', 'true')
    assert done.returncode == 2
    assert 'bad.ovpn:3' in done.stderr and all(w in done.stderr for w in words)


def test_a_file_that_is_no_vpns(world, sallyport):
    path = vpn_file(world, 'once upon a time\n')
    done = sallyport('run', '--vpn', path, '--', 'true')
    assert done.returncode == 2 and 'bad.ovpn' in done.stderr


@pytest.mark.parametrize('mode, owner, group, env, cure', [
    (0o644, 0, 0, {}, None), (0o600, 1, 0, {'SUDO_UID': '1'}, None), (0o664, 0, 0, {}, None),
    (0o646, 0, 0, {}, 'chmod go-w'), (0o664, 0, 1, {}, 'chmod go-w'),
    (0o600, 1, 0, {}, 'chown root'), (0o600, 1, 0, {'SUDO_UID': '2'}, 'chown root')])
def test_a_file_that_others_may_write_is_told(world, sallyport, mode, owner, group, env, cure):
    """Whoever may, is root when the gate starts."""
    vpn = f'{world.dir}/shared.ovpn'
    with open(world.office) as f, open(vpn, 'w') as to:
        to.write(f.read())
    conf = sallyport.write('shared', f'[room]\npublish = 80\n[door office]\nvpn = {vpn}\n')
    for path in vpn, sallyport.host.path(conf):
        os.chown(path, owner, group)
        os.chmod(path, mode)
    env = {**{k: v for k, v in os.environ.items() if k != 'SUDO_UID'}, **env}
    done = sallyport('up', 'shared', '--dry-run', env=env, ok=True)
    ran = sallyport('run', '--dry-run', '--vpn', vpn, '--', 'true', env=env, ok=True)
    os.unlink(vpn)
    os.unlink(sallyport.host.path(conf))
    for said, paths in (done.stderr, (conf, vpn)), (ran.stderr, (vpn,)):
        told = [l for l in said.splitlines() if 'as root' in l]
        assert len(told) == (len(paths) if cure else 0), said
        assert all(any(f'(try: {cure} {p})' in l for l in told) for p in paths if cure), said


def test_not_root(world, sallyport):
    done = world.servera.run('setpriv', '--reuid', '65534', '--clear-groups',
                             '--inh-caps=-all', sallyport.program, 'run', '--',
                             'true', ok=False)
    assert done.returncode == 1 and 'root' in done.stderr


@pytest.mark.parametrize('confined, lacks', [
    (['--bounding-set=-all', '--inh-caps=-all'], 'CAP_SYS_ADMIN'),
    (['--bounding-set=-net_admin'], 'CAP_NET_ADMIN'),
    (['--reuid', '65534', '--clear-groups', 'unshare', '-r'], 'CAP_SYS_ADMIN')])
@pytest.mark.parametrize('argv', [['run', '--', 'true'], ['down', 'main']])
def test_a_root_that_is_confined(world, sallyport, confined, lacks, argv):
    done = world.servera.run('setpriv', *confined, sallyport.program, *argv, ok=False)
    assert done.returncode == 1 and lacks in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_dev_net_tun(world, sallyport):
    done = world.servera.run(
        'unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec '
        f'{sallyport.program} run --name notun --vpn {world.office} -- true',
        ok=False)
    assert done.returncode == 1 and '/dev/net/tun' in done.stderr


def test_a_client_that_is_not_installed(world, sallyport):
    path = world.servera.out('sh', '-c', 'command -v openvpn').strip()
    done = world.servera.run(
        'unshare', '-m', 'sh', '-c', f'mount --bind /dev/null {path} && exec '
        f'{sallyport.program} run --name noclient --vpn {world.office} -- true',
        ok=False)
    assert done.returncode == 1
    assert 'openvpn is not installed' in done.stderr, done.stderr
    assert 'apt-get install openvpn' in done.stderr


@pytest.mark.parametrize('argv', [
    ['run', '--help'], ['up', '-h'], ['down', '--help'], ['exec', '--help'],
    ['status', '-h'], ['help', 'guard'], ['--help'], ['help']])
def test_who_asks_how_is_told(sallyport, argv):
    done = sallyport(*argv)
    verb = argv[-1] if argv[0] == 'help' else argv[0]
    assert done.returncode == 0 and not done.stderr
    assert 'usage: ' in done.stdout or '  sallyport run' in done.stdout
    assert verb.startswith(('-', 'help')) or f'sallyport {verb} ' in done.stdout


def test_a_namespace_of_that_name_that_is_not_ours(world, sallyport):
    world.servera.run('ip', 'netns', 'add', 'mine')
    try:
        held = hoststate(world.servera)
        done = sallyport('run', '--name', 'mine', '--', 'true')
        assert done.returncode == 1 and 'mine' in done.stderr
        down = sallyport('down', 'mine')
        assert down.returncode == 1
        assert difference(held, hoststate(world.servera)) == ''
    finally:
        world.servera.run('ip', 'netns', 'del', 'mine')


def test_a_link_of_that_name_that_is_not_ours(world, sallyport):
    world.servera.ip('link add sp-mine type veth peer name sp-mine2')
    try:
        held = hoststate(world.servera)
        done = sallyport('run', '--name', 'mine', '--', 'true')
        assert done.returncode == 1 and 'sp-mine' in done.stderr
        assert sallyport('down', 'mine').returncode == 1
        assert difference(held, hoststate(world.servera)) == ''
    finally:
        world.servera.ip('link del sp-mine')


def test_a_port_that_the_host_itself_listens_on(world, sallyport):
    child = world.serve(world.servera, 'host', 8123)
    done = sallyport('run', '-p', '8123:80', '--', 'true')
    child.kill()
    child.wait()
    assert done.returncode == 1 and '8123' in done.stderr


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_a_port_that_another_gate_publishes(sallyport, proto):
    """Which nobody sees among the listening ones."""
    with sallyport.up('first', f'[room]\npublish = 8123:80/{proto}\n'):
        done = sallyport('run', '-p', f'8123:80/{proto}', '--', 'true')
    assert done.returncode == 1
    assert f'port 8123/{proto}' in done.stderr and 'by gate "first"' in done.stderr, done.stderr


def test_the_tests_are_in_their_sandbox():
    assert sandbox.entered()
