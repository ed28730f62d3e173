"""What somebody with an export, or with the site's disk, can make of it; each is to be refused."""

import hashlib
import json
import struct
from collections.abc import Iterator
from random import Random
from typing import Any


def forgeries(export: bytes, random: Random) -> Iterator[tuple[str, bytes]]:
    """A name for what was done, and the export that it was done to."""
    lines = export.splitlines(keepends=True)
    records = [number for number, line in enumerate(lines) if json.loads(line)["line"] == "record"]
    one, other = sorted(random.sample(records[:-1], 2))
    before, line, behind = lines[:one], lines[one], lines[one + 1 :]
    changed = _written({**json.loads(line), "at_ms": json.loads(line)["at_ms"] + 60_000})
    yield "a time was changed", b"".join([*before, changed, *behind])
    yield "a record was taken out", b"".join([*before, *behind])
    swapped = [*lines]
    swapped[one], swapped[other] = lines[other], lines[one]
    yield "two records changed places", b"".join(swapped)
    yield "a record stands there twice", b"".join([*before, line, line, *behind])
    yield "the end was cut off", b"".join(lines[: other + 1])
    yield "a record and every hash behind it were made anew", b"".join(_made_anew([*before, changed, *behind]))
    yield "a signature is another one", b"".join([*lines[:-2], _signed_by_nobody(lines[-2]), lines[-1]])


def _made_anew(lines: list[bytes]) -> Iterator[bytes]:
    """As docs/audit.md says that the hashes are made."""
    previous = b""
    for content in lines:
        line = json.loads(content)
        if "previous" in line:
            previous = bytes.fromhex(line["previous"])
        if line["line"] == "record":
            parts = [line["stream"].encode(), line["kind"].encode(), line["payload"].encode()]
            parts.append(bytes.fromhex(line["body_sha256"]))
            head = struct.pack(">QqQIIII", line["seq"], line["at_ms"], line["body_bytes"], *map(len, parts))
            previous = hashlib.sha256(previous + head + b"".join(parts)).digest()
        if line["line"] in {"record", "end"}:
            line["hash"] = previous.hex()
        yield _written(line)


def _signed_by_nobody(content: bytes) -> bytes:
    line = json.loads(content)
    first = line["signature"][0]
    return _written({**line, "signature": ("B" if first == "A" else "A") + line["signature"][1:]})


def _written(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
