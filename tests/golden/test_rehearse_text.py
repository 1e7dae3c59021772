# SPDX-License-Identifier: GPL-2.0-or-later
"""What `sallyport rehearse` prints on the server of rehearse/scene.py.

Whoever changes a text on purpose runs this once with GOLDEN_REWRITE=1 and
reads what git says has changed.
"""
import functools
import json
import re
import shlex
import subprocess

import golden
import pytest
from golden import HERE, SALLYPORT

CASES = f"{HERE}/rehearse"
expect = functools.partial(golden.expect, CASES)
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
OWN = {"SSH_CONNECTION": "172.16.9.20 51022 172.16.5.10 22"}

MANY = ",".join(f"10.{i}.{2 * j}.0/24" for i in range(4) for j in range(16))

# Name of the expected file: arguments, environment, exit status.
TABLES = {
    "range": (["--routes", "172.16.0.0/12,fd00:16::/32"], OWN, 1),
    "everything": (["--routes", "0.0.0.0/1,128.0.0.0/1"], OWN, 1),
    "parts": (["--routes", "172.16.5.0/25 172.16.9.20 172.16.0.0/13"], {}, 1),
    "containers": (["--routes", "172.17.0.0/16,192.168.0.0/16"], {}, 1),
    "addresses": (["--routes", "172.16.5.1,9.9.9.9,fd00:16:5::1"], {}, 1),
    "misses": (["--routes", "10.8.0.0/16,fd99::/48"], {}, 0),
    "many": (["--routes", MANY], {}, 0),
    "wg-everything": (["everything.conf"], {}, 1),
    "wg-tie": (["tie.conf"], {}, 1),
}


def rehearse(words, env):
    return subprocess.run(
        ["unshare", "-Urnm", f"{CASES}/scene.py", SALLYPORT, "rehearse", *words],
        cwd=CASES, env={**ENV, **env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_as_expected(name):
    words, env, status = TABLES[name]
    done = rehearse(words, env)
    expect(f"{name}.txt", done.stdout)
    assert done.returncode == status


@pytest.mark.parametrize("name", ["range", "wg-everything"])
def test_json_is_as_expected(name):
    words, env, status = TABLES[name]
    done = rehearse(["--json", *words], env)
    assert done.returncode == status
    assert json.loads(done.stdout)["schema"] == 1
    expect(f"{name}.json", re.sub(r'"pid": \d+', '"pid": 1', done.stdout))


def scene(*words, env=None):
    """Words run on the server of scene.py; what they print."""
    done = subprocess.run(["unshare", "-Urnm", f"{CASES}/scene.py", *words], cwd=CASES,
                          env={**ENV, **(env or {})}, text=True, stdout=subprocess.PIPE)
    assert done.returncode == 0
    return done.stdout


def elsewhere(*words):
    """sallyport on a host of nothing but loopback."""
    return subprocess.run(["unshare", "-Urnm", SALLYPORT, *words], cwd=CASES, env=ENV, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(name="snapshots", scope="module")
def snapshots_(tmp_path_factory):
    """Files of the server of scene.py, with the user's session and without."""
    paths = {}
    for name, env in (("own", OWN), ("nobody", {})):
        paths[name] = tmp_path_factory.mktemp("snapshots") / f"{name}.json"
        paths[name].write_text(scene(SALLYPORT, "snapshot", env=env))
    return paths


@pytest.mark.parametrize("name", TABLES)
def test_a_snapshot_foretells_elsewhere_what_the_host_itself_foretells(name, snapshots):
    words, env, status = TABLES[name]
    path = snapshots["own" if env else "nobody"]
    done = elsewhere("rehearse", "--from-snapshot", str(path), *words)
    with open(f"{CASES}/{name}.txt", encoding="utf-8") as file:
        assert done.stdout == file.read()
    assert done.returncode == status


def test_what_ip_printed_foretells_networks_and_ways_out(tmp_path):
    """Who is connected it does not tell, and that is said."""
    path = tmp_path / "host.json"
    path.write_text(scene("sh", "-ec", "ip -d -j addr; ip -j route show table all;"
                          "ip -j rule; ip -j -6 rule"))
    done = elsewhere("rehearse", "--from-snapshot", str(path),
                     "--routes", "172.16.0.0/12,fd00:16::/32")
    expect("from-ip.txt", done.stdout.replace(str(path), "host.json"))
    assert done.returncode == 0


def test_wrong_usage_is_told_as_expected():
    shown = []
    for words in ([], ["a", "b"], ["--routes", "172.16.0.0/12", "a"], ["--routes", ""],
                  ["--routes", "172.16.0.0/33"], ["--routes", "office"], ["--timeout", "0", "a"],
                  ["--timeout", "soon", "a"], ["--jsn"], ["absent.ovpn"]):
        done = subprocess.run([SALLYPORT, "rehearse", *words], cwd=CASES, env=ENV, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        shown.append(f"$ {shlex.join(['sallyport', 'rehearse', *words])}\n{done.stdout}"
                     f"[{done.returncode}]\n")
        assert done.returncode == (1 if words == ["absent.ovpn"] else 2)
    expect("usage.txt", "".join(shown))
