"""In which line of a TOML file something stands, so that an error takes a person there. Pure.

The standard library's parser says that only of what is not TOML at all. So the file is read once more, line by line,
for the heads of its tables and for names in front of an equals sign. What is written in another way (inline tables,
settings with quotes inside) has no line here: an error about it names the file and the setting alone.
"""

import re
from collections import Counter
from functools import cached_property
from typing import NamedTuple

_HEAD = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_-]+)\s*\]")
_NAME = re.compile(r"\s*([A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)?)\s*=(.*)")
_QUOTES = re.compile("\"\"\"|'''")


class ConfigurationFile:
    """A file that has been read: `path` as it was given, its text, and the SHA-256 of its bytes in hexadecimal."""

    def __init__(self, path: str, text: str, digest: str = "") -> None:
        self.path = path
        self.text = text
        self.digest = digest

    def at(self, name: str, number: int = 0) -> str:
        """Where a setting, a section or the `number`th table of a list (from 1) stands: `s3d.toml:12`."""
        line = self._lines.get(_Place(name, number)) or self._lines.get(_Place(name, number or 1))
        return self.path if line is None else f"{self.path}:{line}"

    @cached_property
    def _lines(self) -> dict["_Place", int]:
        return _places(self.text)


class _Place(NamedTuple):
    """A name as errors write it, and which table of a list it is in; 0: of none."""

    name: str
    number: int


def _places(text: str) -> dict[_Place, int]:
    """The line of everything that has one; of what is there twice the first."""
    found: dict[_Place, int] = {}
    tables: Counter[str] = Counter()
    table, number, inside = "", 0, ""
    for line, content in enumerate(text.split("\n"), start=1):
        if inside:
            inside = "" if content.count(inside) % 2 else inside
        elif head := _HEAD.match(content):
            table, number = head[2], 0
            if head[1] == "[[":
                tables[table] += 1
                number = tables[table]
            found.setdefault(_Place(table, number), line)
        elif name := _NAME.match(content):
            dotted = "".join(name[1].split())
            found.setdefault(_Place(f"{table}.{dotted}" if table else dotted, number), line)
            inside = _left_open(name[2])
    return found


def _left_open(value: str) -> str:
    """The quotes of a text that goes on in the next line; empty: none does."""
    quotes = _QUOTES.search(value)
    return quotes[0] if quotes is not None and value.count(quotes[0]) % 2 else ""
