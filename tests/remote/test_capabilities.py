"""What a remote can do: how answers are judged, what is made of it, and the probe itself against moto and worse."""

from collections.abc import Mapping
from typing import Any

import pytest

from journal.disk import RealDisk
from s3d.errors import S3dError
from s3d.remote.capabilities import (
    CHECKSUM_ALGORITHMS,
    COPY,
    IF_MATCH,
    IF_MATCH_DELETE,
    IF_NONE_MATCH,
    LIST_V2,
    MULTI_DELETE,
    MULTIPART,
    OBJECT_LOCK,
    PART_COPY,
    TRAILER,
    VERSIONING,
    Finding,
    Greeting,
    Probed,
    Verdict,
    conditions_to_send,
    finding,
    finding_of_condition,
    greeting_of,
    warnings_of,
)
from s3d.remote.failures import FailureKind, RemoteFailure, classify
from s3d.remote.probing import PREFIX, Prober
from s3d.remote.remembered import Remembered

from .conftest import AnyRemote


def failure(code: str, status: int) -> RemoteFailure:
    return RemoteFailure(classify(code, status), code=code, status=status, message="why")


def probed(bucket: str = "b", **verdicts: Verdict) -> Probed:
    findings = tuple(Finding(name.replace("_", "-"), verdict) for name, verdict in verdicts.items())
    return Probed(endpoint="http://s3", software="Some/1", at="", bucket=bucket, findings=findings)


# judging


@pytest.mark.parametrize(
    ("code", "status", "verdict"),
    [
        ("NotImplemented", 501, "refused"),
        ("XAmzContentSHA256Mismatch", 400, "refused"),
        ("MethodNotAllowed", 405, "refused"),
        ("AccessDenied", 403, "unknown"),
        ("SlowDown", 503, "unknown"),
        ("InternalError", 500, "unknown"),
    ],
)
def test_only_what_is_refused_as_such_is_called_refused(code: str, status: int, verdict: Verdict) -> None:
    """A remote that fails, or forbids it to these keys, has said nothing of what it can do."""
    assert finding("x", failure(code, status)).verdict == verdict
    assert finding_of_condition("x", failure(code, status)).verdict == verdict


def test_a_condition_that_does_not_hold_has_to_be_refused_for_that() -> None:
    """Success means that it was ignored, which no answer of such a remote ever tells."""
    assert finding_of_condition("x", failure("PreconditionFailed", 412)).verdict == "yes"
    assert finding_of_condition("x", None).verdict == "ignored"


@pytest.mark.parametrize(
    ("create", "replace", "conditions"),
    [
        ("yes", "yes", "quoted"),
        ("yes", "bare", "bare"),
        ("yes", "ignored", "unsent"),
        ("refused", "yes", "unsent"),
        ("yes", "unknown", None),
    ],
)
def test_conditions_go_out_in_the_form_that_was_found(
    create: Verdict, replace: Verdict, conditions: str | None
) -> None:
    """Where one half of it cannot be trusted, none is; what could not be found out changes nothing."""
    found = probed(if_none_match=create, if_match=replace)
    assert found.conditions == conditions
    assert conditions_to_send(None, [found], "b") == (conditions or "quoted")
    assert conditions_to_send(None, []) == "quoted"


def test_a_bucket_that_was_not_probed_is_taken_for_the_worst_of_those_that_were() -> None:
    """Ceph RGW 16 honours conditions (without quotes), and ignores them where versions are kept."""
    plain = probed("plain", if_none_match="yes", if_match="bare")
    both = [probed("ver", if_none_match="ignored", if_match="refused"), plain]
    assert [conditions_to_send(None, both, one) for one in ("plain", "ver", "other")] == ["bare", "unsent", "unsent"]
    assert conditions_to_send(None, [plain], "other") == "bare"


def test_the_configuration_wins_and_somebody_is_told() -> None:
    """In both directions; where they agree there is nothing to say."""
    ignores, honours = probed(if_none_match="yes", if_match="ignored"), probed(if_none_match="yes", if_match="yes")
    assert conditions_to_send(True, [ignores], "b") == "quoted"
    assert conditions_to_send(False, [honours], "b") == "unsent"
    assert "is overwritten" in warnings_of(True, [ignores], None)[0]
    assert "one request more" in warnings_of(False, [honours], None)[0]
    assert warnings_of(True, [honours], None) == warnings_of(False, [ignores], None) == ()
    assert warnings_of(None, [ignores], None) == ()


def test_a_greeting_tells_the_clocks_apart() -> None:
    """In the middle of the round trip the remote's second had begun half a second ago, on average."""
    greeting = greeting_of(
        {"Date": "Mon, 23 Nov 2026 14:43:20 GMT", "Server": "MinIO"}, 1_795_444_999.5, 1_795_445_000.5
    )
    assert greeting == Greeting("MinIO", 0.5)
    (warning,) = warnings_of(None, [], Greeting("", -700.0))
    assert warning.startswith("this machine's clock is 700 s ahead of the remote's")
    assert "probe it again" in warnings_of(None, [probed()], Greeting("Other/2", 0.0))[0]


@pytest.mark.parametrize("text", ["", "today", "Mon, 99 Nov 2026 14:43:20 GMT", "\0", "Mon, 1 Jan 0001 00:00:00 -0000"])
def test_no_date_is_no_skew(text: str) -> None:
    """Whatever a proxy makes of the header."""
    assert greeting_of({"Date": text}, 0.0, 0.0).ahead_seconds is None


