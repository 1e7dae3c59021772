# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes pytest speak TAP, so that tools/check reads every suite alike.

A test has one result: the worst of its setup, its call and its teardown. What
went wrong comes in front of the result, as comments.
"""

import os
import re
import signal

import pytest

# No test may hang the suite; one that may take longer says so by the marker
# limit(SECONDS).
LIMIT = 600


class Tap:
    def __init__(self):
        # Tests may redirect or close ours.
        self.out = os.fdopen(os.dup(1), "w", buffering=1)
        self.count = 0
        self.broken = 0
        self.worst = {}

    def result(self, word, name, said="", note=""):
        self.count += 1
        for line in said.splitlines():
            self.out.write(f"# {line}\n")
        self.out.write(f"{word} {self.count} - {name}{note}\n")

    def pytest_collectreport(self, report):
        if report.failed:
            self.broken += 1
            self.result("not ok", f"{report.nodeid or 'collection'} cannot be read",
                        report.longreprtext)
        elif report.skipped:
            # A module that skips itself hides an unknown number of tests.
            self.broken += 1
            self.result("ok", report.nodeid, "", f" # SKIP {reason(report)}")

    def pytest_collection_finish(self, session):
        self.out.write(f"1..{len(session.items) + self.broken}\n")

    def pytest_runtest_logreport(self, report):
        self.worst.setdefault(report.nodeid, []).append(report)
        if report.when != "teardown":
            return
        reports = self.worst.pop(report.nodeid)
        name = re.sub(r"^.*/(?=[^/]*\.py::)", "", report.nodeid)  # a parameter may have one, too
        failed = [r for r in reports if r.failed]
        skipped = [r for r in reports if r.skipped]
        if failed:
            self.result("not ok", name, "\n".join(describe(r) for r in failed))
        elif skipped:
            self.result("ok", name, "", f" # SKIP {reason(skipped[0])}")
        else:
            self.result("ok", name)

    def pytest_internalerror(self, excrepr):
        self.out.write("".join(f"# {line}\n" for line in str(excrepr).splitlines()))


def describe(report):
    parts = [report.longreprtext]
    parts += (f"--- {title}\n{text}" for title, text in report.sections)
    return "\n".join(parts)


def reason(report):
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    return getattr(report, "wasxfail", "") or "skipped"


def pytest_addoption(parser):
    parser.addoption("--part", metavar="K/N",
                     help="only each Nth test, the Kth and those after it")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if config.option.part:
        k, n = map(int, config.option.part.split("/"))
        items[:] = items[k - 1::n]


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal:
        config.pluginmanager.unregister(terminal)
    config.pluginmanager.register(Tap(), "tap")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT
    if os.environ.get("SALLYPORT_LONG"):
        seconds *= 10

    def late(_signal, _frame):
        pytest.fail(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
