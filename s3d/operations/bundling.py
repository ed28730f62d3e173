"""What a carried disk takes away from a daemon, and what it brings back.

Pages of pending records are made on a thread with a connection of its own, with the journal's hashes, so that whoever
has them can tell that they are what was acknowledged. What comes back are signed pages of receipts; each outcome is the
same record as if the remote itself had told it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from journal import Journal, Record
from s3d.bundle.errors import BundleDamaged, BundleError, BundleForeign
from s3d.bundle.keys import PublicKey
from s3d.bundle.receipts import Page, RecordReceipt, SignedPage, opened
from s3d.commands.outcomes import ConfirmRecords, ParkRecord
from s3d.errors import S3dError
from s3d.events import DEFAULT_REMOTE, OUTCOMES, Confirmation
from s3d.operations.bundle_pages import BundledBytes, BundledPage, read_page
from s3d.operations.exporting import Exporting, RecordBody
from s3d.policy.bucket_map import KnownRemote, MappedBucket
from s3d.values import BucketSet
from s3d.view.questions import Connection, Questions

REFUSED_CODE = "RefusedAtHeadquarters"


class Received(msgspec.Struct, frozen=True):
    """What a page of receipts came to: records that it confirmed or parked, and those that were settled before."""

    confirmed: int
    parked: int
    known: int


class Parking(msgspec.Struct, frozen=True):
    """A record that was refused, and why."""

    sequence: int
    code: str
    message: str


class SeveralPlaces(msgspec.Struct, frozen=True):
    """The remotes of a site that has several, and which buckets are at one of them (empty: `[remote]`)."""

    remotes: tuple[KnownRemote, ...]
    buckets_at: Callable[[str], BucketSet]

    def among(self, name: str) -> tuple[tuple[KnownRemote, ...], BucketSet | None]:
        """What is carried for one of them, by its name in reports, or for all (empty). Raises S3dError."""
        if not name:
            return self.remotes, None
        found = tuple(one for one in self.remotes if one.name == name)
        if not found:
            known = ", ".join(one.name for one in self.remotes)
            raise S3dError(f"there is no remote {name[:40]}", hint=f"they are {known}")
        return found, self.buckets_at("" if name == DEFAULT_REMOTE else name)


class Bundling:
    """For the admin listener. `taken_out` is told up to where copies of records are on their way, `learned` what has
    become of them; both are None where there is no remote. `several`: there is more than one. Raises S3dError.
    """

    def __init__(
        self,
        journal: Journal,
        connect: Callable[[], Connection],
        exporting: Exporting,
        buckets: tuple[MappedBucket, ...],
        trusted: Collection[PublicKey],
        taken_out: Callable[[int], Awaitable[None]] | None,
        learned: Callable[[Sequence[Confirmation], Sequence[Parking]], None] | None,
        several: SeveralPlaces | None = None,
    ) -> None:
        self._several = several or SeveralPlaces((), lambda _: BucketSet(frozenset(), others=True))
        self._journal = journal
        self._connect = connect
        self._exporting = exporting
        self._buckets = buckets
        self._trusted = trusted
        self._taken_out = taken_out
        self._learned = learned
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="bundling")
        self._questions: Questions | None = None

    @property
    def epoch(self) -> int:
        """The journal's epoch."""
        return self._journal.identity.epoch

    async def page(self, after: int, through: int, limit: int, remote: str = "") -> BundledPage:
        """Pending records after one place and through another, with what they build on; of one remote or of all."""
        remotes, buckets = self._several.among(remote)
        identity = self._journal.identity
        through = min(through, self._journal.head.sequence)
        loop = asyncio.get_running_loop()
        read = partial(self._read_page, after, through, limit, buckets)
        records, last, more = await loop.run_in_executor(self._executor, read)
        epochs = self._journal.epochs()
        return BundledPage(identity.instance, identity.epoch, self._buckets, records, last, more, epochs, remotes)

    async def body(self, sequence: int) -> RecordBody:
        """The bytes of a record that a page told of. Raises S3dError when they are not here any more."""
        record = await self._exporting.record(sequence)
        if record is None or record.kind in OUTCOMES:
            raise S3dError(f"record {sequence} has no bytes here")
        return self._exporting.body(record)

    async def taken(self, through: int) -> None:
        """Copies of pending records up to this one leave by other means: each is looked for before it is sent."""
        if through > self._journal.head.sequence:
            raise S3dError(f"there is no record {through}")
        if self._taken_out is not None:
            await self._taken_out(through)

    async def receive(self, signed: SignedPage) -> Received:
        """Take receipts: all of a page or nothing. Raises BundleError for what is not meant for this journal."""
        if not self._trusted:
            raise BundleError("nobody is trusted to give receipts", hint="bundle.trust in the configuration lists who")
        page = opened(signed, self._trusted)
        self._check_journal(page)
        loop = asyncio.get_running_loop()
        pending = await loop.run_in_executor(self._executor, self._pending_of, page.receipts)
        confirmed = [one for one in pending if not one.refused]
        parkings = [
            Parking(one.sequence, one.code or REFUSED_CODE, one.message)
            for one in pending
            if one.refused and not await self._is_parked(one.sequence)
        ]
        done = await self._write(page.bundle, confirmed, parkings)
        if self._learned is not None:
            self._learned([_confirmation(one) for one in confirmed if one.sequence in done], parkings)
        return Received(len(done), len(parkings), len(page.receipts) - len(done) - len(parkings))

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True)

    async def _write(
        self, bundle: str, confirmed: Sequence[RecordReceipt], parkings: Sequence[Parking]
    ) -> frozenset[int]:
        """Durably; which were confirmed by this and by nothing before."""
        submitted = [
            self._journal.submit(ParkRecord(one.sequence, one.code, one.message), essential=True) for one in parkings
        ]
        by_remote = {
            one.remote: tuple(_confirmation(it) for it in confirmed if it.remote == one.remote) for one in confirmed
        }
        commands = [ConfirmRecords(told, bundle=bundle, remote=remote) for remote, told in by_remote.items()]
        confirming = [self._journal.submit(command, essential=True) for command in commands]
        await asyncio.gather(*submitted)
        done: set[int] = set()
        for one in confirming:
            done |= set((await one).answer)
        return frozenset(done)

    def _check_journal(self, page: Page) -> None:
        identity = self._journal.identity
        if page.instance != identity.instance:
            raise BundleForeign(f"these receipts are for journal {page.instance}, and this is {identity.instance}")
        if page.epoch != identity.epoch:
            raise BundleForeign(
                f"these receipts are for epoch {page.epoch}, and this is epoch {identity.epoch}",
                hint="the data directory was restored from a backup since; the link will find what has arrived",
            )

    def _pending_of(self, receipts: Sequence[RecordReceipt]) -> list[RecordReceipt]:
        """Those of records that are still pending, which must be the very records that went out."""
        questions = self._ask()
        pending = [one for one in receipts if questions.pending(one.sequence) is not None]
        found = {record.sequence: record for record in self._journal.pick(sorted(one.sequence for one in pending))}
        for one in pending:
            record: Record | None = found.get(one.sequence) or questions.carried(one.sequence)
            if record is None or record.hash != one.hash:
                raise BundleDamaged(
                    f"the receipt for record {one.sequence} is for another record of that number: nothing was done",
                    hint="was this data directory replaced by an older copy? see `s3d journal restored`",
                )
        return pending

    async def _is_parked(self, sequence: int) -> bool:
        def ask() -> bool:
            row = self._ask().pending(sequence)
            return row is None or bool(row.parked)

        return await asyncio.get_running_loop().run_in_executor(self._executor, ask)

    def _read_page(
        self, after: int, through: int, limit: int, buckets: BucketSet | None
    ) -> tuple[tuple[BundledBytes, ...], int, bool]:
        return read_page(self._journal, self._ask(), after, through, limit, buckets)

    def _ask(self) -> Questions:
        if self._questions is None:
            self._questions = Questions(self._connect(), self._journal.distrust_state)
        return self._questions


def _confirmation(receipt: RecordReceipt) -> Confirmation:
    return Confirmation(
        receipt.sequence, receipt.etag, receipt.version_id, existed=receipt.existed, upload_id=receipt.upload_id
    )
