"""Carry out a recovery: step by step, each of which can be done again, so that it may be killed at any moment.

The plan lies in the directory while it is carried out; no daemon starts on it before its end. Nothing is deleted: what
is replaced is moved below `set-aside`. The journal is written beside the old one, verified, synced, and only then put
in its place.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import msgspec

from journal import Entry, Journal, Record, SqliteBackend, adopt
from journal.copying import read_mark
from journal.diagnosis import diagnose, opened
from journal.disk import Disk, write_durably
from journal.export import record_line
from journal.opening import take_lock
from journal.rebuilding import NewBase, rebuild
from s3d.app.examining import copied_view
from s3d.blobs.files import BlobFiles
from s3d.clock import Clock, milliseconds
from s3d.commands.machine import StateMachine
from s3d.errors import DataDirectoryError
from s3d.events import OUTCOME_STREAM, RECOVERED, Recovered, decode_recovered, encode
from s3d.recovery.look import PLAN_NAME
from s3d.recovery.plan import UNPROVEN, Plan, Step
from s3d.view.snapshot import take_snapshot
from s3d.view.trust import CLEAN_NAME, RUN_NAME, ViewTrust, this_boot
from s3d.view.view import View

_VIEW_FILES = ("view.db", "view.db-wal", "view.db-shm", RUN_NAME, CLEAN_NAME)
_BUILDING, _BUILT = "journal.recovering", "journal.recovered"
_NEVER_ROTATE_BYTES = 1 << 50
_PAGE_RECORDS = 1000
_ROOM_BYTES = 16 * 1024 * 1024


def read_plan(data_dir: str) -> Plan | None:
    """The plan of a recovery that has not ended; None: there is none. Raises DataDirectoryError or OSError."""
    try:
        with open(f"{data_dir}/{PLAN_NAME}", "rb") as file:
            return msgspec.json.decode(file.read(), type=Plan)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.MsgspecError as error:
        raise DataDirectoryError(
            f"{data_dir}/{PLAN_NAME} is no plan of a recovery: {error}", hint="move it away, and look again"
        ) from error


def write_plan(disk: Disk, path: str, plan: Plan) -> None:
    """Write a plan to a file, durably, in the place of one that is there. Raises OSError."""
    write_durably(disk, path, msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")


class Recovery:
    """Carries out the plan of a stopped data directory."""

    def __init__(self, data_dir: str, plan: Plan, disk: Disk, clock: Clock) -> None:
        self._directory = data_dir
        self._plan = plan
        self._disk = disk
        self._clock = clock
        self._aside = f"{data_dir}/{plan.set_aside}"

    def carry_out(self, told: Callable[[Step], object]) -> Plan:
        """All steps that are not done yet; `told` before each. The plan is then where the old files are.

        Raises DataDirectoryError when the directory is in use, JournalError or OSError.
        """
        with self._locked():
            self._disk.make_directory(self._aside)
            write_plan(self._disk, f"{self._directory}/{PLAN_NAME}", self._plan)
            for number, step in enumerate(self._plan.steps):
                if number >= self._plan.done:
                    told(step)
                    self._do(step)
                    self._plan = msgspec.structs.replace(self._plan, done=number + 1)
                    write_plan(self._disk, f"{self._directory}/{PLAN_NAME}", self._plan)
            self._move(PLAN_NAME)
        return self._plan

    def _do(self, step: Step) -> None:
        match step.action:
            case "write-journal":
                self._write_journal()
            case "write-mark":
                if read_mark(f"{self._directory}/journal") is None:
                    adopt(f"{self._directory}/journal", disk=self._disk)
            case "set-aside-view":
                for name in _VIEW_FILES:
                    self._move(name)
            case "fold":
                asyncio.run(self._fold())
            case "set-aside-bodies":
                self._set_bodies_aside()

    def _write_journal(self) -> None:
        """The old one is aside only while the new one is there whole, under one name or the other."""
        journal, built, disk = f"{self._directory}/journal", f"{self._directory}/{_BUILT}", self._disk
        aside = f"{self._aside}/journal"
        if not disk.exists(aside):
            if not disk.exists(built):
                self._build()
            self._rename(journal, aside)
        if disk.exists(built):
            self._rename(built, journal)
        if disk.exists(f"{aside}/ballast") and not disk.exists(f"{journal}/ballast"):
            self._rename(f"{aside}/ballast", f"{journal}/ballast")  # it would take the space twice

    def _build(self) -> None:
        building, journal = f"{self._directory}/{_BUILDING}", f"{self._directory}/journal"
        if self._disk.exists(building):
            shutil.rmtree(building)  # copies and links of an earlier try
        self._disk.make_directory(building)
        with closing(take_lock(self._disk, journal)):
            found = diagnose(journal)
            base = self._base_of_view(building) if self._plan.base_of_view else None
            with opened(journal) as copied:
                _, head = rebuild(copied, found, building, self._disk, base=base, new_epoch=self._plan.new_epoch)
                for file in found.files:
                    for record, body in copied.unproven(file):
                        self._keep_unproven(record, body)
        if head.sequence != self._plan.head:
            raise DataDirectoryError(
                f"the journal has changed since it was looked at: it ends at record {head.sequence}",
                hint=f"move {self._directory}/{PLAN_NAME} away, and look again",
            )
        self._rename(building, f"{self._directory}/{_BUILT}")

    def _keep_unproven(self, record: Record, body: bytes | None) -> None:
        """For a person: the record as a line of JSON, and the body that was in its row, under its number."""
        directory = f"{self._aside}/{UNPROVEN}"
        self._disk.make_directory(directory)
        for name, content in (
            (f"{record.sequence}.json", record_line(record).encode()),
            (f"{record.sequence}.body", body),
        ):
            if content is not None:
                write_durably(self._disk, f"{directory}/{name}", content)

    def _base_of_view(self, building: str) -> NewBase:
        found = diagnose(f"{self._directory}/journal")
        with copied_view(self._directory, found, live=False) as view:
            if view.connection is None or view.look.state != "sound":
                raise DataDirectoryError(
                    f"the view was to become the base, and is {view.look.state}",
                    hint=f"move {self._directory}/{PLAN_NAME} away, and look again",
                )
            name = f"base-{view.look.position:012d}.db"
            position, digest = take_snapshot(view.connection, self._disk, building, name)
        return NewBase(position, name, digest)

    async def _fold(self) -> None:
        """As a daemon starts and stops."""
        directory, disk = self._directory, self._disk
        trust = ViewTrust(disk, directory, *this_boot(directory))
        trusted, token = trust.begin()
        view = View(f"{directory}/view.db", token=token, trusted=trusted)
        backend = SqliteBackend(f"{directory}/journal", disk=disk, ballast_bytes=0, file_bytes_max=_NEVER_ROTATE_BYTES)
        machine = StateMachine(view, has_remote=True, origin=backend)
        journal = await Journal.open(backend, machine, now_ms=lambda: milliseconds(self._clock.now()))
        try:
            if not self._is_recorded(journal):
                await journal.append([Entry(OUTCOME_STREAM, RECOVERED, encode(self._record()))])
        finally:
            await journal.close()
            synced = view.close(sync=True)
        if synced:
            trust.end_clean(token)

    def _is_recorded(self, journal: Journal) -> bool:
        after = self._plan.head
        while page := journal.read(after, _PAGE_RECORDS):
            for record in page:
                if record.kind == RECOVERED and decode_recovered(record.payload).recovery == self._plan.made_at:
                    return True
            after = page[-1].sequence
        return False

    def _record(self) -> Recovered:
        plan = self._plan
        return Recovered(
            recovery=plan.made_at,
            claimed=plan.caller,
            steps=tuple(step.action for step in plan.steps),
            lost=tuple((loss.first, loss.last) for loss in plan.losses),
        )

    def _set_bodies_aside(self) -> None:
        """The daemon would collect what nothing names; what was cached it may."""
        files, cached = BlobFiles(self._disk, f"{self._directory}/blobs"), self._cached_before()
        with copied_view(self._directory, diagnose(f"{self._directory}/journal"), live=False) as view:
            needed = view.named_blobs()
            if not view.answers:
                raise DataDirectoryError(f"the view cannot say which bodies are needed: {view.look.why}")
        for blob in files.ids():
            if len(blob) == 32 and blob not in cached and blob not in needed:
                self._disk.make_directory(f"{self._aside}/blobs")
                self._disk.rename(files.path(blob), f"{self._aside}/blobs/{blob}")

    def _cached_before(self) -> frozenset[str]:
        """What the view that was put aside had of the remote's objects; they can be fetched again."""
        found = diagnose(f"{self._directory}/journal")
        with copied_view(self._aside, found, live=False) as view:
            return view.cached_blobs()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._disk.lock(f"{self._directory}/lock")
        if lock is None:
            raise DataDirectoryError(
                f"a daemon uses the data directory {self._directory}", hint="stop it first; nothing was changed"
            )
        with closing(lock):
            yield

    def _move(self, name: str) -> None:
        """Put a file of the data directory aside, if it is still there."""
        if self._disk.exists(f"{self._directory}/{name}"):
            self._rename(f"{self._directory}/{name}", f"{self._aside}/{name}")

    def _rename(self, source: str, target: str) -> None:
        self._disk.rename(source, target)
        self._disk.sync_directory(os.path.dirname(target))
        self._disk.sync_directory(os.path.dirname(source))


def refuse_without_room(data_dir: str, plan: Plan, disk: Disk) -> None:
    """Raise DataDirectoryError when what is written anew may not fit."""
    if not any(step.action == "write-journal" for step in plan.steps):
        return
    journal = f"{data_dir}/journal"
    written = [name for name in os.listdir(journal) if ".db" in name and ".sealed." not in name]
    needed = _ROOM_BYTES + sum(os.path.getsize(f"{journal}/{name}") for name in written)
    if plan.base_of_view:
        needed += os.path.getsize(f"{data_dir}/view.db")
    free = disk.free_bytes(data_dir)
    if free < needed:
        raise DataDirectoryError(
            f"the journal is written anew beside the old: that may take {needed >> 20} MiB: {free >> 20} MiB are free",
            hint=f"nothing was changed; free space, or move a copy of {data_dir} to a larger volume",
        )
