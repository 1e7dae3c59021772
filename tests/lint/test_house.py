# SPDX-License-Identifier: GPL-2.0-or-later
"""Form: compilers, formatter, scripts, manual pages, licences, installation."""

import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(*argv, **env):
    return subprocess.run(argv, cwd=ROOT, text=True, env=dict(os.environ, **env),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def files(*patterns):
    """What is in the tree, but not what is built in it."""
    listed = run("git", "-c", "safe.directory=*", "ls-files", "-co",
                 "--exclude-standard", "--", *patterns)
    assert listed.returncode == 0, listed.stdout
    return [f for f in listed.stdout.splitlines() if os.path.isfile(f"{ROOT}/{f}")]


def text(path):
    with open(f"{ROOT}/{path}", encoding="utf-8", errors="replace") as file:
        return file.read()


def scripts():
    found = [f for f in files("tools", "tests", ".ci") if "/corpus/" not in f]
    return [f for f in found if re.match(r"#!.*\b(ba|da)?sh\b", text(f)[:80])]


@pytest.mark.limit(600)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_compiler_warns(compiler):
    build = f"build-{compiler}"
    setup = run("tools/configure", build, "-Dwerror=true", CC=compiler)
    assert setup.returncode == 0, setup.stdout
    done = run("flock", f".{build}.lock", "ninja", "-k", "0", "-C", build, "all", "tests")
    bad = [line for line in done.stdout.splitlines() if not line.startswith("[")]
    assert done.returncode == 0, "\n".join(bad)


@pytest.mark.limit(600)
@pytest.mark.parametrize("program", ["tests/kernel/mutants", "tests/bench/fib/run"])
def test_what_lists_its_sources_itself_is_linked(program):
    """Both run in long checks only; what they are built of changes every day."""
    done = run(program, "--link")
    assert done.returncode == 0, done.stdout


def test_known_survivors_are_lines_of_the_plan():
    """Else the long check would say so, hours later."""
    listed = run("tests/mutants/run", "--list")
    assert listed.returncode == 0, listed.stdout
    known = [line.strip() for line in text("tests/mutants/survivors").splitlines()
             if line.startswith("\t")]
    assert known and not set(known) - set(listed.stdout.splitlines())


def test_c_is_formatted():
    sources = files("src/*.[ch]", "tests/*.[ch]")
    assert sources
    bad = [f for f in sources if run("clang-format", "--dry-run", "-Werror", f).returncode]
    assert not bad, "make format mends these"


def test_shell_scripts_are_sound():
    found = scripts()
    assert found
    done = run("shellcheck", *found)
    assert done.returncode == 0, done.stdout


def test_python_compiles():
    found = [f for f in files("tools", "tests") if "/corpus/" not in f
             and (f.endswith(".py") or text(f).startswith("#!/usr/bin/python3"))]
    for path in found:
        compile(text(path), path, "exec")


def test_python_is_the_systems():
    """Another python in PATH may lack what we installed for this one."""
    bad = [f for f in files("tools", "tests", "Makefile", "meson.build")
           if "/corpus/" not in f
           and re.search(r"^#!.*env python|^#!(?!/usr/bin/python3).*python", text(f))]
    assert not bad


@pytest.mark.parametrize("page", ["sallyport.8", "sallyport.conf.5"])
def test_manual_pages_are_sound(page):
    done = run("mandoc", "-T", "lint", "-W", "style", f"man/{page}")
    # References to ourselves before installation, and to pages of packages
    # that are not here, are no fault of the page.
    said = [line for line in done.stdout.splitlines()
            if "referenced manual not found" not in line
            and "outdated mandoc.db" not in line]
    assert not said
    assert text(f"man/{page}").strip()


# Of other programs, which the manual names in examples, and what main() itself knows.
NOT_OF_A_VERB = {"dns", "help", "ipam-driver", "subnet", "version"}


def manual_options(page):
    return set(re.findall(r"\\-([a-z][a-z0-9-]+)", page))


def test_the_manual_has_every_option_and_no_other():
    known = {name for f in files("src/cli/*.c") for name in
             re.findall(r'\{ "([a-z-]+)", (?:no|required|optional)_argument', text(f))}
    assert len(known) > 30
    said = manual_options(text("man/sallyport.8"))
    assert known - said == set()
    assert said - known == NOT_OF_A_VERB


def test_the_manual_has_the_options_of_each_verb_where_the_verb_is():
    """Those that its usage names; tests/golden has the usage as it is printed."""
    synopsis = text("man/sallyport.8").split(".Sh SYNOPSIS")[1].split(".Sh")[0]
    said = {}
    for part in synopsis.split("\n.Nm")[1:]:
        verb = re.search(r"^\.Cm ([a-z-]+)", part, re.M)[1]
        said.setdefault(verb, set()).update(manual_options(part))
    usage = dict(re.findall(r"^  sallyport ([a-z-]+) ?(.*)$",
                            text("tests/golden/expected/help.txt"), re.M))
    assert len(usage) > 15
    usage["explain"] = ""  # has ".Ar options" in place of them
    assert {verb: set(re.findall(r"--([a-z][a-z-]+)", words)) - said[verb]
            for verb, words in usage.items()} == dict.fromkeys(usage, set())


def test_the_manual_has_every_key_of_a_configuration_in_its_section():
    """As the table of the reader says it; a key of two kinds of section is in both."""
    titles = {"IN_ROOM": "Rooms", "IN_LAN": "The lan door", "IN_VPN": "VPN doors"}
    known = {(titles[scope], key) for key, scopes in
             re.findall(r'^\t\[KEY_\w+\] = \{ "(\w+)", .*?((?:IN_\w+(?: \| )?)+) \}',
                        text("src/wire/config.c"), re.M) for scope in scopes.split(" | ")}
    assert len(known) > 9
    said = {(part.split(":")[0], key)
            for part in text("man/sallyport.conf.5").split("\n.Ss ")[1:]
            for key in re.findall(r"^\.It Ic (\w+) =", part, re.M)}
    assert said == known


def quoted(page):
    return set(re.findall(r"^\.(?:Ql|It Ql) ([a-z0-9_]+)", page, re.M))


def function(f, name):
    return text(f).split(f"{name}(")[1].split("\n}")[0]


def test_the_manual_has_every_member_of_what_is_printed_as_json():
    """Every word between quotes of the functions that make it: members and fixed values."""
    repairs = function("src/daemon/log.c", "json_t *log_repairs_json")
    made = {
        "status": text("src/daemon/status.c") + repairs +
        function("src/cli/status.c", "json_t *ask") +
        function("src/cli/status.c", "int print_once"),
        "guard --status": text("src/daemon/guard_status.c") +
        function("src/daemon/guard_journal.c", "json_t *trial_json") +
        function("src/cli/guard.c", "int status"),
        "explain": text("src/ui/explain_json.c") +
        function("src/cli/explain.c", "void print_report"),
        "rehearse": text("src/ui/rehearse_json.c"),
    }
    section = text("man/sallyport.8").split("\n.Sh JSON\n")[1].split("\n.Sh ")[0]
    general, *parts = section.split("\n.Ss ")
    said = {part.split("\n")[0]: quoted(general) | quoted(part) for part in parts}
    missing = {verb: set(re.findall(r'"([a-z][a-z0-9_]*)"', code)) - said[verb]
               for verb, code in made.items()}
    assert missing == dict.fromkeys(made, set())


def test_the_manual_has_every_variable_that_an_image_takes():
    known = set(re.findall(r'^\t\{ "([A-Z_]+)", ', text("src/wire/vpnenv.c"), re.M))
    assert len(known) > 30
    said = set(re.findall(r"[A-Z_]{4,}", text("man/sallyport.8").split(".Sh ENVIRONMENT")[1]))
    assert known - said == set()


def commands():
    """(where, verb, flags) of what the documents tell to type."""
    blocks = [("README.md", block) for block in text("README.md").split("```")[1::2]]
    blocks += [("README.md", block) for block in re.findall(r"`(sallyport [^`]+)`",
                                                            text("README.md"))]
    blocks += [(f, text(f)) for f in files("man/*", "deploy/*", "dist/*")]
    for where, block in blocks:
        for verb, words in re.findall(
                r"(?:^|[#$=/] *|sudo |unshare )sallyport ([a-z-]+)(.*)$", block, re.M):
            words = re.split(r" -- |#", words)[0]
            yield where, verb, set(re.findall(r"--([a-z][a-z-]+)", words))
        for verb in re.findall(r'/sbin/sallyport"?, "?([a-z-]+)', block):  # as a list of words
            yield where, verb, set()


def test_what_the_documents_tell_to_type_exists():
    usage = dict(re.findall(r"^  sallyport ([a-z-]+) ?(.*)$",
                            text("tests/golden/expected/help.txt"), re.M))
    found = list(commands())
    assert len(found) > 30
    assert [(where, verb, flags) for where, verb, flags in found
            if verb not in usage or flags - set(re.findall(r"--([a-z-]+)", usage[verb]))] == []


def test_files_that_comments_and_documents_name_are_there():
    """`plan/want.h` is one of src, `tests/world/lab` begins at the top."""
    rings = "|".join(os.listdir(f"{ROOT}/src"))
    bad = set()
    for where in files("*.md", "src/*.[ch]", "tests/*.[ch]", "tests/world/*.py", "man/*"):
        for name in re.findall(rf"(?<![\w./-])((?:{rings}|tests|tools)/[\w/]+\.(?:[ch]|py))\b",
                               re.sub(r"#include <.*>", "", text(where))):
            if "_X." not in name and not any(os.path.isfile(f"{ROOT}/{at}{name}")
                                             for at in ("", "src/", "tests/")):
                bad.add((where, name))
    assert bad == set()


def test_every_source_names_its_licence():
    mark = "SPDX-License-Identifier: GPL-2.0-or-later"
    found = files("src/*.[ch]", "tests/*.[ch]", "tests/*.py", "tools", "meson.build",
                  "Makefile", "dist/*.in") + scripts()
    # JSON has no comments.
    bad = [f for f in found if "/corpus/" not in f and not f.endswith(".json.in")
           and mark not in text(f)[:300]]
    assert not bad


INSTALLED = {
    "usr/sbin/sallyport",
    "usr/share/man/man8/sallyport.8",
    "usr/share/man/man5/sallyport.conf.5",
    "usr/lib/systemd/system/sallyport@.service",
    "usr/lib/systemd/system/sallyport-watch.service",
    "usr/lib/systemd/system/sallyport-driver.service",
    "usr/lib/systemd/system/sallyport-driver.socket",
    "usr/share/containers/oci/hooks.d/sallyport.json",
    "usr/share/bash-completion/completions/sallyport",
    "usr/share/zsh/site-functions/_sallyport",
    "usr/share/fish/vendor_completions.d/sallyport.fish",
    "usr/share/sallyport/installed",
    "etc/iproute2/rt_protos.d/sallyport.conf",
}


def tree(top):
    """{path: what is there}, directories with a slash behind them."""
    found = {}
    for place, _, names in os.walk(top):
        found[os.path.relpath(place, top) + "/"] = os.stat(place).st_mode
        for name in names:
            with open(f"{place}/{name}", "rb") as file:
                found[os.path.relpath(f"{place}/{name}", top)] = file.read()
    return found


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """make TARGET into tmp_path/dest; of one build."""
    build = tmp_path_factory.mktemp("installed") / "build"
    return lambda target, tmp_path: run("make", "--no-print-directory", target, "PREFIX=/usr",
                                        f"DESTDIR={tmp_path}/dest", f"BUILD={build}")


def test_installation_brings_everything_and_uninstallation_takes_just_that(make, tmp_path):
    dest = tmp_path / "dest"
    # A machine that has something, and directories with nothing in them.
    for place in "usr/sbin", "usr/share/man/man8", "usr/lib/systemd/system", "etc/iproute2":
        (dest / place).mkdir(parents=True)
    (dest / "usr/share/man/man8/other.8").write_text("other")
    before = tree(dest)
    done = make("install", tmp_path)
    assert done.returncode == 0, done.stdout
    added = set(tree(dest)) - set(before)
    assert {path for path in added if not path.endswith("/")} == INSTALLED
    with open(f"{dest}/usr/lib/systemd/system/sallyport@.service", encoding="utf-8") as unit:
        assert "\nExecStart=/usr/sbin/sallyport up %i\n" in unit.read()

    # An older version had a file more; and the second time all directories are there.
    with open(dest / "usr/share/sallyport/installed", "a", encoding="utf-8") as record:
        record.write("f /usr/sbin/sallyportd\n")
    (dest / "usr/sbin/sallyportd").write_text("older")
    done = make("install", tmp_path)
    assert done.returncode == 0, done.stdout
    assert set(tree(dest)) - set(before) == added

    done = make("uninstall", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert tree(dest) == before
    done = make("uninstall", tmp_path)
    assert done.returncode and "give PREFIX and DESTDIR as" in done.stdout
    assert tree(dest) == before


def test_uninstallation_leaves_what_others_put_beside_it(make, tmp_path):
    dest = tmp_path / "dest"
    assert make("install", tmp_path).returncode == 0
    (dest / "usr/share/zsh/site-functions/_other").write_text("")
    (dest / "usr/share/man/man8/sallyport.8").unlink()
    done = make("uninstall", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    left = {path for path in tree(dest) if not path.endswith("/")}
    assert left == {"usr/share/zsh/site-functions/_other"}


def test_the_deps_list_gives_each_package_a_reason():
    done = run("tools/install-deps", "--list")
    assert done.returncode == 0
    for line in done.stdout.splitlines():
        assert re.fullmatch(r"(build|demo|check|long)\t[a-z0-9.+-]+\t+\S.*", line)


def test_flags_are_read_in_one_place():
    """Completion suggests what stands in a verb's table: no verb reads any other."""
    assert [f for f in files("src/*.c") if "getopt_long(" in text(f)] == ["src/cli/verbs.c"]
