"""A copy of the active file and its log as they were at one moment, without touching either."""

import os
import shutil

from journal.errors import JournalError
from journal.files import file_name
from journal.mark import MARK_BYTES, MARK_NAME, Mark, newest_slot
from journal.survey import unsealed_numbers

_ATTEMPTS = 10
_LOG_HEADER_BYTES = 32  # the WAL's header holds salts that change whenever the log is begun anew


def active_path(directory: str, mark: Mark | None) -> str:
    """The file that the mark names, or the highest one; that a newer one may be on its way does not matter."""
    numbers = unsealed_numbers(os.listdir(directory))
    number = mark.file_number if mark is not None and mark.file_number in numbers else (numbers or [1])[-1]
    return f"{directory}/{file_name(number)}"


def read_mark(directory: str) -> Mark | None:
    """The mark, if there is one that can be read. To be read before the copy: its records are in the copy then."""
    try:
        with open(f"{directory}/{MARK_NAME}", "rb") as file:
            content = file.read(MARK_BYTES)
    except FileNotFoundError:
        return None
    newest = newest_slot(content)
    return newest.mark if newest is not None else None


def copy_consistently(source: str, target_directory: str) -> str:
    """Copy a database and its log; the copy's path. Raises JournalError when it is written too fast, or OSError."""
    target = f"{target_directory}/{os.path.basename(source)}"
    for _ in range(_ATTEMPTS):
        before = _log_header(source)
        shutil.copyfile(source, target)
        _copy_log(source, target)
        if _log_header(source) == before:
            return target
    raise JournalError(
        "the journal is written too fast to be copied",
        hint="ask the daemon itself (`s3d audit`), or stop it for the inspection",
    )


def _copy_log(source: str, target: str) -> None:
    try:
        shutil.copyfile(f"{source}-wal", f"{target}-wal")
    except FileNotFoundError:
        if os.path.exists(f"{target}-wal"):
            os.unlink(f"{target}-wal")


def _log_header(path: str) -> bytes:
    try:
        with open(f"{path}-wal", "rb") as file:
            return file.read(_LOG_HEADER_BYTES)
    except FileNotFoundError:
        return b""
