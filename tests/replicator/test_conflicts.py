"""Guarded writes: what is at the remote is ours or somebody else's, and then the policy of the write decides."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live import dump_view

from s3d.events import Conflicted, Mutation, Side
from s3d.remote.failures import FailureKind
from s3d.replicator import conflicting
from s3d.replicator.conflicts import (
    Arrived,
    Clash,
    Ourselves,
    Theirs,
    decide,
    expected_etag,
    judge,
    sibling_key,
)
from s3d.replicator.requests import Form
from s3d.replicator.settings import Ways
from s3d.replicator.tokens import Tokens
from s3d.view import projection
from s3d.view.view import View

from .doubles import FakeRemote, Fault, failed, lost
from .replicating import Site

FACTS = {"remote_bucket", "remote_bucket_list", "remote_object", "cached"}
POLICIES = ("local", "remote", "keep-both", "hold")
PREFIX = "instance-1"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


async def put(site: Site, body: bytes, policy: str, believed: str | None = "", key: str = "k", **more: Any) -> int:
    """A guarded write, as it is journaled."""
    return await site.append("PutObject", f"b/{key}", body, conflict=policy, believed=believed, **more)


def stranger(remote: FakeRemote, body: bytes, key: str = "k", **metadata: str) -> None:
    """Somebody else writes at the remote."""
    remote._store({"Bucket": "b", "Key": key, "Metadata": metadata}, body)


def conflict(site: Site, sequence: int) -> Conflicted:
    row = site.questions.conflict(sequence)
    assert row is not None
    return row.details


@pytest.fixture
async def bucket(site: Site) -> Site:
    await site.create_bucket()
    await site.settled()
    return site


# the pure decisions

sides = st.builds(Side, present=st.booleans(), etag=st.sampled_from("abc"), size=st.integers(0, 3))
theirs = st.builds(
    Theirs,
    sides,
    st.one_of(st.just(""), st.integers(0, 9).map(lambda n: f"{PREFIX}-{n}"), st.just("other-1-3")),
)
writes = st.builds(
    Mutation,
    etag=st.sampled_from("abc"),
    size=st.integers(0, 3),
    replaces_etag=st.sampled_from(["", "a", "b"]),
    conflict=st.sampled_from(POLICIES),
    believed=st.sampled_from([None, "", "a", "b"]),
)
kinds = st.sampled_from(["PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject"])


@given(kinds, st.integers(1, 9), writes, theirs, st.sampled_from(["", "a", "b"]), st.sampled_from(["", "instance"]))
def test_a_conflict_is_what_neither_we_nor_our_belief_put_there(
    kind: str, sequence: int, mutation: Mutation, other: Theirs, expected: str, instance: str
) -> None:
    """Nothing of ours and nothing expected is ever called a conflict, and nothing of a stranger's is ever overrun."""
    verdict = judge(kind, sequence, mutation, other, expected, Tokens(instance))
    there = other.side.etag if other.side.present else ""
    if isinstance(verdict, Arrived):
        wanted = "" if kind == "DeleteObject" else mutation.etag
        assert there == wanted
    elif isinstance(verdict, Ourselves):
        own = other.token.startswith(f"{PREFIX}-") if instance else there == mutation.replaces_etag
        assert verdict.etag == there
        assert there == expected or own
    else:
        assert there != expected
        assert not (instance and other.side.present and other.token in {f"{PREFIX}-{n}" for n in range(sequence)})


@given(kinds, writes, theirs, st.booleans())
def test_a_decision_never_sends_what_is_not_here_nor_deletes_beside(
    kind: str, mutation: Mutation, other: Theirs, here: bool
) -> None:
    """Each policy does what it is called, except where that cannot be."""
    decided = decide(kind, mutation, other, bytes_are_here=here)
    if mutation.conflict != "keep-both":
        assert decided == mutation.conflict
    elif kind == "DeleteObject":
        assert decided == "remote"
    else:
        assert decided == ("keep-both" if here else "hold")


