"""What is to become of each journal file, and why. Pure.

    active → closed → sealed → dropped

A closed file is sealed (it loses its inline bodies) when the remote has what was in it, and newer files hold enough
bytes for reads without the link. A little that is still needed is moved to blobs first, so that one key that waits for
a person pins nothing (decision 7). However much it is, it is moved where waiting would pin more: what stays local would
never leave, and a file older than one that is to be dropped holds it up (an upload that nobody goes on with does).
A sealed file is dropped, oldest first, when it is beyond what is to be retained and a base covers it (decision 6).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from journal import FileInfo
from s3d.view.needs import FileNeeds

MOVED_SHARE = 0.1  # of a file: more than that stays where it is
BASE_RECORDS = 500_000  # so many are folded at most after a power cut, in half a minute
CLOCK_TOLERANCE_MS = 3_600_000
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings; 0 is no limit by that."""

    keep_unsealed_bytes: int
    retain_files: int
    retain_bytes: int
    retain_days: int
    has_remote: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand. `may_drop_by_age` is False while the clock is not verified, or one was dropped lately;
    `may_make_base` while there was no room for one lately.
    """

    now_ms: int
    disk_is_low: bool
    may_drop_by_age: bool
    may_make_base: bool = True


@dataclass(frozen=True, slots=True)
class Seal:
    """Give up the bodies of a closed file."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Relocate:
    """Move the bodies that are still needed out of a closed file."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Carry:
    """Keep pending records of a sealed file elsewhere too."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class MakeBase:
    """Take a snapshot of the view; `number` is the file that waits for it, 0: none."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget the oldest file; `by_age`: for no other reason than its age."""

    number: int
    reason: str
    by_age: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Leave a file as it is."""

    number: int
    reason: str


Action = Seal | Relocate | Carry | MakeBase | Drop | Keep
# What frees space comes first, but for the base that bounds a rebuild: sealing many files may take an hour.
_URGENCY: Mapping[type, int] = {Drop: 0, MakeBase: 1, Seal: 2, Carry: 3, Relocate: 4}


def decide(
    files: Sequence[FileInfo],
    needs: Mapping[int, FileNeeds],
    base_position: int,
    limits: Limits,
    moment: Moment,
    held: Mapping[int, str],
) -> list[Action]:
    """One action for each file, oldest first, and perhaps a base for its own sake.

    `needs` says what of a file is still needed, as far as that is known; `held` which files had better not be touched,
    and why.
    """
    actions = [*_sealed_actions(files, needs, base_position, limits, moment, held)]
    actions += _closed_actions(files, needs, limits, moment, held)
    active = files[-1]
    actions.append(Keep(active.number, "being written"))
    behind = active.last - base_position
    wanted = behind >= BASE_RECORDS and moment.may_make_base and not moment.disk_is_low
    if wanted and not any(isinstance(one, MakeBase) for one in actions):
        actions.append(MakeBase(0, f"{behind:,} records would have to be folded after a power cut"))
    return sorted(actions, key=lambda one: one.number or active.number + 1)


def next_action(actions: Sequence[Action]) -> Action | None:
    """What to do first; None: nothing."""
    due = [action for action in actions if not isinstance(action, Keep)]
    return min(due, key=lambda one: (_URGENCY[type(one)], one.number), default=None)


def asks_for(files: Sequence[FileInfo], limits: Limits, moment: Moment) -> list[int]:
    """The files whose needs `decide` has to know."""
    due = [file.number for file, reason, _ in _due(files, limits, moment) if reason][:1]
    return due + [file.number for file, newer in _closed(files) if not _stays(newer, limits, moment)]


def clock_is_verified(now_ms: int, last_record_ms: int, wall_elapsed_ms: int, steady_elapsed_ms: int) -> bool:
    """Whether ages may be believed (decision 20): not before the last record, and no jump since this process began."""
    return now_ms >= last_record_ms and abs(wall_elapsed_ms - steady_elapsed_ms) <= CLOCK_TOLERANCE_MS


# sealed files: retention


def _sealed_actions(
    files: Sequence[FileInfo],
    needs: Mapping[int, FileNeeds],
    base_position: int,
    limits: Limits,
    moment: Moment,
    held: Mapping[int, str],
) -> Iterator[Action]:
    waits_for = 0
    for file, reason, by_age in _due(files, limits, moment):
        if file.state != "sealed":
            waits_for = waits_for or file.number
        elif not reason:
            yield Keep(file.number, _retention(limits))
            waits_for = waits_for or file.number
        elif waits_for:
            yield Keep(file.number, f"files are dropped oldest first, and {waits_for} is still kept")
        else:
            drop = Drop(file.number, reason, by_age)
            action = _or_before(drop, file, needs.get(file.number), base_position, held.get(file.number))
            if isinstance(action, MakeBase) and not moment.may_make_base:
                action = Keep(file.number, "there was no room for a base that covers it; trying again later")
            yield action
            waits_for = file.number


def _or_before(drop: Drop, file: FileInfo, needs: FileNeeds | None, base_position: int, held: str | None) -> Action:
    """The drop, or what has to be done before it."""
    if held is not None:
        return Keep(file.number, held)
    if needs is None:
        return Keep(file.number, "being examined")
    if needs.records > (file.last - file.first + 1) * MOVED_SHARE:
        return Keep(file.number, f"{_count(needs.records, 'record')} in it wait for the remote")
    if needs.records:
        return Carry(file.number, drop.reason)
    if base_position < file.last:
        return MakeBase(file.number, drop.reason)
    return drop


def _due(files: Sequence[FileInfo], limits: Limits, moment: Moment) -> Iterator[tuple[FileInfo, str, bool]]:
    """Each file but the active one; why it is not retained any longer (empty: it is); whether that is its age."""
    older = files[:-1]
    sizes = [file.size_bytes if file.state == "sealed" else 0 for file in older]
    beyond = list(accumulate(reversed(sizes)))[::-1]  # of a file and all newer ones
    counts = list(accumulate(int(file.state == "sealed") for file in reversed(older)))[::-1]
    for file, bytes_from_here, count_from_here in zip(older, beyond, counts, strict=True):
        age_ms = moment.now_ms - file.last_written_at_ms
        if limits.retain_files and count_from_here > limits.retain_files:
            yield file, f"{limits.retain_files} sealed files are retained", False
        elif limits.retain_bytes and bytes_from_here > limits.retain_bytes:
            yield file, f"{limits.retain_bytes:,} bytes of sealed files are retained", False
        elif limits.retain_days and age_ms > limits.retain_days * DAY_MS and moment.may_drop_by_age:
            yield file, f"{limits.retain_days} days of sealed files are retained", True
        else:
            yield file, "", False


def _retention(limits: Limits) -> str:
    bounds = [
        *([f"{limits.retain_files} files"] if limits.retain_files else []),
        *([f"{limits.retain_bytes:,} bytes"] if limits.retain_bytes else []),
        *([f"{limits.retain_days} days"] if limits.retain_days else []),
    ]
    return f"retained, up to {' or '.join(bounds)}" if bounds else "retained without limit"


# closed files: sealing


def _closed_actions(
    files: Sequence[FileInfo],
    needs: Mapping[int, FileNeeds],
    limits: Limits,
    moment: Moment,
    held: Mapping[int, str],
) -> Iterator[Action]:
    due = [file.number for file, why, _ in _due(files, limits, moment) if why and file.state == "sealed"]
    for file, newer_bytes in _closed(files):
        if file.number in held:
            yield Keep(file.number, held[file.number])
        elif stays := _stays(newer_bytes, limits, moment):
            yield Keep(file.number, stays)
        else:
            yield _seal(file, needs.get(file.number), moment, holds_up=file.number < max(due, default=0))


def _seal(file: FileInfo, needs: FileNeeds | None, moment: Moment, *, holds_up: bool) -> Action:
    if needs is None:
        return Keep(file.number, "being examined")
    if needs.bodies == 0:
        return Seal(file.number, "the volume is nearly full" if moment.disk_is_low else "no body in it is needed")
    what = f"{_count(needs.bodies, 'body', 'bodies')} of {needs.body_bytes:,} bytes in it"
    if holds_up:
        return Relocate(file.number, f"{what} are needed, and newer files cannot be dropped before it")
    if needs.body_bytes - needs.staying_bytes > file.size_bytes * MOVED_SHARE:
        return Keep(file.number, f"{what} wait for the remote")
    return Relocate(file.number, f"only {what} are needed")


def _closed(files: Sequence[FileInfo]) -> Iterator[tuple[FileInfo, int]]:
    """Each closed file with the bytes of all newer files that have their bodies."""
    newer_bytes, found = 0, []
    for file in reversed(files):
        if file.state == "closed":
            found.append((file, newer_bytes))
        if file.state != "sealed":
            newer_bytes += file.size_bytes
    return reversed(found)


def _stays(newer_bytes: int, limits: Limits, moment: Moment) -> str:
    """Why a closed file keeps its bodies whatever is in it; empty: it need not."""
    if not limits.has_remote:
        return "no remote is configured: nothing is anywhere else"
    if newer_bytes < limits.keep_unsealed_bytes and not moment.disk_is_low:
        return "recent: its bodies are read without the link"
    return ""


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"
