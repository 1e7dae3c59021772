# SPDX-License-Identifier: GPL-2.0-or-later
"""What the shells suggest, each asked by its own means: bash by what readline sets
and by a key pressed, fish by complete -C, zsh by a key pressed on a terminal."""

import os
import pty
import re
import select
import socket
import subprocess
import time

import pytest
from test_golden import ENV, ROOT, SALLYPORT

LIMIT = 60
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"


@pytest.fixture(scope="module")
def shells(tmp_path_factory):
    """The installed files, with this tree's program in them."""
    made = tmp_path_factory.mktemp("completion")
    for shell, name in ("bash", "sallyport"), ("zsh", "_sallyport"), ("fish", "sallyport.fish"):
        with open(f"{ROOT}/build/completion.{shell}", encoding="utf-8") as file:
            text = file.read()
        assert text.count("/sallyport complete --") == 1
        text = re.sub(r"/\S*/sallyport complete --", f"{SALLYPORT} complete --", text)
        (made / name).write_text(text)
    (made / "files").mkdir()
    (made / "files/office.ovpn").write_text("")
    (made / "files/a b.ovpn").write_text("")
    return made


def asked(*words):
    done = subprocess.run([SALLYPORT, "complete", "--", *words], env=ENV, text=True,
                          capture_output=True, timeout=LIMIT, check=True)
    assert not done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


# How readline breaks a line up: at '=' and ':', too.
PIECES = re.compile(r"[=:]+|[^\s=:]+")