@given(writes, st.sampled_from([None, "x"]), st.one_of(st.none(), st.builds(Conflicted, theirs=sides)))
def test_what_a_write_expects(mutation: Mutation, predecessor: str | None, resolved: Conflicted | None) -> None:
    """A decided conflict before the belief, the belief before what an earlier record of ours left there."""
    found = expected_etag(mutation, predecessor, resolved)
    if resolved is not None:
        assert found == (resolved.theirs.etag if resolved.theirs.present else "")
    elif mutation.believed is not None:
        assert found == mutation.believed
    else:
        assert found == (predecessor or mutation.replaces_etag)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1024), st.integers(1, 10**18))
def test_a_sibling_fits_and_is_unique(key: str, sequence: int) -> None:
    """Never longer than S3 takes, never the key itself, and different for each record."""
    key = key.encode()[:1024].decode(errors="ignore")
    name = sibling_key(key, "s" * 32, f"1-{sequence}")
    assert len(name.encode()) <= 1024
    assert f" (conflict {'s' * 32} 1-{sequence})" in name
    assert sibling_key(key, "s" * 32, f"1-{sequence + 1}") != name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/report.pdf", "a/report (conflict here 1-2).pdf"),
        ("report", "report (conflict here 1-2)"),
        ("a.d/report", "a.d/report (conflict here 1-2)"),
        (".profile", ".profile (conflict here 1-2)"),
        ("a/b.tar.gz", "a/b.tar (conflict here 1-2).gz"),
        ("a/", "a/ (conflict here 1-2)"),
    ],
)
def test_a_sibling_stays_beside_its_object(key: str, name: str) -> None:
    """In the same folder, with the same extension."""
    assert sibling_key(key, "here", "1-2") == name


# against a remote


async def test_a_guarded_write_goes_out_over_what_was_believed(bucket: Site, remote: FakeRemote) -> None:
    """Nothing, then our own predecessors, also those that were on their way when the next one was written."""
    await put(bucket, b"1", "hold")
    await put(bucket, b"2", "hold", None)
    await put(bucket, b"3", "hold", None)
    await bucket.settled()
    assert bucket.pending() == []
    assert [one.data for one in remote.buckets["b"]["k"]] == [b"3"]
    sent = [given for operation, given in remote.inputs if operation == "PutObject"]
    assert [one.get("IfMatch", one.get("IfNoneMatch")) for one in sent] == ["*", f'"{md5(b"1")}"', f'"{md5(b"2")}"']


async def test_a_lost_answer_is_no_conflict(bucket: Site, remote: FakeRemote) -> None:
    """Decision 22: the 412 that a repeated write gets is the answer to its own success."""
    for policy in POLICIES:
        remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
        remote.faults.append(Fault(lambda: failed(FailureKind.TRANSIENT, "SlowDown", 503), "HeadObject", times=1))
        await put(bucket, policy.encode(), policy, key=policy)
    await bucket.settled()
    assert bucket.questions.conflicts(10) == []
    assert bucket.pending() == []
    assert {key: versions[-1].data for key, versions in remote.buckets["b"].items()} == {
        policy: policy.encode() for policy in POLICIES
    }


