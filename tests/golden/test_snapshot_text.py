# SPDX-License-Identifier: GPL-2.0-or-later
"""What sallyport says of snapshots that are none, to the letter.

Whoever changes a text on purpose runs this once with GOLDEN_REWRITE=1 and
reads what git says has changed.
"""
import contextlib
import fcntl
import functools
import json
import os
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import golden
import pytest
from golden import HERE, SALLYPORT

EXPECTED = f"{HERE}/snapshot"
expect = functools.partial(golden.expect, EXPECTED)
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

LINK = '{"index": 1, "name": "lo"}'


def own(rest, schema="1", parts="[]"):
    return f'{{"schema": {schema},\n "parts": {parts}{rest}}}\n'


def listed(key, *items):
    return own(f',\n "{key}": [\n  ' + ",\n  ".join(items) + "]")


ADDR = ('[{"ifindex": 1, "ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info":\n'
        ' [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]}]\n')
ROUTES = ('[{"type": "local", "dst": "127.0.0.1", "dev": "lo", "table": "local",\n'
          '  "protocol": "kernel", "scope": "host", "flags": []}]\n')
RULES = '[{"priority": 32767, "src": "all", "table": "default"}]\n'

BAD = {
    "nothing": "",
    "blanks": " \n\n ",
    "a word": "snapshot\n",
    "a web page": "<!DOCTYPE html>\n<html></html>\n",
    "UTF-16": '{"schema": 1}'.encode("utf-16"),
    "a number": "42\n",
    "a string": '"schema"\n',
    "cut in the middle": own(',\n "host": "a')[:-4],
    "cut in a list": listed("links", LINK)[:-4],
    "cut behind a key": '{"schema": 1, "parts"',
    "no comma": '{"schema": 1 "parts": []}',
    "a comma too many": '{"schema": 1, "parts": [],}',
    "no colon": '{"schema" 1}',
    "more behind it": own("") + "{}\n",
    "too deep": own(',\n "links": ' + "[" * 100 + "]" * 100),
    "without schema": '{"parts": []}',
    "an older schema": own("", schema="0"),
    "a newer schema": own(',\n "moon": "full"', schema="2"),
    "a schema of words": own("", schema='"1"'),
    "without parts": '{"schema": 1}',
    "a part that is not known": own("", parts='["links", "moon"]'),
    "an unknown key": own(',\n "moon": "full"'),
    "a key twice": own(',\n "host": "a",\n "host": "b"'),
    "an unknown key of a link": listed("links", '{"index": 1, "name": "lo", "moon": 1}'),
    "a key of a link twice": listed("links", '{"index": 1, "index": 2, "name": "lo"}'),
    "a link without a name": listed("links", LINK, '{"index": 2}'),
    "a link with an empty name": listed("links", '{"index": 2, "name": ""}'),
    "a long name": listed("links", '{"index": 2, "name": "abcdefghijklmnop"}'),
    "index 0": listed("links", '{"index": 0, "name": "eth0"}'),
    "a negative index": listed("links", '{"index": -1, "name": "eth0"}'),
    "an index too large": listed("links", '{"index": 2147483648, "name": "eth0"}'),
    "a number without end": listed("links", '{"index": 1' + "0" * 400 + ', "name": "eth0"}'),
    "a negative mtu": listed("links", '{"index": 1, "name": "lo", "mtu": -1}'),
    "a fraction": listed("links", '{"index": 1.5, "name": "lo"}'),
    "an exponent": listed("links", '{"index": 1e3, "name": "lo"}'),
    "a zero in front": listed("links", '{"index": 01, "name": "lo"}'),
    "two links of an index": listed("links", LINK, '{"index": 1, "name": "eth0"}'),
    "two links of a name": listed("links", LINK, '{"index": 2, "name": "lo"}'),
    "null for a number": listed("links", '{"index": null, "name": "lo"}'),
    "an object for a list": own(',\n "links": {}'),
    "a list for an object": listed("links", "[]"),
    "a string for a bool": listed("rules", '{"family": "inet", "priority": 0, "not": "yes"}'),
    "a word like true": listed("rules", '{"family": "inet", "priority": 0, "not": truth}'),
    "a hardware address of words": listed("links", '{"index": 1, "name": "lo", "mac": "lo"}'),
    "no address": listed("addresses", '{"link": 1, "local": "10.0.0.300", "len": 24}'),
    "a prefix too long": listed("addresses", '{"link": 1, "local": "10.0.0.3", "len": 33}'),
    "a peer of the other family": listed(
        "addresses", '{"link": 1, "local": "10.0.0.3", "len": 32, "peer": "::1"}'),
    "a route to an address": listed("routes", '{"dst": "10.0.0.1/8", "table": 254}'),
    "a route to nowhere": listed("routes", '{"table": 254}'),
    "a source of the other family": listed(
        "routes", '{"dst": "10.0.0.0/8", "table": 254, "prefsrc": "::1"}'),
    "an IPv6 route by IPv4": listed(
        "routes", '{"dst": "::/0", "table": 254, "hops": [{"link": 1, "via": "10.0.0.1"}]}'),
    "a type that is not known": listed(
        "routes", '{"dst": "::/0", "table": 254, "type": "elsewhere"}'),
    "a table too large": listed("routes", '{"dst": "::/0", "table": 4294967296}'),
    "a rule of no family": listed("rules", '{"priority": 0}'),
    "a rule of a third family": listed("rules", '{"family": 12, "priority": 0}'),
    "a rule of both families": listed(
        "rules", '{"family": "inet", "priority": 0, "from": "::/0"}'),
    "rules out of order": listed("rules", '{"family": "inet", "priority": 5}',
                                 '{"family": "inet6", "priority": 0}',
                                 '{"family": "inet", "priority": 4}'),
    "a goto backwards": listed(
        "rules", '{"family": "inet", "priority": 5, "action": "goto", "goto": 5}'),
    "a range of one": listed("rules", '{"family": "inet", "priority": 5, "sport": [1]}'),
    "a range of three": listed("rules", '{"family": "inet", "priority": 5, "sport": [1, 2, 3]}'),
    "a port too large": listed("rules", '{"family": "inet", "priority": 5, "sport": [1, 65536]}'),
    "a connection to nobody": listed(
        "sockets", '{"proto": "tcp", "state": "connected", "local": "10.0.0.1", "local_port": 2}'),
    "a socket of another protocol": listed(
        "sockets", '{"proto": "sctp", "state": "listens", "local": "::", "local_port": 2}'),
    "a pool shorter than its base": listed(
        "pools", '{"engine": "Docker", "base": "10.0.0.0/16", "len": 8}'),
    "no UTF-8": b'{"schema": 1, "host": "a\xff"}',
    "an overlong zero": b'{"schema": 1, "host": "a\xc0\x80"}',
    "a zero byte": own(r',\n "host": "a\u0000"'.replace(r"\n", "\n")),
    "a zero byte outside": b'{"schema": 1,\0 "parts": []}',
    "half a surrogate": own(r', "host": "\ud83d"'),
    "a bad escape": own(r', "host": "\x41"'),
    "a line end in a string": own(', "host": "a\nb"'),
    "orders to a terminal": own(r', "\u001b[2Jmoon": 1'),
    "ip: a list of numbers": "[1, 2]\n",
    "ip: nothing but brackets": "[]\n",
    "ip: something else of ip": '[{"id": 7, "dev": "eth0"}]\n',
    "ip: no links": ROUTES + RULES,
    "ip: links without addresses": '[{"ifindex": 1, "ifname": "lo", "flags": []}]\n',
    "ip: links twice": ADDR + ADDR,
    "ip: a link twice": ADDR.rstrip()[:-1] + "," + ADDR.lstrip()[1:],
    "ip: a flag that is not known": ADDR.replace('"UP"', '"GONE"'),
    "ip: an address of words": ADDR.replace("127.0.0.1", "localhost"),
    "ip: one table": ADDR + ROUTES.replace('"type": "local", ', "").replace(
        '"table": "local",', ""),
    "ip: a link nobody knows": ADDR + ROUTES.replace('"lo"', '"eth7"'),
    "ip: a table of that host": ADDR + ROUTES + RULES.replace('"default"', '"office"'),
    "ip: other routes": ADDR + ROUTES + ROUTES.replace("127.0.0.1", "127.0.0.2"),
    "ip: rules three times": ADDR + ROUTES + RULES * 3,
    "ip: rules of one family twice": ADDR + ROUTES + RULES.replace("all", "10.0.0.1") * 2,
    "ip: rules of both families": ADDR + ROUTES + RULES.replace("all", "10.0.0.1").rstrip()[:-1]
                                  + "," + RULES.replace("all", "fd00::1")[1:],
    "ip: rules of no family": ADDR + ROUTES + RULES.replace("32767", "32766"),
    "ip: rules out of order": ADDR + ROUTES + RULES.rstrip()[:-1] + "," +
                              RULES.replace("32767", "5")[1:],
    "ip: cut": (ADDR + ROUTES)[:-8],
    "ip: a snapshot behind it": ADDR + own(""),
}