def test_what_was_found_is_remembered_for_each_bucket_of_each_endpoint(tmp_path: Any) -> None:
    """The latest, across restarts; a file that cannot be read is as good as none."""
    remembered = Remembered(RealDisk(), str(tmp_path))
    assert remembered.of("http://s3") == ()
    for one in (probed("first"), probed("second"), probed("first", copy="no")):
        remembered.keep(one)
    again = Remembered(RealDisk(), str(tmp_path))
    assert again.of("http://s3") == (probed("second"), probed("first", copy="no"))
    assert again.of("http://other") == ()
    (tmp_path / "remotes.json").write_bytes(b"\xff{")
    assert again.of("http://s3") == ()
    again.keep(probed("third"))
    assert again.of("http://s3") == (probed("third"),)


# the probe


class Quirky:
    """moto, with some of its ways changed: an operation fails, or one of its parameters is lost on the way."""

    def __init__(self, remote: AnyRemote) -> None:
        self._remote = remote
        self.refuses: dict[str, RemoteFailure] = {}
        self.ignores: set[str] = set()
        self.written: list[str] = []
        self.close = remote.close
        self.open = remote.open

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Any = None, flow: Any = None
    ) -> Mapping[str, Any]:
        self.written += [str(parameters["Key"])] if "Key" in parameters else []
        if operation in self.refuses:
            raise self.refuses[operation]
        kept = {name: value for name, value in parameters.items() if name not in self.ignores}
        return await self._remote.call(operation, kept, content, flow)


@pytest.fixture
def quirky(moto: AnyRemote) -> Quirky:
    return Quirky(moto)


async def probe(remote: Any, bucket: str) -> dict[str, Verdict]:
    prober = Prober(remote, bucket, "test")
    await prober.run()
    assert prober.left == ()
    return {one.name: one.verdict for one in prober.findings}


async def keys_of(remote: Any, bucket: str) -> list[str]:
    listed = await remote.call("ListObjectVersions", {"Bucket": bucket})
    return sorted(one["Key"] for one in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())))


async def test_a_probe_finds_out_everything_and_leaves_nothing(quirky: Quirky, bucket: str) -> None:
    """And touches no key but those under its own prefix."""
    await quirky.call("PutObject", {"Bucket": bucket, "Key": "mine"})
    quirky.written.clear()
    found = await probe(quirky, bucket)
    assert {key.startswith(PREFIX) for key in quirky.written} == {True}
    assert await keys_of(quirky, bucket) == ["mine"]
    names = {IF_NONE_MATCH, IF_MATCH, IF_MATCH_DELETE, TRAILER, LIST_V2, MULTI_DELETE, MULTIPART, COPY, PART_COPY}
    names |= {VERSIONING, OBJECT_LOCK, *(f"checksum-{one.lower()}" for one in CHECKSUM_ALGORITHMS)}
    assert set(found) == names
    yes = {IF_NONE_MATCH, IF_MATCH, LIST_V2, MULTI_DELETE, MULTIPART, COPY, PART_COPY}
    assert {name for name in yes if found[name] != "yes"} == set()
    assert found[VERSIONING] == "no"


async def test_where_versions_are_kept_each_of_them_is_removed(quirky: Quirky, bucket: str) -> None:
    """Deletion markers, too."""
    enabled = {"VersioningConfiguration": {"Status": "Enabled"}}
    await quirky.call("PutBucketVersioning", {"Bucket": bucket} | enabled)
    assert (await probe(quirky, bucket))[VERSIONING] == "yes"
    assert await keys_of(quirky, bucket) == []


async def test_a_remote_that_does_less_is_found_out(quirky: Quirky, bucket: str) -> None:
    """What it ignores without a word as well as what it refuses."""
    quirky.ignores = {"IfMatch", "ChecksumSHA1"}
    quirky.refuses = {"CopyObject": failure("NotImplemented", 501), "DeleteObjects": failure("MethodNotAllowed", 405)}
    found = await probe(quirky, bucket)
    assert (found[IF_MATCH], found[IF_MATCH_DELETE]) == ("ignored", "ignored")
    assert (found["checksum-sha1"], found[COPY], found[MULTI_DELETE]) == ("ignored", "refused", "refused")
    assert await keys_of(quirky, bucket) == []


async def test_silence_in_the_middle_is_told_and_cleaned_up_after(quirky: Quirky, bucket: str) -> None:
    """It says nothing of what the remote can do."""
    quirky.refuses = {"CopyObject": RemoteFailure(FailureKind.AMBIGUOUS, message="cut")}
    with pytest.raises(RemoteFailure, match="cut"):
        await probe(quirky, bucket)
    assert await keys_of(quirky, bucket) == []


async def test_a_bucket_that_is_no_place_for_it_is_left_alone(quirky: Quirky, bucket: str) -> None:
    """One that is not there, that may not be written to, or that would keep what is written."""
    with pytest.raises(S3dError, match="no bucket nowhere"):
        await probe(quirky, "nowhere")
    quirky.refuses = {"PutObject": failure("AccessDenied", 403)}
    prober = Prober(quirky, bucket, "test")
    with pytest.raises(S3dError, match="nothing can be written"):
        await prober.run()
    assert prober.left == ()
    locked = {"Bucket": "locked", "ObjectLockEnabledForBucket": True}
    quirky.refuses = {}
    await quirky.call("CreateBucket", locked)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    lock = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": rule}}
    await quirky.call("PutObjectLockConfiguration", {"Bucket": "locked"} | lock)
    with pytest.raises(S3dError, match="default retention"):
        await probe(quirky, "locked")
