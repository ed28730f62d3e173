"""The commands that a page of the documentation prints behind a `$`, with what stands in their places in a drill.

A page says in a table, under the heading THE_TABLE, which of its words are examples. Whoever follows the page has to
say what each of them is, and no other.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
THE_TABLE = "| on this page | in the drill |"
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WORD = re.compile("`([^`]+)`")


def commands(text: str, stands_for: Mapping[str, str], heading: str = "") -> list[list[str]]:
    """Every command as its words, in the order of the page, or of the part of it under a heading.

    Raises AssertionError where the table says otherwise.
    """
    assert examples(text) == set(stands_for), "the table of the page has other words than these"
    if heading:
        assert f"\n## {heading}\n" in text, f"the page has no part {heading!r}"
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    typed = [line[2:] for block in _BLOCK.findall(text) for line in block.splitlines() if line.startswith("$ ")]
    found = [[stands_for.get(word, word) for word in shlex.split(line, comments=True)] for line in typed]
    used = {word for line in typed for word in shlex.split(line, comments=True)}
    assert used >= set(stands_for), f"no command has {set(stands_for) - used}"
    return found


def examples(text: str) -> set[str]:
    """The words in the left column of the page's table."""
    _, found, rest = text.partition(f"{THE_TABLE}\n")
    assert found, f"the page has no table with the head {THE_TABLE}"
    rows = rest.partition("\n\n")[0].splitlines()[1:]
    return {word for row in rows for word in _WORD.findall(row.split("|")[1])}


def program(text: str) -> str:
    """The Python program that the page prints."""
    (found,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)
