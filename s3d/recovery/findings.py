"""A look at a data directory in plain words: what it is, what it means for the data, what to do. Pure.

One list of checks, in the order in which a person would look. A check answers with findings; one that has nothing to
say answers that all is well, so that the table shows what was looked at.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from journal.record import Record
from journal.salvage import Hole
from s3d.recovery.look import Look
from s3d.values import split_stream
from s3d.view.looking import Owner

Severity = Literal["ok", "note", "warning", "damage"]
RECOVER = "s3d recover"
NAMES_IN_A_SENTENCE = 3
_MIB = 1024 * 1024


class Named(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that is affected. `operation` and names are what is known; `proven`: the chain says so."""

    sequence: int
    bucket: str = ""
    key: str = ""
    operation: str = ""
    only_here: bool = False
    proven: bool = True


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was found. `subject` is what was looked at, `means` says what it does to the data."""

    severity: Severity
    subject: str
    what: str
    means: str = ""
    do: str = ""
    named: tuple[Named, ...] = ()


def findings(look: Look) -> tuple[Finding, ...]:
    """Everything that is to be said, and "ok" of every subject of which nothing is."""
    return tuple(finding for check in _CHECKS for finding in check(look))


def needs_repair(found: Sequence[Finding]) -> bool:
    """Whether something is damaged."""
    return any(one.severity == "damage" for one in found)


def _directory(look: Look) -> Iterator[Finding]:
    directory = look.directory
    if directory.under_recovery:
        yield Finding(
            "damage",
            "directory",
            "a recovery of it was begun and has not ended",
            "no daemon starts on it until it has; nothing is lost by that",
            f"call `{RECOVER}` again: it goes on",
        )
    if directory.under_restore:
        yield Finding(
            "damage",
            "directory",
            "a backup is being restored into it, and that has not ended",
            "no daemon starts on it until it has; nothing is lost by that",
            "call the same `s3d backup restore` again: it goes on",
        )
    if directory.in_use:
        yield Finding("note", "directory", "a daemon is running on it: this is how it was at one moment")
    if directory.mode & 0o077:
        yield Finding(
            "warning",
            "directory",
            f"other users of this machine may enter it (mode {directory.mode & 0o777:o})",
            "what is stored here can be read without asking the daemon",
            f"chmod 700 {look.data_dir}",
        )
    if directory.strangers:
        yield Finding(
            "warning",
            "directory",
            f"{_some(directory.strangers)} belong to another user than the directory",
            "the daemon may not be able to write them",
            f"chown -R {look.data_dir} to the user that the daemon runs as",
        )
    if directory.free_bytes < directory.needed_bytes:
        free, needed = directory.free_bytes / _MIB, directory.needed_bytes / _MIB
        yield Finding(
            "warning",
            "volume",
            f"{free:.0f} MiB are free, and a start may need {needed:.0f} MiB",
            "nothing is lost: the daemon starts, reads and sends; what does not fit is refused",
            "free space on the volume",
        )
    else:
        yield Finding("ok", "volume", f"{directory.free_bytes / _MIB:,.0f} MiB free")


def _journal(look: Look) -> Iterator[Finding]:
    journal = look.journal
    if journal.hopeless:
        yield Finding("damage", "journal", journal.hopeless, "what is not at the remote may be lost", journal.hint)
        return
    if journal.mark_trouble:
        yield Finding(
            "damage",
            "mark",
            f"the file `mark` is {journal.mark_trouble}",
            "nothing of what is here is lost; but were records missing at the end, nobody could notice",
            f"`{RECOVER}` writes a new one and begins a new epoch",
        )
    else:
        assert journal.mark is not None, "there is trouble with it otherwise"
        yield Finding(
            "ok", "mark", f"record {journal.mark.head.sequence} was the last one to be acknowledged for certain"
        )
    sound = [file for file in journal.files if not file.trouble]
    if sound:
        records = sum(file.head.sequence - file.origin.sequence for file in sound)
        yield Finding(
            "ok", "journal", f"{_count(records, 'record')} in {_count(len(sound), 'file')}, each follows the last"
        )
    for file in journal.files:
        if file.trouble:
            yield _damaged_file(look, file.number)
    if look.bodies:
        yield _damaged_bodies(look)
    for lost in journal.known_losses:
        yield Finding(
            "note", "journal", f"{_range(lost.first, lost.last)} lost earlier, and known to be: a recovery said so"
        )


def _damaged_file(look: Look, number: int) -> Finding:
    file = next(one for one in look.journal.files if one.number == number)
    assert file.chosen is not None, "what is damaged was searched for what can be saved"
    what = f"{file.name}: {' '.join(file.trouble.split())}"
    kept, holes = len(file.chosen.kept), file.chosen.holes
    do = f"`{RECOVER}` writes the file anew with what is whole"
    if not holes:
        return Finding(
            "damage", "journal", what, f"nothing is lost: all {_count(kept, 'record')} in it can be read", do
        )
    lost = ", ".join(_range(hole.first, hole.last) for hole in holes[:NAMES_IN_A_SENTENCE])
    more = "" if len(holes) <= NAMES_IN_A_SENTENCE else f" and {len(holes) - NAMES_IN_A_SENTENCE} more such places"
    means = f"{lost}{more} cannot be saved; {_count(kept, 'record')} can"
    if look.view.state != "sound":
        means += "; without a view that is whole a key of theirs may show its version before"
    if file.state == "active" and not look.journal.has_log and any(h.last == file.chosen.head.sequence for h in holes):
        do = f"was it copied without {file.name}-wal? Look for that file first. {do}, and says in it what is lost"
    else:
        do = f"{do}, and says in it what is lost"
    return Finding("damage", "journal", what, means, do, lost_records(look, holes))


def lost_records(look: Look, holes: Sequence[Hole]) -> tuple[Named, ...]:
    """What is known of records that cannot be saved: by the view, and by what can still be read of them, unproven."""
    known = {owner.sequence: owner for owner in look.lost}
    found: dict[int, Named] = {}
    for hole in holes:
        seems = {record.sequence: record for record in hole.seems}
        for sequence in sorted({*seems, *(one for one in known if hole.first <= one <= hole.last)}):
            owner = known.get(sequence)
            found[sequence] = _named(owner) if owner is not None else _seeming(seems[sequence])
    return tuple(found.values())


def _named(owner: Owner) -> Named:
    return Named(owner.sequence, owner.bucket, owner.key, only_here=owner.only_here)


def _seeming(record: Record) -> Named:
    bucket, key = split_stream(record.stream)
    return Named(record.sequence, bucket, key, operation=record.kind, proven=False)


def _damaged_bodies(look: Look) -> Finding:
    """Without a view nobody knows whose they are: then they count as being here only."""
    only_here = [one for one in look.bodies if one.only_here or not look.blobs.asked]
    return Finding(
        "damage" if only_here else "warning",
        "journal",
        f"the bodies in the rows of {_count(len(look.bodies), 'record')} are not what was written",
        _fate(only_here, look.bodies),
        "put those objects again: `s3d parked list` names them when they are sent" if only_here else "check the disk",
        tuple(_named(one) for one in look.bodies),
    )


def _base(look: Look) -> Iterator[Finding]:
    trouble, catalogue = look.journal.base_trouble, look.journal.catalogue
    if not trouble:
        if catalogue is not None and catalogue.base is not None:
            yield Finding("ok", "base", f"{catalogue.base.name}, up to record {catalogue.base.position}")
        return
    assert catalogue is not None, "it is the catalogue that names the base"
    dropped = catalogue.oldest.sequence
    if not dropped:
        yield Finding("warning", "base", trouble, "nothing is lost: all records are here, and the daemon makes another")
    elif look.view.state == "sound":
        yield Finding(
            "damage",
            "base",
            trouble,
            f"records 1 to {dropped} were dropped: only the view still says what was in them",
            f"`{RECOVER}` makes a base of the view",
        )
    else:
        yield Finding(
            "damage",
            "base",
            trouble,
            f"records 1 to {dropped} were dropped, and nothing here says any more what was in them",
            "restore a backup; `s3d replay` sends what is pending",
        )


def _view(look: Look) -> Iterator[Finding]:
    view = look.view
    if view.state == "sound":
        behind = "" if look.journal.hopeless else _behind(look.journal.head.sequence, view.position)
        yield Finding("ok", "view", f"up to record {view.position}{behind}")
    elif view.state == "damaged":
        yield Finding(
            "damage",
            "view",
            f"view.db: {view.why}",
            "nothing is lost: it is made of the journal",
            f"`{RECOVER}` puts it aside and folds it again",
        )
    elif view.state == "missing":
        yield Finding("note", "view", "view.db is not there", "nothing is lost: the next start folds it again")
    else:
        yield Finding(
            "note", "view", f"view.db is {view.state}: {view.why}", "nothing is lost: the next start folds it again"
        )


def _blobs(look: Look) -> Iterator[Finding]:
    blobs = look.blobs
    read = "every byte of them read" if blobs.checked_bytes >= 0 else "their names and ends looked at"
    if not blobs.troubles:
        said = f"{_count(blobs.count, 'file')}, {blobs.bytes / _MIB:,.1f} MiB; {read}"
        yield Finding("ok", "bodies", said if blobs.asked else f"{said}; which are needed only a view can say")
    for only_here in (True, False):
        some = [one for one in blobs.troubles if one.owner.only_here == only_here]
        if some:
            yield Finding(
                "damage" if only_here else "warning",
                "bodies",
                f"{_count(len(some), 'body', 'bodies')} in files: {_some(sorted({one.why for one in some}))}",
                _fate([one.owner for one in some if only_here], [one.owner for one in some]),
                "put those objects again, or restore the files `blobs/…` from a backup"
                if only_here
                else "check the disk",
                tuple(_named(one.owner) for one in some if one.owner.sequence),
            )
    if blobs.unnamed:
        size = sum(size for _, size in blobs.unnamed) / _MIB
        yield Finding(
            "note",
            "bodies",
            f"{_count(len(blobs.unnamed), 'file')} that nothing needs, {size:,.1f} MiB",
            "of uploads that were cut off, or of what was replaced since; the daemon removes them",
        )


_CHECKS: Sequence[Callable[[Look], Iterator[Finding]]] = (_directory, _journal, _base, _view, _blobs)


def _fate(only_here: Sequence[Owner], all_: Sequence[Owner]) -> str:
    if only_here:
        return f"{_names(only_here)}: lost, unless whoever wrote it still has it; the remote does not"
    if any(one.sequence for one in all_):
        return "nothing is lost: the remote has confirmed them, and a GET fetches them from there"
    return "nothing is lost: they are cached copies of what the remote has"


def _names(owners: Sequence[Owner]) -> str:
    return _some(
        [
            f"{one.bucket}/{one.key} (record {one.sequence})" if one.bucket else f"record {one.sequence}"
            for one in owners
        ]
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_IN_A_SENTENCE
    return ", ".join(names[:NAMES_IN_A_SENTENCE]) + (f" and {more} more" if more > 0 else "")


def _range(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first} to {last}"


def _count(count: int, noun: str, nouns: str = "") -> str:
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def _behind(head: int, position: int) -> str:
    if position > head:
        return f", {position - head} more than the journal has"
    return (
        f", {_count(head - position, 'record')} behind the journal: the next start catches up"
        if position < head
        else ""
    )