async def test_who_believes_a_412_takes_his_own_write_for_a_strangers(
    bucket: Site, remote: FakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant of the test above: without looking whose it is, an own lost answer is a conflict."""

    async def not_found(_job: Any) -> None:
        return None

    monkeypatch.setattr(bucket.replicator._transfer, "find", not_found)
    monkeypatch.setattr(conflicting, "judge", lambda *given, **_: Clash(given[3]))
    remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
    sequence = await put(bucket, b"1", "hold")
    await bucket.settled()
    assert conflict(bucket, sequence).theirs.etag == md5(b"1")


async def test_a_predecessor_that_nobody_remembers_is_no_conflict(bucket: Site, remote: FakeRemote) -> None:
    """R12: the remote's ETags are no MD5, and what it answered to the first write is forgotten: its token tells."""
    original = remote._store

    def encrypted(parameters: dict[str, object], data: bytes) -> object:
        output = original(parameters, data)
        stored = remote.buckets["b"]["k"][-1]
        stored.etag = f"kms-{stored.etag}"
        return output | {"ETag": f'"{stored.etag}"'}

    remote._store = encrypted  # type: ignore[method-assign]
    await put(bucket, b"1", "hold")
    await bucket.settled()
    bucket.replicator._known._etags.clear()
    await put(bucket, b"2", "hold", None)
    await bucket.settled()
    assert bucket.pending() == []
    assert bucket.questions.conflicts(10) == []


async def test_the_same_object_of_a_stranger_is_no_conflict(bucket: Site, remote: FakeRemote) -> None:
    """The same bytes under the same metadata: both wanted this. With other metadata it is one."""
    stranger(remote, b"1", key="same")
    stranger(remote, b"1", key="other", owner="them")
    await put(bucket, b"1", "hold", key="same")
    held = await put(bucket, b"1", "hold", key="other")
    await bucket.settled()
    assert bucket.parked() == {held: "Conflict"}
    assert remote.calls["PutObject"] == 2


async def test_local_goes_over_it(bucket: Site, remote: FakeRemote) -> None:
    """Over exactly what was found; both sides are on record."""
    stranger(remote, b"theirs")
    sequence = await put(bucket, b"ours", "local")
    await bucket.settled()
    assert bucket.pending() == []
    assert remote.content()["b"] == {"k": b"ours"}
    found = conflict(bucket, sequence)
    assert (found.decided, found.theirs.etag, found.theirs.size) == ("local", md5(b"theirs"), 6)
    assert (found.ours.etag, found.ours.size, found.ours.at_ms > 0) == (md5(b"ours"), 4, True)


async def test_remote_gives_way_and_keeps_the_bytes(bucket: Site, remote: FakeRemote) -> None:
    """The stranger's stands, the key is the remote's to tell, and our bytes are still needed here."""
    stranger(remote, b"theirs")
    sequence = await put(bucket, b"ours", "remote")
    await bucket.settled()
    assert bucket.pending() == []
    assert remote.content()["b"] == {"k": b"theirs"}
    assert bucket.questions.object("b", "k") is None
    row = bucket.questions.bucket("b")
    assert row is not None
    assert not row.sole, "somebody else writes to it: absence is not known any more"
    assert bucket.questions.row_is_needed(sequence)
    later = await put(bucket, b"later", "remote", md5(b"theirs"))
    await bucket.settled()
    assert remote.content()["b"] == {"k": b"later"}
    assert bucket.questions.conflict(later) is None


async def test_only_so_many_bytes_of_what_gave_way_are_kept(
    bucket: Site, remote: FakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest whatever its size, and older ones as far as there is room for them; a deletion takes none."""
    monkeypatch.setattr(projection, "CONFLICT_BYTES_KEPT", 10)
    written = []
    for key, size in (("a", 8), ("b", 6), ("c", 5), ("d", 100)):
        stranger(remote, b"theirs", key=key)
        written.append(await put(bucket, b"x" * size, "remote", key=key))
        await bucket.settled()
        kept = [one for one in written if bucket.questions.keeps_body(one)]
        assert kept == {"a": written, "b": written, "c": written[1:], "d": written[3:]}[key]
    assert [row.sequence for row in bucket.questions.conflicts(10)] == written
    monkeypatch.setattr(projection, "CONFLICTS_KEPT", 2)
    stranger(remote, b"theirs", key="e")
    written.append(await put(bucket, b"x", "remote", key="e"))
    await bucket.settled()
    assert [row.sequence for row in bucket.questions.conflicts(10)] == written[3:]
    assert bucket.questions.keeps_body(written[3])


async def test_keep_both_goes_out_beside_it(bucket: Site, remote: FakeRemote) -> None:
    """Under a name that says so, with its own content type and metadata; also what is in a blob."""
    stranger(remote, b"theirs", key="a/k.txt")
    sequence = await put(bucket, b"ours", "keep-both", key="a/k.txt", input={"Metadata": {"by": "us"}})
    await bucket.settled()
    name = f"a/k (conflict instance 1-{sequence}).txt"
    assert remote.content()["b"] == {"a/k.txt": b"theirs", name: b"ours"}
    assert remote.buckets["b"][name][0].metadata["by"] == "us"
    assert conflict(bucket, sequence).sibling == name
    row = bucket.questions.object("b", name)
    assert row is not None
    assert row.confirmed


async def test_each_write_is_judged_by_itself(bucket: Site, remote: FakeRemote) -> None:
    """Two writes that were made before the stranger's was known are two siblings: both were acknowledged."""
    await bucket.close()
    await bucket.open(replicate=False)
    stranger(remote, b"theirs")
    first, second = await put(bucket, b"1", "keep-both"), await put(bucket, b"2", "keep-both", None)
    bucket.start()
    await bucket.settled()
    assert remote.content()["b"] == {
        "k": b"theirs",
        f"k (conflict instance 1-{first})": b"1",
        f"k (conflict instance 1-{second})": b"2",
    }


async def test_hold_waits_and_a_retry_goes_over_what_was_seen(bucket: Site, remote: FakeRemote) -> None:
    """A person who retries has decided for ours over that object: not over one that came since."""
    stranger(remote, b"theirs")
    sequence = await put(bucket, b"ours", "hold")
    await bucket.settled()
    (parked,) = bucket.questions.parked(10)
    assert parked.code == "Conflict"
    assert md5(b"theirs") in parked.message
    assert md5(b"ours") in parked.message
    stranger(remote, b"newer")
    await bucket.resume(sequence)
    await bucket.settled()
    assert remote.content()["b"] == {"k": b"newer"}
    assert conflict(bucket, sequence).theirs.etag == md5(b"newer")
    await bucket.resume(sequence)
    await bucket.settled()
    assert remote.content()["b"] == {"k": b"ours"}
    assert bucket.pending() == []


async def test_a_deletion_is_guarded_too(bucket: Site, remote: FakeRemote) -> None:
    """The remote ignores conditions on deletions: what is there is looked at. What is gone already is success."""
    for policy in (*POLICIES, "gone"):
        await put(bucket, b"1", "hold", key=policy)
    await bucket.settled()
    for policy in POLICIES:
        stranger(remote, b"theirs", key=policy)
    del remote.buckets["b"]["gone"]
    for policy in POLICIES:
        await bucket.append("DeleteObject", f"b/{policy}", conflict=policy, believed=md5(b"1"))
    await bucket.append("DeleteObject", "b/gone", conflict="hold", believed=md5(b"1"))
    await bucket.settled()
    assert sorted(remote.buckets["b"]) == ["hold", "keep-both", "remote"]
    assert [row.code for row in bucket.questions.parked(10)] == ["Conflict"]


async def test_what_was_deleted_at_the_remote_is_a_conflict(bucket: Site, remote: FakeRemote) -> None:
    """S3 answers NoSuchKey to If-Match where there is nothing; ours then goes out with If-None-Match."""
    await put(bucket, b"1", "local")
    await bucket.settled()
    del remote.buckets["b"]["k"]
    remote.faults.append(Fault(lambda: failed(FailureKind.ABSENT, "NoSuchKey", 404), "PutObject", times=1))
    sequence = await put(bucket, b"2", "local", None)
    await bucket.settled()
    assert not conflict(bucket, sequence).theirs.present
    assert remote.content()["b"] == {"k": b"2"}


async def test_a_remote_known_to_honour_conditions_on_deletions_is_not_looked_at_first(
    tmp_path: Any, remote: FakeRemote
) -> None:
    """The condition alone guards the deletion: no window, and a request less."""
    plain = FakeRemote._DeleteObject

    def honest(parameters: dict[str, Any], content: Any) -> Any:
        there = remote.buckets["b"].get(parameters["Key"])
        if there and parameters["IfMatch"] != f'"{there[-1].etag}"':
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        return plain(remote, parameters, content)

    remote._DeleteObject = honest  # type: ignore[method-assign]
    site = Site(tmp_path, remote, ways=Ways(deletions=frozenset({"b"})))
    await site.open()
    await site.create_bucket()
    await site.settled()
    stranger(remote, b"1", key="same")
    stranger(remote, b"2", key="other")
    await site.append("DeleteObject", "b/same", conflict="hold", believed=md5(b"1"))
    await site.settled()
    assert remote.calls["HeadObject"] == 0
    held = await site.append("DeleteObject", "b/other", conflict="hold", believed=md5(b"1"))
    await site.settled()
    assert remote.content()["b"] == {"other": b"2"}
    assert site.parked() == {held: "Conflict"}
    await site.close()


@pytest.mark.parametrize("conditional", [True, False])
async def test_a_remote_without_conditions_is_looked_at_first(
    tmp_path: Any, remote: FakeRemote, conditional: bool
) -> None:
    """NotImplemented is learned once; where it is configured no condition is sent at all."""

    def plain(parameters: dict[str, Any], content: Any) -> Any:
        if {"IfMatch", "IfNoneMatch"} & parameters.keys():
            raise failed(FailureKind.PERMANENT, "NotImplemented", 501)
        return FakeRemote._PutObject(remote, parameters, content)

    remote._PutObject = plain  # type: ignore[method-assign]
    site = Site(tmp_path, remote, ways=Ways(Form.QUOTED if conditional else Form.UNSENT))
    await site.open()
    await site.create_bucket()
    await site.settled()
    stranger(remote, b"theirs", key="l")
    await put(site, b"1", "hold")
    held = await put(site, b"1", "hold", key="l")
    await site.settled()
    assert remote.content()["b"] == {"k": b"1", "l": b"theirs"}
    assert site.parked() == {held: "Conflict"}
    assert remote.calls["PutObject"] <= (3 if conditional else 1)
    await site.close()


async def test_a_remote_that_compares_the_quotes_too(bucket: Site, remote: FakeRemote) -> None:
    """Ceph RGW refuses If-Match with the ETag as HTTP writes it: that is found out by looking, and is no conflict."""
    original = remote._store

    def literal(parameters: dict[str, Any], data: bytes) -> Any:
        if parameters.get("IfMatch", "").startswith('"'):
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        return original(parameters, data)

    remote._store = literal  # type: ignore[method-assign]
    await put(bucket, b"1", "hold")
    for number in (2, 3):
        await put(bucket, b"%d" % number, "hold", None)
    await bucket.settled()
    stranger(remote, b"theirs")
    held = await put(bucket, b"4", "hold", None)
    await bucket.settled()
    assert [row.sequence for row in bucket.questions.conflicts(10)] == [held]
    assert remote.calls["PutObject"] == 5


async def test_an_upload_in_parts_is_guarded_at_its_end(bucket: Site, remote: FakeRemote) -> None:
    """Complete carries the condition; one that gives way leaves no upload behind, and its bytes stay."""
    stranger(remote, b"theirs")
    await bucket.begin_upload("k", "u")
    await bucket.part("k", "u", 1, b"part")
    parts = bucket.questions.parts("u")
    sequence = await bucket.append(
        "CompleteMultipartUpload",
        "b/k",
        upload="u",
        size=4,
        etag=f"{'0' * 32}-1",
        extents=tuple(extent for part in parts for extent in part.extents),
        parts=((1, 4, ""),),
        conflict="keep-both",
        believed="",
    )
    await bucket.settled()
    name = f"k (conflict instance 1-{sequence})"
    assert remote.content()["b"] == {"k": b"theirs", name: b"part"}
    assert bucket.pending() == []


async def test_a_rebuild_folds_the_same_conflicts(bucket: Site, remote: FakeRemote) -> None:
    """Invariant 2: of every policy, with what came after."""
    for policy in POLICIES:
        stranger(remote, b"theirs", key=policy)
        await put(bucket, b"ours", policy, key=policy)
    await bucket.settled()
    other = str(bucket.directory / "again.db")
    view = View(other, token="t", trusted=None)
    view.bind(bucket.journal.identity.instance, bucket.journal.identity.epoch)
    view.begin()
    for record in bucket.journal.read(0, 1000):
        view.fold(record)
    view.publish()
    folded = {name: rows for name, rows in dump_view(other).items() if name not in FACTS}
    live = {name: rows for name, rows in dump_view(bucket.directory / "view.db").items() if name not in FACTS}
    assert folded == live
    assert len(folded["conflict"]) == 4
    view.close(sync=False)
