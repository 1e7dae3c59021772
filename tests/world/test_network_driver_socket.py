# SPDX-License-Identifier: GPL-2.0-or-later
"""`sallyport driver`: who talks to its socket, and how badly."""
import json
import os
import socket
import stat
import threading

import pytest

from lab import host as hosts
from lab.driver import Driver
from lab.host import PATIENCE, cpu_seconds, descriptors, until


@pytest.fixture(scope='module')
def driver(sallyport):
    with Driver(sallyport) as driver:
        yield driver


def connect(driver):
    s = socket.socket(socket.AF_UNIX)  # blocks while the queue is full
    s.connect(driver.host_path)
    s.settimeout(PATIENCE)
    return s


def request(path, body='{}'):
    body = body if isinstance(body, bytes) else body.encode()
    return (f'POST {path} HTTP/1.1\r\nHost: plugin\r\nContent-Length: '
            f'{len(body)}\r\n\r\n').encode() + body


def everything(s):
    data = b''
    while more := s.recv(65536):
        data += more
    return data.decode()


def say(driver, *pieces):
    with connect(driver) as s:
        for piece in pieces:
            s.sendall(piece)
        head, _, body = everything(s).partition('\r\n\r\n')
    return int(head.split()[1]), json.loads(body)


def works(driver):
    status, body = say(driver, request('/Plugin.Activate'))
    return status == 200 and body == {'Implements': ['NetworkDriver']}


def umask_of(pid):
    with open(f'/proc/{pid}/status') as f:
        return next(line for line in f if line.startswith('Umask:'))


def test_it_answers_and_is_for_root_alone(driver):
    assert works(driver)
    mode = os.stat(driver.host_path).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert umask_of(driver.child.pid) == umask_of('self')


def test_a_request_byte_by_byte_and_in_chunks(driver):
    text = request('/NetworkDriver.GetCapabilities')
    assert say(driver, *[text[i:i + 1] for i in range(len(text))])[1][
        'Scope'] == 'local'
    assert say(driver, b'POST /Plugin.Activate HTTP/1.1\r\nTransfer-Encoding: '
               b'chunked\r\n\r\n', b'2\r\n{}\r\n', b'0\r\n\r\n')[0] == 200


ID = 'a' * 64


@pytest.mark.parametrize('text, status, words', [
    (b'\0\1\2\3\n\n', 400, 'not a request in HTTP'),
    (b'GET\n\n', 400, 'no request line'),
    (b'POST ' + b'/' * 5000 + b' HTTP/1.1\r\n\r\n', 200, 'too long'),
    (b'X' * 70000, 400, 'too large'),
    (b'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', 400, 'Content-Length'),
    (b'POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n', 400,
     'Content-Length'),
    (request('/Nothing.Known'), 404, 'does not know /Nothing.Known'),
    (request('/NetworkDriver.Join', '[]'), 200, 'not a JSON object'),
    (request('/NetworkDriver.Join', b'\xff\xfe'), 200, 'not a JSON object'),
    (request('/NetworkDriver.Join', '{"NetworkID": "../../etc"}'), 200,
     'is no ID'),
    (request('/NetworkDriver.Join', json.dumps({'NetworkID': ID})), 200,
     'knows no network aaaaaaaaaaaa'),
    (request('/NetworkDriver.CreateEndpoint', json.dumps(
        {'NetworkID': ID, 'Interface': {'Address': 'here'}})), 200,
     'is no address'),
    (request('/NetworkDriver.CreateEndpoint', json.dumps(
        {'Options': {'com.docker.network.portmap': [{'Port': 70000}]}})), 200,
     'is no port'),
    (request('/NetworkDriver.DeleteNetwork'), 200, 'no NetworkID'),
], ids=[str(i) for i in range(14)])
def test_garbage_is_told_and_harms_nobody(driver, text, status, words):
    got, body = say(driver, text)
    assert words in body['Err']
    assert got in (status, 400)
    assert works(driver)


def test_what_docker_forgot_already_is_no_failure(driver):
    for method in ('Leave', 'DeleteEndpoint', 'DeleteNetwork'):
        assert say(driver, request(f'/NetworkDriver.{method}', json.dumps(
            {'NetworkID': ID, 'EndpointID': ID}))) == (200, {})


def test_the_slow_and_the_silent_are_in_nobodys_way(driver):
    """More than it keeps at a time are turned away; the others are told that
    they are late."""
    silent = [connect(driver) for _ in range(40)]
    silent[0].sendall(b'POST /Plugin.Activate HT')
    assert works(driver)
    assert all('did not come in time' in everything(s) for s in silent)
    assert works(driver)
    for s in silent:
        s.close()


def test_without_descriptors_the_engine_waits_and_nothing_spins(driver):
    pid = driver.child.pid
    with descriptors(pid, 3):
        caller = connect(driver)
        caller.sendall(request('/Plugin.Activate'))
        driver.wait('the engine has to wait: Too many open files')
        began = cpu_seconds(pid)
        caller.settimeout(2)
        with pytest.raises(TimeoutError):
            caller.recv(1)
        assert cpu_seconds(pid) - began < 0.2
    with caller:
        caller.settimeout(PATIENCE)
        assert '200 OK' in everything(caller)
    assert works(driver)


def test_many_at_once_and_those_who_hang_up(driver):
    def hang_up():
        for _ in range(50):
            with connect(driver) as s:
                s.sendall(request('/Plugin.Activate'))
    threads = [threading.Thread(target=hang_up) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    until(lambda: works(driver), 'it works')


def test_a_second_driver_is_refused(sallyport, driver):
    done = sallyport('driver')
    assert done.returncode == 1
    assert f'{Driver.SOCKET}: a driver listens there already' in done.stderr
    assert works(driver)


def test_its_socket_goes_with_it(driver):
    hosts.stop(driver.child)
    assert not os.path.exists(driver.host_path)
    driver.start()
    assert works(driver)


def test_a_file_in_its_place_stays(world, sallyport):
    path = hosts.keep(f'{world.dir}/precious', 'mine')
    done = sallyport('driver', '--socket', path)
    assert done.returncode == 1 and 'is there and no socket' in done.stderr
    with open(path) as f:
        assert f.read() == 'mine'
    assert 'no path that begins with /' in sallyport(
        'driver', '--socket', 'here').stderr
    assert sallyport('driver', 'word').returncode == 2
    assert sallyport('driver', '--flag').returncode == 2


def test_a_socket_that_a_killed_one_left_is_taken(driver):
    driver.kill9()
    assert os.path.exists(driver.host_path)
    driver.start()
    assert works(driver)


def test_systemds_socket_is_taken_and_stays(world, sallyport):
    path = f'{world.dir}/handed.sock'
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen()
        hand = ('import os, sys; os.dup2(int(sys.argv[1]), 3); '
                'os.set_inheritable(3, True); '
                'os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()));'
                'os.execv(sys.argv[2], sys.argv[2:])')
        os.set_inheritable(s.fileno(), True)
        child = sallyport.host.popen(
            ['python3', '-c', hand, str(s.fileno()), sallyport.program,
             'driver', '--state', f'{world.dir}/handed'], pass_fds=[s.fileno()])

        class Handed:
            host_path = path
        assert works(Handed)
        assert hosts.stop(child) == 0
        assert os.path.exists(path)
