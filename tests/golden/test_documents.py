# SPDX-License-Identifier: GPL-2.0-or-later
"""The configurations that the documents show are taken as they stand, but for
where their VPN's files lie."""

import re

import pytest
from test_golden import CASES, NETWORK, ROOT, SALLYPORT, run


def text(path):
    with open(f"{ROOT}/{path}", encoding="utf-8") as file:
        return file.read()


def configurations():
    """{where: text} of all blocks with a section that begins a line."""
    blocks = {"README.md": re.findall(r"^```\n(.*?)^```", text("README.md"), re.M | re.S)}
    for page in "sallyport.8", "sallyport.conf.5":
        blocks[page] = [re.sub(r"^\.[A-Z].*\n", "", block, flags=re.M) for block in re.findall(
            r"^\.Bd -literal.*?\n(.*?)^\.Ed", text(f"man/{page}"), re.M | re.S)]
    return {f"{page}:{i}": block for page, of_page in blocks.items()
            for i, block in enumerate(of_page) if re.search(r"^\[(room|door)", block, re.M)}


def test_readme_and_manual_have_some():
    assert {where.split(":")[0] for where in configurations()} == {"README.md",
                                                                   "sallyport.conf.5"}
    assert len(configurations()) >= 3


@pytest.mark.parametrize("where", configurations())
def test_it_is_taken(where, tmp_path):
    conf = configurations()[where]
    for path in set(re.findall(r"^vpn = (/\S+)", conf, re.M)):
        file = "office.ovpn" if path.endswith(".ovpn") else "partner.wg"
        conf = conf.replace(path, f"{CASES}/{file}")
    (tmp_path / "shown.conf").write_text(conf)
    done = run(*NETWORK, SALLYPORT, "up", "--dry-run", f"{tmp_path}/shown.conf")
    assert done.returncode == 0, done.stdout
    assert "ip netns add shown.gate" in done.stdout
