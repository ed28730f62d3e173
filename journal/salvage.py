"""Which of the candidates that were found in damaged files are records, and what is lost between them. Pure.

A record proves the one before it: its hash covers the other's, and nobody finds another record with the same one. So
the chain is walked backwards, from a hash that is known (the mark's, or the one that the catalogue has of a closed
file's end) as far as it goes; where it ends, records are lost, and behind the loss it begins again with a record that
carries the hash of what it says. Everything that is kept is proven in this way. What is not, is lost, also where it can
be read: then it is told what it seems to have been.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from journal.record import LOST, Head, Lost, Record, chain_hash, follows, hash_after

Candidates = Mapping[int, Sequence[Record]]  # by sequence, newest first


class Hole(msgspec.Struct, frozen=True):
    """Records that are lost, from the `first` to the `last`, and the hash that the last one had.

    `seems` is what can still be read of them, unproven.
    """

    first: int
    last: int
    hash: bytes
    seems: tuple[Record, ...] = ()


class Chosen(msgspec.Struct, frozen=True):
    """What a file consists of: the records that are kept, by sequence, and the holes, in order; and where it ends."""

    kept: Mapping[int, Record]
    holes: tuple[Hole, ...]
    head: Head

    def records(self, origin: Head) -> Iterator[Record]:
        """All of them in order, with those that keep the places of lost ones."""
        previous, holes = origin, list(self.holes)
        time_ms = min((one.written_at for one in self.kept.values()), default=0)  # of a loss before all of them
        while previous.sequence < self.head.sequence:
            hole = holes[0] if holes and holes[0].first == previous.sequence + 1 else None
            if hole is None:
                record = self.kept[previous.sequence + 1]
                previous, time_ms = Head(record.sequence, record.hash), record.written_at
                yield record
                continue
            for record in places_of(holes.pop(0), previous.hash, time_ms):
                previous = Head(record.sequence, record.hash)
                yield record


def choose(candidates: Candidates, origin: Head, known: Mapping[int, bytes], last: int) -> Chosen:
    """Choose the records of a file after `origin`, up to `last`; `known` are hashes that are beyond doubt, by sequence.

    What is lost at the end and of which no hash is known has no place: then it ends before `last`.
    """
    proof = _Proof(candidates, {**known, origin.sequence: origin.hash})
    kept: dict[int, Record] = {}
    lost: dict[int, bytes | None] = {}
    required = known.get(last)
    for sequence in range(last, origin.sequence, -1):
        found = proof.of(sequence, required)
        if found is None:
            lost[sequence] = required
            required = proof.known.get(sequence - 1)
        else:
            kept[sequence], required = found
    while last > origin.sequence and last in lost and lost[last] is None:
        del lost[last]
        last -= 1
    holes = tuple(_holes(lost, candidates, last))
    head = origin if last == origin.sequence else Head(last, kept[last].hash if last in kept else holes[-1].hash)
    return Chosen(kept, holes, head)


class _Proof:
    def __init__(self, candidates: Candidates, known: Mapping[int, bytes]) -> None:
        self._candidates = candidates
        self.known = known

    def of(self, sequence: int, required: bytes | None) -> tuple[Record, bytes | None] | None:
        """The record of this number, and the hash that the one before it must have.

        With the hash `required`, or, where none is, with the one that it carries itself.
        """
        for before in (self._hashes(sequence - 1), self._computed(sequence - 1)):
            for record in self._candidates.get(sequence, ()):
                for previous in before:
                    wanted = record.hash if required is None else required
                    if hash_after(previous, record) == wanted:
                        return msgspec.structs.replace(record, hash=wanted), previous
        return self._place(sequence, required)

    def _place(self, sequence: int, required: bytes | None) -> tuple[Record, bytes | None] | None:
        """The last of records that were found to be lost before: it follows whatever was there."""
        for record in self._candidates.get(sequence, ()):
            if record.kind == LOST and follows(b"", record) and required in {None, record.hash}:
                return record, next(iter(self._hashes(sequence - 1)), None)
        return None

    def _hashes(self, sequence: int) -> Sequence[bytes]:
        known = self.known.get(sequence)
        return [known] if known is not None else [one.hash for one in self._candidates.get(sequence, ())]

    def _computed(self, sequence: int) -> Sequence[bytes]:
        """Those of records whose own hash was damaged: what is in them says what it was."""
        if sequence in self.known:
            return ()
        pairs = ((p, one) for one in self._candidates.get(sequence, ()) for p in self._hashes(sequence - 1))
        return [found for previous, one in pairs if (found := hash_after(previous, one)) is not None]


def _holes(lost: Mapping[int, bytes | None], candidates: Candidates, last: int) -> Iterator[Hole]:
    first: int | None = None
    for sequence in sorted(lost):
        first = first if first is not None else sequence
        if sequence + 1 not in lost:
            hash_ = lost[sequence]
            assert hash_ is not None, "what follows a loss has proven the hash before it"
            seems = tuple(candidates[one][0] for one in range(first, sequence + 1) if candidates.get(one))
            yield Hole(first, sequence, hash_, seems)
            first = None


def places_of(hole: Hole, previous: bytes, time_ms: int) -> Iterator[Record]:
    """The records that keep the places of lost ones; the last has the hash that was lost, so that the chain goes on."""
    payload = msgspec.json.encode(Lost(1, hole.first, hole.last, hole.hash.hex()))
    for sequence in range(hole.first, hole.last + 1):
        own = chain_hash(previous, sequence, time_ms, "", LOST, payload, b"", 0)
        previous = hole.hash if sequence == hole.last else own
        yield Record(sequence, time_ms, "", LOST, payload, b"", 0, previous)
