"""Thousands of records folded at once come to the same tables, row for row, as one after another."""

from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live import rows_of

from journal import Record
from journal.record import LOST, Lost
from s3d import events
from s3d.events import Confirmation, Confirmed, Mutation, encode
from s3d.values import BlobBytes, RowBytes, TakenFile, stream_of, upload_stream
from s3d.view import projection
from s3d.view.facts import CachedFact
from s3d.view.view import View
from s3d.view.written import Written

BUCKETS, KEYS, LOCAL = ("left", "left", "left", "right", "here"), ("a", "a/b", "\U0010ffff?upload=x"), "here"
GIVEN = (
    {},
    {"ContentType": "text/plain", "Metadata": {"StorageClass": "é\n", "b": '"Tagging"'}},
    {"StorageClass": "GLACIER", "ChecksumAlgorithm": "CRC32"},
    {"Tagging": "a=b"},
    {"Tagging": "s3d.cache=pin"},
    {"ChecksumCRC32": "old", "CacheControl": "no"},
)
CHECKSUMS = ({}, {"ChecksumCRC32": "AAAAAA=="}, {"ChecksumCRC64NVME": "x", "ChecksumSHA256": "é"})
MUTATIONS, OUTCOMES = tuple(projection._MUTATIONS), tuple(sorted(projection._OUTCOMES))
KINDS = (*MUTATIONS, "PutBucketCors", *OUTCOMES)
OFTEN = ("PutObject",) * 18 + ("DeleteObject",) * 4 + (events.CONFIRMED,) * 14 + (events.CARRIED,) * 4


