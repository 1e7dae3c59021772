# SPDX-License-Identifier: GPL-2.0-or-later
"""The two walls between the rings, and proof that a breach is seen."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def lint(*args):
    done = subprocess.run([f"{ROOT}/tools/lint-rings", *args], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def source(tree, path, text):
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def archive(tree, ring, text):
    source(tree, f"{ring}.c", text)
    subprocess.run(["gcc", "-O2", "-c", "-o", tree / f"{ring}.o", tree / f"{ring}.c"],
                   check=True)
    subprocess.run(["ar", "rcs", tree / f"libsp-{ring}.a", tree / f"{ring}.o"],
                   check=True)


def test_every_include_stays_inside_its_walls():
    assert lint("walls") == (0, "")


def test_pure_rings_reach_no_effects():
    subprocess.run(["make", "--no-print-directory"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    assert lint("symbols") == (0, "")


def test_an_outer_header_in_an_inner_ring_is_seen(tmp_path):
    source(tmp_path, "model/gate.c", '#include "base/err.h"\n#include "sys/rtnl.h"\n')
    code, said = lint("--src", str(tmp_path), "walls")
    assert code == 1
    assert said == f"{tmp_path}/model/gate.c:2: model may not see sys\n"


def test_the_supervisors_tables_may_not_see_the_planner(tmp_path):
    source(tmp_path, "super/vpn.h", '#include "plan/want.h"\n')
    assert lint("--src", str(tmp_path), "walls")[0] == 1


def test_a_relative_include_is_no_way_round(tmp_path):
    source(tmp_path, "base/err.c", '#include "../sys/rtnl.h"\n')
    source(tmp_path, "base/text.c", '  #  include "rtnl.h"\n')
    code, said = lint("--src", str(tmp_path), "walls")
    assert code == 1
    assert len(said.splitlines()) == 2


def test_an_unknown_ring_is_seen(tmp_path):
    source(tmp_path, "util/misc.c", "")
    assert "no ring" in lint("--src", str(tmp_path), "walls")[1]


def test_allowed_includes_pass(tmp_path):
    source(tmp_path, "plan/want.c", '#include "fib/walk.h"\n#include "plan/want.h"\n')
    source(tmp_path, "cli/up.c", '#include "daemon/supervise.h"\n#include <stdio.h>\n')
    assert lint("--src", str(tmp_path), "walls") == (0, "")


def test_a_socket_in_a_pure_ring_is_seen(tmp_path):
    archive(tmp_path, "model", """
        int socket(int, int, int);
        int model_open(void);
        int model_open(void) { return socket(1, 2, 3); }""")
    assert lint("--build", str(tmp_path), "symbols") == (1, "model: model.o: reaches socket\n")


def test_clock_environment_and_born_streams_are_seen(tmp_path):
    archive(tmp_path, "super", """
        #include <stdio.h>
        #include <stdlib.h>
        #include <time.h>
        long now(void);
        long now(void) { fputs(getenv("TZ"), stderr); return time(0); }""")
    code, said = lint("--build", str(tmp_path), "symbols")
    assert code == 1
    assert {line.split()[-1] for line in said.splitlines()} == {"getenv", "stderr", "time"}


def test_json_is_for_wire_and_ui_but_not_its_files(tmp_path):
    text = """
        void *json_object(void);
        void *json_load_file(const char *, int, void *);
        void *get(void);
        void *get(void) { return json_object() ? json_load_file("x", 0, 0) : 0; }"""
    archive(tmp_path, "wire", text)
    assert lint("--build", str(tmp_path), "symbols")[1] == "wire: wire.o: reaches json_load_file\n"
    archive(tmp_path, "fib", text.replace("get", "fib_get"))
    assert "fib: fib.o: reaches json_object\n" in lint("--build", str(tmp_path), "symbols")[1]


def test_a_pure_ring_may_not_call_an_outer_one_without_its_header(tmp_path):
    archive(tmp_path, "model", "int ui_x(void); int m(void); int m(void) { return ui_x(); }")
    archive(tmp_path, "ui", "int ui_x(void); int ui_x(void) { return 1; }")
    assert lint("--build", str(tmp_path), "symbols")[1] == "model: model.o: reaches ui_x\n"


def test_an_unbuilt_tree_is_no_success(tmp_path):
    assert lint("--build", str(tmp_path), "symbols")[0] == 1
