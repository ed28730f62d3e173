"""A site that replicates: a journal, a view and a replicator on a clock that jumps and a remote in memory."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import apsw

from journal import Backend, Entry, Journal, MemoryBackend
from s3d.clock import milliseconds
from s3d.commands.machine import StateMachine
from s3d.commands.outcomes import ResumeRecords
from s3d.events import Mutation, encode
from s3d.policy.rules import Rule, Rules
from s3d.replicator.link import Link
from s3d.replicator.replicator import Replicator
from s3d.replicator.settings import ReplicatorSettings
from s3d.replicator.window import Priorities
from s3d.values import stream_of, upload_stream
from s3d.view.questions import Questions
from s3d.view.view import View

from .doubles import FakeRemote, JumpingClock


class Site:
    """A journal, a view and a replicator, which can be stopped, killed and started again."""

    def __init__(
        self,
        directory: Path,
        remote: FakeRemote,
        backend: Backend | None = None,
        clock: JumpingClock | None = None,
        rules: Sequence[Rule] = (),
        coalesce: bool = False,
        **settings: Any,
    ) -> None:
        self.rules = Rules(rules)
        self.directory = directory
        self.remote = remote
        self.clock = clock or remote.clock
        self.backend = backend or MemoryBackend("instance")
        self.settings = ReplicatorSettings(**settings)
        self.coalesce = coalesce
        self.told: list[int] = []  # records that are settled, as those who wait are told
        self.crashes: list[BaseException] = []
        self.model: dict[str, dict[str, bytes]] = {}
        self.last: dict[str, int] = {}  # the latest record of each stream
        self.etags: dict[str, str] = {}
        self.buckets_seen: list[Mapping[str, Any]] = []

    async def open(self, *, replicate: bool = True) -> None:
        self.view = View(str(self.directory / "view.db"), token="t", trusted=None, by_key=self.rules.speak_of_urgency)
        self.journal = await Journal.open(
            self.backend, StateMachine(self.view, has_remote=True), now_ms=lambda: milliseconds(self.clock.now())
        )
        self.reader: apsw.Connection = self.view.reader()
        self.questions = Questions(self.reader)
        self.link, self.replicator = self.replicating(self.remote, self.settings)
        if replicate:
            self.start()

    def replicating(self, remote: FakeRemote, settings: ReplicatorSettings) -> tuple[Link, Replicator]:
        """What sends to one remote, not yet started."""
        random = Random(1)
        link = Link(remote, self.clock, random, buckets_seen=lambda output, _asked: self.buckets_seen.append(output))
        replicator = Replicator(
            self.journal,
            self.questions,
            self._row_body,
            lambda blob: str(self.directory / blob),
            remote,
            link,
            self.clock,
            random,
            settings,
            crashed=self.crashes.append,
            priorities=Priorities(self.rules.urgency, self.rules.lowest_priority, lambda: self.clock.now() * 1000)
            if self.rules.speak_of_urgency
            else None,
            may_coalesce=lambda _bucket, _key: self.coalesce,
            settled=partial(self.settle, settings.remote),
        )
        return link, replicator

    def settle(self, remote: str, sequences: Iterable[int]) -> None:
        """A replicator has told of records whose outcome is durable."""
        self.told.extend(sequences)

    async def _row_body(self, sequence: int) -> bytes | None:
        return self.journal.body(sequence)

    def start(self) -> None:
        self.link.start()
        self.replicator.start()

    async def close(self, *, killed: bool = False) -> None:
        if killed:  # what is only in memory is gone
            self.replicator._outcomes._confirmations = []
            self.replicator._outcomes._parks = []
            self.replicator._outcomes.confirm = self.replicator._outcomes.park = lambda *_: None  # type: ignore[method-assign]
        await self.link.stop()
        await self.replicator.stop()
        await self.journal.close()
        self.reader.close()
        self.view.close(sync=False)
        assert self.crashes == []

    # what clients did

    async def append(self, kind: str, stream: str, body: bytes | None = None, **mutation: Any) -> int:
        if body is not None:
            mutation |= {"size": len(body), "etag": hashlib.md5(body).hexdigest()}
        digest = hashlib.sha256(body).digest() if body is not None else b""
        replaces_etag = self.etags.get(stream, "")
        self.etags[stream] = mutation.get("etag", "")
        payload = encode(Mutation(replaces=self.last.get(stream, 0), replaces_etag=replaces_etag, **mutation))
        entry = Entry(stream, kind, payload, body, digest, len(body or b""))
        (record,) = await self.journal.append([entry])
        self.last[stream] = record.sequence
        return record.sequence

    async def create_bucket(self, name: str = "b") -> int:
        self.model[name] = {}
        return await self.append("CreateBucket", name)

    async def delete_bucket(self, name: str = "b") -> int:
        del self.model[name]
        return await self.append("DeleteBucket", name)

    async def put(self, key: str, body: bytes, bucket: str = "b", **input_: Any) -> int:
        self.model[bucket][key] = body
        return await self.append("PutObject", stream_of(bucket, key), body, input=input_)

    async def delete(self, key: str, bucket: str = "b") -> int:
        self.model[bucket].pop(key, None)
        return await self.append("DeleteObject", stream_of(bucket, key))

    async def copy(self, source: str, target: str, bucket: str = "b", **input_: Any) -> int:
        """A copy as CopyObject records it: it pins the bytes of the source's record."""
        data = self.model[bucket][target] = self.model[bucket][source]
        made_by = self.last[stream_of(bucket, source)]
        row = self.questions.object(bucket, source)
        assert row is not None
        stream = stream_of(bucket, target)
        mutation = Mutation(
            input=input_,
            size=len(data),
            etag=row.etag,
            extents=row.extents,
            replaces=self.last.get(stream, 0),
            copy_bucket=bucket,
            copy_key=source,
            copy_sequence=made_by,
            copy_etag=row.etag,
        )
        entry = Entry(stream, "CopyObject", encode(mutation), None, hashlib.sha256(data).digest(), len(data))
        (record,) = await self.journal.append([entry])
        self.last[stream] = record.sequence
        return record.sequence

    async def begin_upload(self, key: str, upload: str, bucket: str = "b", **input_: Any) -> int:
        return await self.append(
            "CreateMultipartUpload", upload_stream(bucket, key, upload), upload=upload, input=input_
        )

    async def part(self, key: str, upload: str, number: int, body: bytes, bucket: str = "b") -> int:
        return await self.append("UploadPart", upload_stream(bucket, key, upload), body, upload=upload, part=number)

    async def complete(self, key: str, upload: str, bucket: str = "b", **input_: Any) -> int:
        """Complete with all parts, as CompleteUpload records it."""
        parts = self.questions.parts(upload)
        row = self.questions.upload(upload)
        assert row is not None
        extents = tuple(extent for part in parts for extent in part.extents)
        self.model[bucket][key] = b"".join(self.journal.body(part.sequence) or b"" for part in parts)
        return await self.append(
            "CompleteMultipartUpload",
            stream_of(bucket, key),
            upload=upload,
            input=row.attributes | input_,
            size=sum(part.size for part in parts),
            etag=f"{'0' * 32}-{len(parts)}",
            extents=extents,
            parts=tuple((part.number, part.size, "") for part in parts),
        )

    async def abort(self, key: str, upload: str, bucket: str = "b") -> int:
        return await self.append("AbortMultipartUpload", upload_stream(bucket, key, upload), upload=upload)

    async def resume(self, *sequences: int) -> None:
        appended = await self.journal.submit(ResumeRecords(sequences or None, "operator"))
        self.replicator.resumed(appended.answer)

    # what became of it

    async def settled(self) -> None:
        """Return when nothing is pending but what is parked or waits for something parked."""
        for _ in range(20_000):
            assert self.crashes == []
            if self.replicator._window.is_done and not self.replicator._deliveries:
                return
            await asyncio.sleep(0.001)  # real: virtual time is driven by those who really wait
        raise AssertionError(f"not settled: {self.replicator.snapshot()}")

    def pending(self) -> list[int]:
        return [row.sequence for row in self.questions.pending_after(0, 100_000)]

    def parked(self) -> dict[int, str]:
        return {row.sequence: row.code for row in self.questions.parked(1000)}
