"""The journal alone, killed while it appends: many more commits per kill than a whole daemon makes.

    python tests/kill/journal_rounds.py DIRECTORY ROUNDS SEED

One process forks a child for each round. The child opens the journal, compares it with every acknowledgement that its
parent has collected so far (it inherits them in memory), and then appends until SIGKILL; each acknowledgement goes to
the parent through a pipe, which the kill cannot empty. Exit code 1 and a line on standard error when a record is lost.
"""

import asyncio
import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Sequence

from journal import Decision, Entry, Journal, JournalError, Record, SqliteBackend

APPENDERS = 8
APPEND_SECONDS_MAX = 0.05
OPEN_SECONDS_MAX = 20.0
WHILE_OPENING = 0.2
ROUNDS_PER_JOURNAL = 50
SIZES = (0, 10, 4096, 65_536)
Acknowledged = dict[int, int]  # sequence to number; what was written follows from the number


class Nothing:
    """A state that folds nothing: only the log itself is of interest."""

    position = 0

    def begin(self) -> None:
        pass

    def decide(self, command: object, sequence: int, now_ms: int) -> Decision:
        raise AssertionError("nobody decides here")

    def fold(self, record: Record) -> None:
        self.position = record.sequence

    def fold_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self.fold(record)

    def publish(self) -> None:
        pass

    def revert(self) -> None:
        pass

    def discard(self) -> None:
        self.position = 0


def entry_of(number: int) -> Entry:
    """What is appended as this number."""
    chance = random.Random(number)
    body = chance.randbytes(chance.choice(SIZES))
    return Entry(f"stream {number % 7}", "Put", str(number).encode(), body, hashlib.sha256(body).digest(), len(body))


def main(directory: str, rounds: int, seed: int) -> int:
    """Kill so many times; the exit code."""
    chance = random.Random(seed)
    total = 0
    for start in range(0, rounds, ROUNDS_PER_JOURNAL):
        acknowledged: Acknowledged = {}
        for index in range(start, min(start + ROUNDS_PER_JOURNAL, rounds)):
            lost = one_round(f"{directory}/{start}", acknowledged, chance)
            if lost:
                print(f"round {index}, seed {seed}: {lost}", file=sys.stderr)
                return 1
        total += len(acknowledged)
    print(f"{rounds} kills, {total} records acknowledged, none lost")
    return 0


def one_round(directory: str, acknowledged: Acknowledged, chance: random.Random) -> str:
    """Fork, kill, collect. What the child found to be lost; empty: nothing."""
    reader, writer = os.pipe()
    first = max(acknowledged.values(), default=0) + 1_000_000  # never a number that an earlier child may have used
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            asyncio.run(child(directory, acknowledged, writer, first))
        finally:
            os._exit(0)
    os.close(writer)
    lines = b""
    if chance.random() < WHILE_OPENING:
        time.sleep(chance.uniform(0, APPEND_SECONDS_MAX))
    else:
        os.set_blocking(reader, False)
        lines = until_open(reader)
        time.sleep(chance.uniform(0, APPEND_SECONDS_MAX))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.set_blocking(reader, True)
    while piece := os.read(reader, 65536):
        lines += piece
    os.close(reader)
    return collect(lines.decode(), acknowledged)


def until_open(reader: int) -> bytes:
    """What the child says until it has compared the journal with what it knows."""
    lines = b""
    deadline = time.monotonic() + OPEN_SECONDS_MAX
    while not lines.startswith((b"open\n", b"lost")) and time.monotonic() < deadline:
        try:
            lines += os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.001)
    return lines


def collect(text: str, acknowledged: Acknowledged) -> str:
    """Take the acknowledgements down; what was lost. The kill may have cut the last line."""
    for line in text.split("\n")[:-1]:
        word, _, rest = line.partition(" ")
        if word == "lost":
            return rest
        if word == "ack":
            sequence, number = map(int, rest.split())
            if sequence in acknowledged:
                return f"record {sequence} was acknowledged twice"
            acknowledged[sequence] = number
    return ""


async def child(directory: str, acknowledged: Acknowledged, pipe: int, first: int) -> None:
    """Open, compare, then append for ever."""
    try:
        journal = await Journal.open(SqliteBackend(directory, ballast_bytes=0), Nothing())
        await compare(journal, acknowledged)
    except (JournalError, AssertionError) as error:
        os.write(pipe, f"lost {error}\n".encode())
        return
    os.write(pipe, b"open\n")
    await asyncio.gather(*(append(journal, pipe, first + index) for index in range(APPENDERS)))


async def compare(journal: Journal, acknowledged: Acknowledged) -> None:
    """Every acknowledged record is there with its bytes, and the chain holds."""
    await journal.verify()
    last = max(acknowledged, default=0)
    assert journal.head.sequence >= last, f"record {last} was acknowledged, the journal ends at {journal.head.sequence}"
    for record in journal.read(0, 1_000_000):
        number = acknowledged.get(record.sequence)
        if number is not None:
            wanted = entry_of(number)
            assert (record.stream, record.payload) == (wanted.stream, wanted.payload), (
                f"record {record.sequence} differs"
            )
            assert (journal.body(record.sequence) or b"") == wanted.body, f"the body of {record.sequence} differs"


async def append(journal: Journal, pipe: int, number: int) -> None:
    """Append one after the other, and say so only after each is acknowledged."""
    while True:
        records = await journal.append([entry_of(number)])
        os.write(pipe, f"ack {records[0].sequence} {number}\n".encode())
        number += APPENDERS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
