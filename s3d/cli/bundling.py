"""The site's half of a carried disk: fetch what is pending from the daemon into a bundle, and hand receipts to it."""

import base64
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from s3d.bundle.errors import BundleError
from s3d.bundle.items import BundledRecord
from s3d.bundle.keys import OwnKey, PublicKey
from s3d.bundle.receipts import read_receipts
from s3d.bundle.volumes import ID_BYTES
from s3d.bundle.writer import BundleWriter
from s3d.cli.asking import AdminClient
from s3d.errors import S3dError
from s3d.operations.bundle_pages import BundledBytes, BundledPage
from s3d.operations.bundling import Received
from s3d.telemetry.report import PendingPage, RecordReport, Status, format_sequence, parse_sequence

if TYPE_CHECKING:
    from s3d.cli.progress import Advance


class Exported(msgspec.Struct, frozen=True):
    """A bundle that is whole; `remotes` are named where the site has several."""

    bundle: str
    files: tuple[str, ...]
    records: int
    bytes: int
    first: str
    last: str
    remotes: tuple[str, ...] = ()


def export_bundle(
    client: AdminClient,
    target: str,
    recipient: PublicKey,
    signer: OwnKey,
    places: tuple[int, int] | None,
    size_max: int | None,
    progress: "Callable[[int], Advance]",
    remote: str = "",
) -> Exported:
    """Write all pending records up to now, or those of the places; only those for one remote, where that is named.

    Raises S3dError, having left no bundle.
    """
    status = client.get("/status", Status)
    first, last = places or (1, parse_sequence(status.head)[1])
    if places is not None:
        _check_nothing_before(client, first, last)
    bundle_id = secrets.token_bytes(ID_BYTES)
    path = _path(target, status.instance)
    writer = None
    try:
        writer = BundleWriter(path, recipient, signer, bundle_id, time.time_ns() // 1_000_000, size_max)
        exported = _fill(client, writer, first, last, progress(status.pending.bytes), remote)
    except OSError as error:
        raise S3dError(f"{error.filename or path}: {error.strerror or error}") from None
    finally:
        if writer is not None:
            writer.abandon()
    return msgspec.structs.replace(exported, bundle=bundle_id.hex())


def give_receipts(client: AdminClient, path: str, progress: "Callable[[int], Advance]") -> Received:
    """Hand all pages to the daemon, once all of them are there. Raises S3dError."""
    pages = sum(1 for _ in read_receipts(path))
    advance = progress(pages)
    total = Received(0, 0, 0)
    for signed, _ in read_receipts(path):
        document = {"page": signed.page, "signature": base64.b64encode(signed.signature).decode()}
        one = client.post("/bundle/receipts", document, Received)
        total = Received(total.confirmed + one.confirmed, total.parked + one.parked, total.known + one.known)
        advance(1)
    return total


def _fill(
    client: AdminClient, writer: BundleWriter, first: int, last: int, advance: "Advance", remote: str
) -> Exported:
    after, beside = first - 1, set[int]()
    while True:
        page = client.get("/bundle/records", BundledPage, {"after": str(after), "through": str(last), "remote": remote})
        for one in page.records:
            record = one.bundled.record
            if one.bundled.confirmed is not None:
                if record.sequence in beside:
                    continue
                beside.add(record.sequence)
            writer.add(one.bundled)
            if one.bundled.body_bytes:
                _write_body(client, writer, one)
            advance(one.bundled.body_bytes)
        after = page.last
        if not page.more:
            break
    if not writer.records:
        for_one = f" for the remote {remote}" if remote else ""
        raise S3dError(f"nothing is pending{for_one}: there is nothing to carry")
    client.post("/bundle/taken", {"through": str(writer.last)}, dict)
    files = writer.finish(page.instance, page.epoch, page.buckets, page.epochs, page.remotes)
    first_seq, last_seq = (format_sequence(page.epoch, one) for one in (writer.first, writer.last))
    names = tuple(one.name for one in page.remotes)
    return Exported("", tuple(files), writer.records - writer.taken_back, writer.body_bytes, first_seq, last_seq, names)


def _write_body(client: AdminClient, writer: BundleWriter, one: BundledBytes) -> None:
    digest = hashlib.sha256()

    def write(piece: bytes) -> None:
        digest.update(piece)
        writer.write(piece)

    if one.body is not None:
        write(one.body)
    else:
        try:
            client.download(f"/bundle/records/{one.bundled.record.sequence}/body", write)
        except S3dError:
            if one.bundled.confirmed is not None or _is_pending(client, one.bundled):
                raise
            writer.take_back()  # the link has delivered it meanwhile, and its bytes were let go of
            return
    expected = one.bundled.record.body_digest
    if expected and digest.digest() != expected:
        raise S3dError(
            f"the bytes of record {one.bundled.record.sequence} are not those that were written",
            hint="`s3d journal verify` says more; without it: `s3d parked drop`",
        )
    writer.end_body()


def _is_pending(client: AdminClient, bundled: BundledRecord) -> bool:
    return client.get(f"/records/{bundled.record.sequence}", RecordReport).state != "settled"


def _check_nothing_before(client: AdminClient, first: int, last: int) -> None:
    """What is bundled must not arrive before what waits in front of it: that would then overwrite it."""
    waiting: dict[tuple[str, ...], str] = {}
    after, more = "0", True
    while more:
        page = client.get("/pending", PendingPage, {"after": after})
        for one in page.records:
            place = parse_sequence(one.seq)[1]
            if place > last:
                return
            group = [("group", one.group)] if one.group else []
            if place < first:
                names = [(one.bucket, one.key), ("bucket", one.bucket), *group]
                waiting |= dict.fromkeys(names, one.seq)
                continue
            bucket = (one.bucket, "") if one.key else ("bucket", one.bucket)
            before = next((waiting[name] for name in ((one.bucket, one.key), bucket, *group) if name in waiting), None)
            if before is not None:
                raise S3dError(
                    f"record {before} waits before {one.seq} and has to arrive before it", hint=f"begin at {before}"
                )
        after, more = page.next, bool(page.next)


def _path(target: str, instance: str) -> str:
    if not os.path.isdir(target):
        if not os.path.isdir(os.path.dirname(target) or "."):
            raise BundleError(f"there is no directory {os.path.dirname(target)}", hint="is the disk mounted?")
        return target
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return os.path.join(target, f"s3d-{instance[:8]}-{moment}.bundle")
