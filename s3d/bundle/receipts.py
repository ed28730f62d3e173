"""Receipts: what headquarters says became of the records of a bundle, in pages that are each signed by themselves.

A line is a page: `{"page": "<JSON>", "signature": "<base64>"}`. They are not encrypted: they name numbers, hashes,
ETags and versions, and no keys but what a refusal may say. A page stands by itself, so a daemon can take one after
another; that all of them are there is checked by whoever reads the file.
"""

import os
from collections.abc import Collection, Iterable, Iterator

import msgspec

from s3d.bundle.errors import BundleDamaged, BundleError, BundleForeign
from s3d.bundle.keys import OwnKey, PublicKey, parse_public
from s3d.bundle.volumes import PARTIAL, sync_directory

PAGE_RECEIPTS = 500
LINE_BYTES_MAX = 4 * 1024 * 1024
_SIGNED = b"s3d receipts 1\0"


class RecordReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one record, whose `hash` is the journal's.

    `refused`: not sent, for the reason in `code` and `message`. Otherwise the remote has it since `at_ms`, under this
    ETag and version; `existed` and `upload_id` are those of `events.Confirmation`, `remote` that of `events.Confirmed`.
    """

    sequence: int
    hash: bytes
    at_ms: int = 0
    etag: str = ""
    version_id: str = ""
    existed: bool = False
    upload_id: str = ""
    remote: str = ""
    refused: bool = False
    code: str = ""
    message: str = ""


class Page(msgspec.Struct, frozen=True):
    """Some receipts for one bundle of one journal; `number` counts from 1 to `pages`."""

    bundle: str
    instance: str
    epoch: int
    number: int
    pages: int
    signer: str
    receipts: tuple[RecordReceipt, ...]


class SignedPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text of a page, exactly as it was signed."""

    page: str
    signature: bytes


def write_receipts(
    path: str, bundle: str, instance: str, epoch: int, receipts: Iterable[RecordReceipt], signer: OwnKey
) -> int:
    """Write them, replacing what was there; how many. Raises OSError."""
    found = list(receipts)
    parts = [tuple(found[begin : begin + PAGE_RECEIPTS]) for begin in range(0, len(found), PAGE_RECEIPTS)] or [()]
    with open(path + PARTIAL, "wb") as file:
        for number, part in enumerate(parts, start=1):
            page = Page(bundle, instance, epoch, number, len(parts), str(signer.public), part)
            text = msgspec.json.encode(page)
            signed = SignedPage(text.decode(), signer.sign(_SIGNED + text))
            file.write(msgspec.json.encode(signed) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + PARTIAL, path)
    sync_directory(path)
    return len(found)


def opened(signed: SignedPage, trusted: Collection[PublicKey]) -> Page:
    """A page that somebody who is trusted has signed. Raises BundleDamaged or BundleForeign."""
    text = signed.page.encode("utf-8", "surrogatepass")
    try:
        page = msgspec.json.decode(text, type=Page)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BundleDamaged("a page of receipts is not understood") from None
    signer = parse_public(page.signer)
    if signer not in trusted:
        raise BundleForeign(
            f"the receipts are signed by {signer}, who is not trusted here",
            hint="bundle.trust in the configuration lists who is",
        )
    if not signer.has_signed(_SIGNED + text, signed.signature):
        raise BundleDamaged("the receipts are not what was signed")
    return page


def read_receipts(path: str) -> Iterator[tuple[SignedPage, Page]]:
    """Every page with what it says, complete and in order; who signed them is checked by `opened`.

    Raises BundleDamaged, perhaps only after the last page: read it all before any is used.
    """
    first: Page | None = None
    number = 0
    for line in _lines(path):
        try:
            signed = msgspec.json.decode(line, type=SignedPage)
            page = msgspec.json.decode(signed.page, type=Page)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise BundleDamaged(f"{path}: line {number + 1} is no page of receipts") from None
        number += 1
        first = first or page
        same = (page.bundle, page.instance, page.epoch, page.pages) == (
            first.bundle,
            first.instance,
            first.epoch,
            first.pages,
        )
        if page.number != number or not same:
            raise BundleDamaged(f"{path}: line {number} is page {page.number} of other receipts, or out of its place")
        yield signed, page
    if first is None or number != first.pages:
        raise BundleDamaged(f"{path} is cut off: {number} of {first.pages if first else 'its'} pages are there")


def _lines(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while line := file.readline(LINE_BYTES_MAX):
                if not line.endswith(b"\n"):
                    raise BundleDamaged(f"{path} is cut off")
                yield line
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