def bash(shells, line, more=""):
    pieces = PIECES.findall(line) + ([""] if line.endswith(" ") else [])
    script = f"""
        {more}
        . {shells}/sallyport
        COMP_LINE=$1 COMP_POINT=${{#1}}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        compopt() {{ :; }}  # there is no line being edited
        $(complete -p sallyport | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", line, *pieces], env=ENV,
                          text=True, capture_output=True, timeout=LIMIT, cwd=f"{shells}/files",
                          check=True)
    assert not done.stderr
    return done.stdout.split("\n")[:-1]


def fish(shells, line):
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {shells}/sallyport.fish; complete -C '{line}'"],
        env={**ENV, "HOME": str(shells)}, text=True, capture_output=True, timeout=LIMIT,
        cwd=f"{shells}/files", check=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_every_command_of_the_help_is_suggested():
    said = subprocess.run([SALLYPORT, "--help"], env=ENV, text=True, capture_output=True,
                          check=True).stdout
    verbs = re.findall(r"^  sallyport (\S+)", said, re.M)
    assert len(verbs) > 15
    assert [w for w in asked("") if not w.startswith("-") and w != "help"] == verbs


@pytest.mark.parametrize("words, want", [
    (["sta"], ["status"]),
    (["help", "sta"], ["status"]),
    (["status", ""], []),
    (["status", "--j"], ["--json"]),
    (["run", "--vpn", ""], [":files"]),
    (["run", "--vpn=of"], [":files"]),
    (["run", "--vpn", "/x/office.ovpn", "--default", ""], ["vpn", "lan", "none", "office"]),
    (["run", "--vpn=/x/office.ovpn", "--default=o"], ["--default=office"]),
    (["run", "-p", "80", "--vp"], ["--vpn"]),
    (["run", "-p80", "--vp"], ["--vpn"]),
    (["run", "-p", ""], []),
    (["run", "--user=roo"], ["--user=root"]),
    (["run", "-p", "80", "ngi"], [":command 3"]),
    (["run", "--", "nginx", "-"], [":command 2"]),
    (["run", "nginx", "--ver"], [":command 1"]),
    (["run", "--dry-run", ""], ["--"]),
    (["exec", "office", ""], ["--"]),
    (["exec", "office", "--", ""], [":command 3"]),
    (["up", "./"], [":files"]),
    (["attach", "--udp", ""], ["learn", "alias"]),
    (["attach", "--udp=l"], ["--udp=learn"]),
    (["explain", "192.0.2.1", "192.0.2.2:80", ""], ["tcp", "udp", "icmp"]),
    (["explain", "--iif", "lo"], ["lo"]),
    (["explain", "--json", "--cl"], ["--client-port"]),
    (["watch", "--docker", "--po"], ["--podman"]),
    (["guard", "--sta"], ["--status"]),
    (["oci-hook", ""], []),
    (["nonsense", ""], []),
    (["nonsense", "--x"], []),
])
def test_what_may_come_next(words, want):
    # A host may have several links that begin so.
    assert [w for w in asked(*words) if w != "lo0"] == want


def test_an_engine_that_does_not_answer_is_not_waited_for(tmp_path):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{tmp_path}/mute.sock")
        mute.listen()
        assert asked("attach", "--engine", f"{tmp_path}/mute.sock", "") == [":files"]


def test_without_its_words_it_says_how():
    done = subprocess.run([SALLYPORT, "complete", "x"], env=ENV, text=True, capture_output=True)
    assert done.returncode == 2 and "usage: sallyport complete -- WORD..." in done.stderr


@pytest.mark.parametrize("line, want", [
    ("sallyport sta", ["status"]),
    ("sallyport run --vpn ", ["a b.ovpn", "office.ovpn"]),
    ("sallyport run --vpn=off", ["office.ovpn"]),
    ("sallyport run --user=roo", ["root"]),
    ("sallyport attach --udp=", ["learn", "alias"]),
    ("sallyport explain 192.0.2.1 192.0.2.2:80 u", ["udp"]),
    ("sallyport run -- basena", ["basename"]),
    ("sallyport run -- cat off", ["office.ovpn"]),
])
def test_bash_suggests(shells, line, want):
    assert sorted(set(bash(shells, line))) == sorted(want)


def test_bash_hands_the_command_of_run_to_that_commands_own_completion(shells):
    more = f". {BASH_COMPLETION}; complete -W 'apple banana' fruit"
    assert bash(shells, "sallyport run -p 80 -- fruit b", more) == ["banana"]


@pytest.mark.parametrize("line, want", [
    ("sallyport sta", ["status"]),
    ("sallyport run --vpn ", ["a b.ovpn", "office.ovpn"]),
    ("sallyport run --vpn=off", ["--vpn=office.ovpn"]),
    ("sallyport attach --udp ", ["learn", "alias"]),
    ("sallyport explain 192.0.2.1 192.0.2.2:80 u", ["udp"]),
    ("sallyport run -- cat off", ["office.ovpn"]),
])
def test_fish_suggests(shells, line, want):
    assert sorted(fish(shells, line)) == sorted(want)


def typed(shells, argv, keys, want):
    """Types @keys into a shell on a terminal, and waits until it shows @want."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(f"{shells}/files")
        os.execvpe(argv[0], argv, {**ENV, "HOME": str(shells), "TERM": "dumb", "PS1": "$ "})
    shown, sent, end = "", False, time.monotonic() + LIMIT
    try:
        while not re.search(want, shown.replace("\r", "")) and time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                shown += os.read(fd, 4096).decode(errors="replace")
            if not sent and "ready$ " in shown:
                os.write(fd, keys.encode())
                sent, shown = True, ""
    except OSError:
        pass  # it ended
    finally:
        os.close(fd)
        os.waitpid(pid, 0)
    return shown.replace("\r", "")


def test_a_key_pressed_in_bash(shells):
    (shells / "rc").write_text(f". {shells}/sallyport\nPS1='ready$ '\n")
    argv = ["bash", "--rcfile", f"{shells}/rc", "-i"]
    assert "rehearse --routes" in typed(shells, argv, "sallyport reh\t--ro\t", "--routes")
    assert "a\\ b.ovpn" in typed(shells, argv, "sallyport run --vpn=a\t", "b.ovpn")


def test_a_key_pressed_in_zsh(shells):
    (shells / ".zshrc").write_text(
        f"fpath=({shells} $fpath); autoload -U compinit; compinit -u -D; PS1='ready$ '\n")
    argv = ["zsh", "-i"]
    # It writes a space behind the word, and takes it back when the next one is typed.
    assert re.search(r"rehearse[ \b]+--routes",
                     typed(shells, argv, "sallyport reh\t--ro\t", "--routes"))
    assert "office.ovpn" in typed(shells, argv, "sallyport run --vpn=off\t", "office.ovpn")
    assert "office.ovpn" in typed(shells, argv, "sallyport run -- cat off\t", "office.ovpn")
