# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts that are expected, each in a file of its own."""
import os

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SALLYPORT = os.environ.get("SALLYPORT", f"{ROOT}/build/sallyport")


def expect(directory, name, text):
    """GOLDEN_REWRITE=1 writes the file anew; git shows what changed."""
    path = f"{directory}/{name}"
    if os.environ.get("GOLDEN_REWRITE"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    with open(path, encoding="utf-8") as file:
        expected = file.read()
    assert text.splitlines() == expected.splitlines()
    assert text == expected