@dataclass
class History:
    """Records as decisions would have made them, from kinds and numbers that choose what they are about."""

    records: list[Record] = field(default_factory=list)
    last: dict[str, Record] = field(default_factory=dict)  # by stream
    uploads: list[tuple[str, str, str]] = field(default_factory=list)
    now_ms: int = 1_700_000_000_000
    random: Random = field(default_factory=Random)

    def step(self, kind, number):
        """One more record, of this kind."""
        self.random = Random(number)
        self.now_ms += self.pick((1, 1, 0, 40 * 86_400_000, -3_600_000))
        make = getattr(self, kind, None)
        if make is None:
            make = self.mutate if kind in MUTATIONS or kind == "PutBucketCors" else self.tell
        make(kind)

    def pick(self, choices):
        return self.random.choice(choices)

    def earlier(self):
        """One of the last records, or one that there is not."""
        return max(1, len(self.records) - self.pick(range(9)))

    def add(self, stream, kind, payload, size=0):
        sequence = len(self.records) + 1
        record = Record(sequence, self.now_ms, stream, kind, encode(payload), b"", size, b"h" * 32)
        self.records.append(record)
        return record

    def place(self):
        return self.pick(BUCKETS), self.pick(KEYS)

    def mutate(self, kind):
        bucket, key = self.place()
        is_bucket = kind.endswith("Bucket") or kind == "PutBucketCors"
        stream, next_ = stream_of(bucket, "" if is_bucket else key), len(self.records) + 1
        before = self.last.get(stream)
        fields = {"replaces": before.sequence if before is not None and self.pick((1, 1, 0)) else 0}
        if kind == "PutObject":
            fields |= self.written(next_) | {"input": self.pick(GIVEN), "checksums": self.pick(CHECKSUMS)}
        elif kind == "CopyObject":
            fields |= self.written(next_) | {"copy_bucket": "left", "copy_key": "a", "etag": "copied"}
        elif "Tagging" in kind:
            fields = {"input": {"Tagging": {"TagSet": self.pick(([], [{"Key": "s3d.cache", "Value": "pin"}]))}}}
        if self.pick((0, 0, 0, 1)):
            fields |= {"group": self.pick(("", "g")), "barrier": self.pick((None, True, False))}
        record = self.add(stream, kind, Mutation(stays_local=bucket == LOCAL, **fields), fields.get("size", 0))
        if "Tagging" not in kind and not is_bucket:
            self.last[stream] = record

    def written(self, sequence):
        size = self.pick((0, 3, 7))
        blobs = tuple(BlobBytes(f"{sequence:031x}{part}", 0, 1) for part in range(max(1, size)))
        rows = (RowBytes(self.earlier(), 0, size),)
        extents = self.pick(((), (), blobs, blobs, rows, (*rows, *blobs))) if size else ()
        taken = TakenFile("in", self.pick(KEYS), sequence, size, 1)
        given = {"parts": ((1, size, ""),)} if self.pick((0, 0, 1)) else {}
        return given | {"size": size, "etag": f"e{sequence}", "extents": extents, "taken": self.pick((None, taken))}

    def CreateMultipartUpload(self, _kind):
        bucket, key = self.place()
        upload = f"u{len(self.records)}"
        self.uploads.append((bucket, key, upload))
        mutation = Mutation(upload=upload, stays_local=bucket == LOCAL)
        self.add(upload_stream(bucket, key, upload), "CreateMultipartUpload", mutation)

    def UploadPart(self, kind):
        if not self.uploads:
            self.CreateMultipartUpload(kind)
        bucket, key, upload = self.pick(self.uploads)
        stream, part = upload_stream(bucket, key, upload), self.pick((1, 2))
        before = self.last.get(f"{stream} {part}")
        fields = self.written(len(self.records) + 1) | {"taken": None, "parts": ()}
        mutation = Mutation(
            upload=upload, part=part, replaces=before.sequence if before else 0, stays_local=bucket == LOCAL, **fields
        )
        self.last[f"{stream} {part}"] = self.add(stream, kind, mutation)

    def CompleteMultipartUpload(self, kind):
        if not self.uploads:
            self.CreateMultipartUpload(kind)
        bucket, key, upload = self.uploads.pop(self.pick(range(len(self.uploads))))
        before = self.last.get(stream_of(bucket, key))
        fields = {"replaces": before.sequence if before else 0, "stays_local": bucket == LOCAL}
        fields |= self.written(len(self.records) + 1) if kind == "CompleteMultipartUpload" else {}
        record = self.add(upload_stream(bucket, key, upload), kind, Mutation(upload=upload, **fields))
        if kind == "CompleteMultipartUpload":
            self.last[stream_of(bucket, key)] = record

    AbortMultipartUpload = CompleteMultipartUpload

    def tell(self, kind):
        """An outcome, or what the daemon or a person did."""
        one, bucket, key = self.earlier(), *self.place()
        record = self.records[one - 1] if self.records else None
        same = tuple(before.sequence for before in self.records if record and before.stream == record.stream)[-3:]
        theirs = [before for before in self.records[:one] if record and before.stream == record.stream]
        several = tuple(self.earlier() for _ in range(self.pick((1, 2, 5))))
        revived = [before for before in theirs[:-1] if before.kind in ("PutObject", "DeleteObject")][-1:]
        said = {
            events.CONFIRMED: lambda: Confirmed(
                confirmations=tuple(
                    Confirmation(
                        sequence,
                        etag=self.pick(("", "r")),
                        version_id=self.pick(("", "v")),
                        existed=self.pick((False, True)),
                        uploaded=self.pick((False, True)),
                        upload_id="r",
                    )
                    for sequence in several
                ),
                remote=self.pick(("", "", "second")),
            ),
            events.PARKED: lambda: events.Parked(sequence=one, code="AccessDenied", message="no"),
            events.RESUMED: lambda: events.Resumed(sequences=several),
            events.SUPERSEDED: lambda: events.Superseded(sequences=same[:-1], by=same[-1] if same else one),
            events.DISCARDED: lambda: events.Discarded(sequences=(one,), revived=tuple(revived)),
            events.CONFLICTED: lambda: events.Conflicted(
                sequence=one, decided=self.pick(("local", "remote", "keep-both", "hold"))
            ),
            events.RELOCATED: lambda: events.Relocated(moved=((one, f"{one:032x}"),)),
            events.CARRIED: lambda: events.Carried(records=(record,) if record else ()),
            events.SHARED: lambda: events.Shared(buckets=(bucket,)),
            events.LET_GO: lambda: events.LetGo(
                objects=tuple((*stream.split("/", 1), last.sequence) for stream, last in self.objects())
            ),
            events.FILES_NOTED: lambda: events.FilesNoted(
                same=((TakenFile("in", key, one, 1, 1), "e"),), gone=(TakenFile("in", self.pick(KEYS), 1, 1, 1),)
            ),
            events.GAPS_LOOKED: lambda: events.GapsLooked(keys=one),
            events.CACHE_PINNED: lambda: events.CachePinned(bucket=bucket, prefix=self.pick(("", "a"))),
            events.CACHE_UNPINNED: lambda: events.CacheUnpinned(bucket=bucket, prefix=self.pick(("", "a"))),
            events.ANCHORED: lambda: events.AuditAnchored(bucket="b", anchors=(events.Anchor(one),)),
            events.UPLOAD_BEGUN: lambda: events.UploadBegun(upload=self.pick(self.uploads)[2] if self.uploads else "u"),
            events.LOSS_ACCEPTED: lambda: events.LossAccepted(records=self.pick((1, 2))),
            LOST: lambda: Lost(first=1, last=2),
        }
        self.add("", kind, said.get(kind, events.ReplicationPaused)())

    def objects(self):
        return [(stream, last) for stream, last in self.last.items() if last.kind == "PutObject"][:1]


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    made = [View(str(tmp_path_factory.mktemp(name) / "view.db"), token=name, trusted=None) for name in ("one", "sets")]
    yield made
    for view in made:
        view.close(sync=False)