def rehearse(*files, cwd=None, text=None):
    words = [word for file in files for word in ("--from-snapshot", file)]
    return subprocess.run([SALLYPORT, "rehearse", *words, "--routes", "10.0.0.0/8"], cwd=cwd,
                          env=ENV, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60)


def test_what_is_no_snapshot_is_one_error_with_its_place(tmp_path):
    shown = []
    for name, text in BAD.items():
        (tmp_path / "bad.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        done = rehearse("bad.json", cwd=tmp_path)
        said = done.stdout.decode("ascii")
        assert done.returncode == 2, (name, said)
        assert said.count("\n") == 1 and "\x1b" not in said, said
        shown.append(f"{name}\n    {said}")
    expect("errors.txt", "".join(shown))


def test_files_that_cannot_be_taken_are_told(tmp_path):
    (tmp_path / "own.json").write_text(own(""))
    (tmp_path / "addr.json").write_text(ADDR)
    shown = []
    for files, status in ((["absent.json"], 1), (["."], 1),
                          (["own.json", "addr.json"], 2), (["addr.json", "own.json"], 2),
                          (["addr.json"] * 17, 2)):
        done = rehearse(*files, cwd=tmp_path)
        assert done.returncode == status
        shown.append(f"{' '.join(files)}\n    {done.stdout.decode()}")
    expect("files.txt", "".join(shown))


def test_every_cut_of_a_snapshot_is_an_error():
    whole = json.dumps(json.loads(listed("links", LINK)))
    assert rehearse("-", text=whole.encode()).returncode == 0
    for size in range(1, len(whole)):
        done = rehearse("-", text=whole[:size].encode())
        assert done.returncode == 2
        assert done.stdout.startswith(b"sallyport: standard input:1:")


@pytest.mark.parametrize("what", ["[", "{\"a\":", "\"", "1", " "])
def test_a_file_of_ten_megabytes_of_one_thing_is_refused_at_once(what):
    done = rehearse("-", text=what.encode() * (10_000_000 // len(what)))
    assert done.returncode == 2
    assert len(done.stdout) < 300


def test_standard_input_and_pipes_are_files_too(tmp_path):
    path = tmp_path / "addr.json"
    path.write_text(ADDR)
    command = (f"{SALLYPORT} rehearse --routes 10.0.0.0/8 --from-snapshot <(cat {path})"
               f" --from-snapshot - <<< '{ROUTES}'")
    done = subprocess.run(["bash", "-c", command], env=ENV, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "does not tell" in done.stdout


def snapshot(*words, script=None):
    """In a network of its own; @script runs around it, "$@" is the command."""
    return subprocess.run(["unshare", "-Urnm", "sh", "-ec", script or 'exec "$@"', "sh",
                           SALLYPORT, "snapshot", *words], env=ENV, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)


INSIDE = ("unshare -n sh -ec 'ip link add inside type veth peer name far;"
          " echo ready; exec sleep 60' > {fifo} & child=$!; read word < {fifo};"
          ' "$@"; kill $child')


@pytest.mark.parametrize("place", ["$child", "/proc/$child/ns/net"])
def test_a_snapshot_of_a_process_s_namespace_is_that_namespace_s(place, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = INSIDE.format(fifo=fifo).replace('"$@"', f'"$@" --gate {place}')
    host = json.loads(snapshot(script=script).stdout)
    assert {"inside", "far", "lo"} == {link["name"] for link in host["links"]}
    assert host["place"].strip("/").replace("proc/", "").split("/")[0].isdigit()
    # What is found by way of files is the caller's own.
    assert "dns" not in host["parts"] and "containers" not in host["parts"]
    assert [link["name"] for link in json.loads(snapshot().stdout)["links"]] == ["lo"]


def test_a_file_of_a_snapshot_is_nobody_else_s(tmp_path):
    path = tmp_path / "host.json"
    done = snapshot("-o", str(path))
    assert (done.stdout, done.returncode) == ("", 0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["schema"] == 1


def test_what_snapshot_cannot_do_is_told(tmp_path):
    shown = []
    for words, status in ((["--gate", "nosuch"], 1), (["--gate", "999999999"], 1),
                          (["--gate", "/etc/hostname"], 1), (["--gate", "/absent"], 1),
                          (["--gate", "/proc/self/ns/mnt"], 1), (["--gate", ""], 1),
                          (["-o", "/absent/host.json"], 1), (["-o", str(tmp_path)], 1),
                          (["-o", "/dev/full"], 1), (["-o"], 2), (["host.json"], 2),
                          (["--all"], 2)):
        done = snapshot(*words)
        assert done.returncode == status, done.stdout
        shown.append(f"$ sallyport snapshot {shlex.join(words)}\n{done.stdout}")
    expect("places.txt", "".join(shown).replace(str(tmp_path), "DIR"))


ROUTED = 'for i in $(seq 200); do ip route add blackhole 192.0.2.$i; done; exec "$@"'


def test_a_fifo_that_nobody_reads_is_not_waited_for_without_end(tmp_path):
    """One has no reader, and that of the other one takes nothing."""
    for name in "alone", "still":
        os.mkfifo(tmp_path / name)
    still = os.open(tmp_path / "still", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(still, fcntl.F_SETPIPE_SZ, 4096)
    with ThreadPoolExecutor() as both:
        done = list(both.map(lambda name: snapshot("-o", str(tmp_path / name), script=ROUTED),
                             ["alone", "still"]))
    os.close(still)
    assert [d.returncode for d in done] == [1, 1]
    expect("fifo.txt", "".join(d.stdout for d in done).replace(str(tmp_path), "DIR"))


def test_a_fifo_has_all_of_a_snapshot(tmp_path):
    """Whoever reads it comes later, and takes it piece by piece."""
    os.mkfifo(tmp_path / "fifo")
    with ThreadPoolExecutor() as both:
        done = both.submit(snapshot, "-o", str(tmp_path / "fifo"), script=ROUTED)
        text = (tmp_path / "fifo").read_text()
        assert (done.result().stdout, done.result().returncode) == ("", 0)
    assert len(json.loads(text)["routes"]) >= 200


def test_a_fifo_that_nobody_writes_yet_is_opened_all_the_same(tmp_path):
    """open(2) would wait without end; of what comes later there is a limit to the waiting."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    with subprocess.Popen([SALLYPORT, "rehearse", "--from-snapshot", path, "--routes",
                           "10.0.0.0/8"], env=ENV, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as child:
        try:
            opened = time.monotonic() + 20
            while path not in opened_by(child.pid):
                assert time.monotonic() < opened, "it waits for a writer"
                time.sleep(0.01)
            (tmp_path / "fifo").write_text(ADDR)
            said = child.communicate(timeout=20)[0]
        finally:
            child.kill()
    assert child.returncode == 0 and "does not tell" in said, said


def opened_by(pid):
    """A file may be closed meanwhile."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def test_what_is_far_too_large_for_a_snapshot_is_refused(tmp_path):
    """Of a pipe nobody knows the size before."""
    with open(tmp_path / "large.json", "wb") as f:
        f.truncate(257 << 20)
    done = rehearse(str(tmp_path / "large.json"))
    piped = subprocess.run(["sh", "-c", f"cat large.json | {SALLYPORT} rehearse --from-snapshot -"
                            " --routes 10.0.0.0/8"], cwd=tmp_path, env=ENV, timeout=60,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == piped.returncode == 2
    expect("large.txt", (done.stdout + piped.stdout).decode().replace(str(tmp_path), "DIR"))
