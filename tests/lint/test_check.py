# SPDX-License-Identifier: GPL-2.0-or-later
"""What tools/check makes of the programs that it runs."""
import importlib.machinery
import importlib.util
import os
import signal
import subprocess
import time

import pytest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))


@pytest.fixture
def check():
    loader = importlib.machinery.SourceFileLoader('check', f'{ROOT}/tools/check')
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('check', loader))
    loader.exec_module(module)
    return module


def tap(*lines, status=0):
    said = '\\n'.join((f'1..{len(lines)}', *lines))
    return ['/bin/sh', '-c', f"printf '{said}\\n'; exit {status}"]


def run(check, first, second):
    program = check.Program('world', 'a', first, 60, each=True)
    tried = []

    def again(_program, names):
        tried.append(names)
        return second

    total = check.run_all([program], 1, again)
    return total.passed, total.failed, tried


GOOD, BAD = 'ok 1 - one', 'not ok 2 - two'


def test_what_nohup_ignores_the_tests_do_not(check):
    before = {signo: signal.getsignal(signo)
              for signo in (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM)}
    try:
        for signo in before:
            signal.signal(signo, signal.SIG_IGN)
        check.hear_signals()
        said = subprocess.run(['grep', 'SigIgn', '/proc/self/status'], check=True,
                              capture_output=True, text=True).stdout
        ignored = int(said.split()[1], 16)
        assert not any(ignored & 1 << signo - 1 for signo in before)
    finally:
        for signo, handler in before.items():
            signal.signal(signo, handler)


def test_what_passes_is_run_once(check):
    assert run(check, tap(GOOD), tap(BAD)) == (1, 0, [])


def test_what_failed_is_run_once_more_and_both_are_told(check, capsys):
    assert run(check, tap(GOOD, BAD, status=1), tap('ok 1 - two')) == (2, 0, [['two']])
    said = capsys.readouterr().out
    assert 'not ok world   two' in said
    assert 'second try ok: world two' in said


def test_what_fails_twice_has_failed(check):
    assert run(check, tap(GOOD, BAD, status=1), tap(BAD, status=1))[:2] == (1, 1)


@pytest.mark.parametrize('second', [
    tap(status=0),               # it ran no test
    tap('ok 1 - two', status=1),
    ['/bin/sh', '-c', 'kill -9 $$'],
])
def test_a_second_try_that_does_not_pass_is_none(check, second):
    assert run(check, tap(GOOD, BAD, status=1), second)[:2] == (1, 1)


def test_a_program_that_dies_has_failed_for_good(check):
    dies = ['/bin/sh', '-c', "printf '1..2\\nok 1 - one\\n'; kill -9 $$"]
    assert run(check, dies, dies)[:2] == (1, 1)


class LastWords:
    """A child that says everything, and ends, just when somebody asks whether
    it has: cmocka keeps its results to itself until then."""

    def __init__(self, said):
        self.said = said
        reader, self.writer = os.pipe()
        self.stdout = os.fdopen(reader, 'rb', buffering=0)
        self.asked = 0

    def poll(self):
        self.asked += 1
        if self.asked == 2:
            os.write(self.writer, self.said)
            os.close(self.writer)
        return 0 if self.asked > 1 else None


def test_the_last_words_of_a_program_are_heard(check):
    program = check.Program('unit', 'a', [], 60)
    assert not program._listen(LastWords(b'1..1\nok 1 - one\n'), time.monotonic() + 60)
    assert (program.plan, program.sum.passed) == (1, 1)


def test_many_failures_are_no_accident(check):
    bad = tap(*(f'not ok {n} - {n}' for n in range(check.SECOND_TRIES + 1)), status=1)
    assert run(check, bad, tap(GOOD)) == (0, check.SECOND_TRIES + 1, [])


def test_the_parts_of_a_file_are_all_of_its_tests(tmp_path):
    file = tmp_path / 'test_seven.py'
    file.write_text('import pytest\n@pytest.mark.parametrize("n", range(7))\n'
                    'def test_it(n):\n    pass\n')
    ran = []
    for part in '1/3', '2/3', '3/3':
        done = subprocess.run(
            ['/usr/bin/python3', '-m', 'pytest', '-p', 'pytest_tap', '--rootdir', tmp_path, file,
             f'--part={part}'], env={'PYTHONPATH': f'{ROOT}/tools', 'PYTHONDONTWRITEBYTECODE': '1'},
            cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
        ran += [line.split(' - ')[1] for line in done.stdout.splitlines() if line.startswith('ok')]
    assert sorted(ran) == [f'test_seven.py::test_it[{n}]' for n in range(7)]