def fold_alone(view, record):
    """Without anything that is gathered, which a view does with confirmations also when they come alone."""
    view._tally.add(projection.fold(view._connection, record, view._beside))
    view._beside.folded(record)
    view._folded = record.sequence


def fold_both(views, records, cuts=()):
    """Fold one by one in the first, and between these places in sets in the second; both must come to the same."""
    one, sets = views
    for view in views:
        view.discard()
    for start, end in zip((0, *cuts), (*cuts, len(records)), strict=True):
        for view in views:
            view.learn(CachedFact("left", "a", "e", 9, start, 1, f"{start:032x}", 1))
        one.begin()
        for record in records[start:end]:
            fold_alone(one, record)
        one.publish()
        sets.begin()
        sets.fold_all(records[start:end])
        sets.publish()
        before, after = (rows_of(view._connection) for view in views)
        different = [name for name in before if before[name] != after[name]]
        assert not different, [(name, before[name], after[name]) for name in different]
        assert (sets.backlog, sets.staying, sets.position) == (one.backlog, one.staying, one.position)


steps = st.lists(st.tuples(st.sampled_from(OFTEN + KINDS), st.integers(0, 2**32)), min_size=1, max_size=50)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.lists(st.integers(0, 60), max_size=3))
def test_decision_6_a_fold_in_sets_comes_to_what_one_by_one_comes_to(views, taken, cuts):
    """Histories of all kinds of records, in sets that end anywhere: every table has the same rows."""
    history = History()
    for kind, number in taken:
        history.step(kind, number)
    fold_both(views, history.records, sorted(min(cut, len(history.records)) for cut in cuts))


def test_the_histories_have_every_kind_of_record(views):
    """A kind that is added to the fold is folded both ways, too; a long history of all of them comes to the same."""
    history = History()
    for number in range(800):
        history.step(Random(number).choice(OFTEN + KINDS), number)
    assert {record.kind for record in history.records} == set(KINDS)
    fold_both(views, history.records, (100, 350, 500))


def test_what_is_gathered_of_a_payload_is_what_a_mutation_says():
    """A field that is renamed there, or has another default, would be lost here."""
    mutation, written = Mutation(), Written()
    for name in written.__struct_fields__:
        given_, default = getattr(mutation, name), getattr(written, name)
        assert (given_ or None) == (bytes(default) or None if isinstance(default, msgspec.Raw) else default or None)


@pytest.mark.parametrize("order", ["ABab", "ABba", "AaBb", "AaBB", "ABSb", "ABSbSa", "ACa", "AaCa", "ABCab"])
def test_decision_9_blobs_and_what_is_carried_go_with_their_last_reason(views, order):
    """One key written twice, confirmed, superseded and carried, in sets that end at every place."""
    records: list[Record] = []
    for letter in order:
        kind, payload = {
            "A": lambda: ("PutObject", Mutation(size=1, extents=(BlobBytes("a" * 32, 0, 1),))),
            "B": lambda: ("PutObject", Mutation(size=1, extents=(BlobBytes("b" * 32, 0, 1),), replaces=1)),
            "S": lambda: (events.SUPERSEDED, events.Superseded(sequences=(1,), by=2)),
            "C": lambda: (events.CARRIED, events.Carried(records=(records[0],))),
            "a": lambda: (events.CONFIRMED, Confirmed(confirmations=(Confirmation(1),))),
            "b": lambda: (events.CONFIRMED, Confirmed(confirmations=(Confirmation(order.index("B") + 1),))),
        }[letter]()
        stream = "left/a" if kind == "PutObject" else ""
        records.append(Record(len(records) + 1, 1, stream, kind, encode(payload), b"", 0, b"h" * 32))
    for cut in range(len(order)):
        fold_both(views, records, (cut,))
