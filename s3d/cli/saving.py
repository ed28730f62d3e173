"""Save a record of a daemon in files that are named by its number: what a client called it never becomes a path."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from s3d.cli.asking import AdminClient
from s3d.errors import S3dError


class Exported(msgspec.Struct, frozen=True):
    """Where a record was saved."""

    seq: str
    stream: str
    bytes: int
    record: str
    body: str


def save_record(client: AdminClient, sequence: str, directory: Path) -> Exported:
    """Save what a pending record was, and its bytes. Raises S3dError, having left neither file of this record."""
    from s3d.telemetry.report import RecordReport

    found = client.get(f"/records/{sequence}", RecordReport)
    record, body = directory / f"{found.seq}.json", directory / f"{found.seq}.body"
    digest = hashlib.sha256()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _new_file(body) as bytes_file, _new_file(record) as record_file:

            def write(piece: bytes) -> None:
                bytes_file.write(piece)
                digest.update(piece)

            client.download(f"/records/{sequence}/body", write)
            if found.sha256 and digest.hexdigest() != found.sha256:
                raise S3dError(
                    f"the bytes of record {found.seq} are not those that were written", hint="`s3d journal verify`"
                )
            record_file.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    except OSError as error:
        raise S3dError(f"{error.filename or directory}: {error.strerror or error}", hint=_hint(error)) from None
    return Exported(found.seq, found.stream, found.bytes, str(record), str(body))


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there, synced when the block is done, and gone again when it fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _hint(error: OSError) -> str:
    return "nothing is overwritten: name another directory" if isinstance(error, FileExistsError) else ""
