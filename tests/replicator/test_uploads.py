"""Multipart uploads: parts side by side, resumed by part, and sent again where the remote forgot them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3d.remote.failures import FailureKind, RemoteFailure

from .doubles import FakeRemote, Fault, denied, failed, lost
from .replicating import Site


async def an_upload(site: Site, key: str = "k", upload: str = "u1", parts: int = 4) -> list[int]:
    sequences = [await site.begin_upload(key, upload, ContentType="t/x", Metadata={"m": "1"})]
    for number in range(1, parts + 1):
        sequences.append(await site.part(key, upload, number, b"part %d;" % number))
    return sequences


async def test_an_upload_arrives_part_by_part(site: Site, remote: FakeRemote) -> None:
    """One upload there for one here, each part once, the object with its attributes and the token."""
    await site.create_bucket()
    first = (await an_upload(site))[0]
    await site.part("k", "u1", 2, b"part two, again;")
    await site.complete("k", "u1")
    await site.put("k", b"later")
    await site.settled()
    assert remote.content() == site.model
    assert remote.effects[-2:] == [("CompleteMultipartUpload", "b", "k"), ("PutObject", "b", "k")]
    assert (remote.calls["CreateMultipartUpload"], remote.calls["UploadPart"]) == (1, 5)
    begun = remote.begun["remote-0"]
    assert (begun["ContentType"], begun["Metadata"]) == ("t/x", {"m": "1", "s3d-token": f"instance-1-{first}"})
    assert site.pending() == []


async def test_parts_sent_before_a_restart_are_not_sent_again(tmp_path: Path, remote: FakeRemote) -> None:
    """Big uploads resume by part, under the remote's own upload id, which is in the journal."""
    site = Site(tmp_path, remote)
    await site.open()
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    await site.close()
    await site.open()
    await site.part("k", "u1", 5, b"part 5")
    await site.complete("k", "u1")
    await site.settled()
    assert remote.content() == site.model
    assert (remote.calls["CreateMultipartUpload"], remote.calls["UploadPart"]) == (1, 5)
    await site.close()


@pytest.mark.parametrize("forgotten", ["upload", "part"])
@pytest.mark.parametrize("when", ["before-parts", "before-complete"])
async def test_an_upload_that_the_remote_forgot_is_sent_again(
    site: Site, remote: FakeRemote, forgotten: str, when: str
) -> None:
    """Decision 10, R11: ten days offline, and a lifecycle rule has aborted it. Every byte is still here."""
    await site.create_bucket()
    await site.begin_upload("k", "u1", Metadata={"m": "1"})
    await site.part("k", "u1", 1, b"one;")
    if when == "before-complete":
        await site.part("k", "u1", 2, b"two")
    await site.settled()
    if forgotten == "upload":
        remote.uploads.clear()
    else:
        remote.uploads["remote-0"].clear()
    if when == "before-parts":
        await site.part("k", "u1", 2, b"two")
    await site.complete("k", "u1")
    await site.settled()
    assert remote.content()["b"] == {"k": b"one;two"}
    assert remote.buckets["b"]["k"][-1].metadata["m"] == "1"
    assert site.pending() == []
    assert remote.uploads == {}, "and nothing half done is left to be paid for"


async def test_an_upload_that_is_sent_again_resumes_by_part(site: Site, remote: FakeRemote) -> None:
    """A failure in the middle of sending it again begins no third upload."""
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    remote.uploads.clear()
    remote.faults.append(Fault(lost, "CompleteMultipartUpload", times=2))
    remote.faults.append(Fault(lost, "UploadPart", times=3))
    await site.complete("k", "u1")
    await site.settled()
    assert remote.content() == site.model
    assert remote.calls["CreateMultipartUpload"] == 2
    assert remote.uploads == {}


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("at", ["UploadPart", "CompleteMultipartUpload"])
async def test_a_restart_while_an_upload_is_sent_again_leaves_none(
    tmp_path: Path, remote: FakeRemote, at: str, killed: bool
) -> None:
    """M5: the next run gives up what was begun in the place of a forgotten one; a stranger's of that key stays."""
    site = Site(tmp_path, remote)
    await site.open()
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    remote.uploads.clear()
    stranger = (await remote.call("CreateMultipartUpload", {"Bucket": "b", "Key": "k"}))["UploadId"]
    cut_off, original = set[str](), remote.call

    async def unanswered(operation: str, parameters: Any, *rest: Any) -> Any:
        """Whatever is begun in the place of the first one comes no further."""
        if operation == at and parameters["UploadId"] != "remote-0":
            cut_off.add(parameters["UploadId"])
            raise lost()
        return await original(operation, parameters, *rest)

    remote.call = unanswered  # type: ignore[method-assign]
    await site.complete("k", "u1")
    for run in range(1, 4):
        await asyncio.wait_for(until(lambda: len(cut_off) == run), 60)  # noqa: B023 - called at once
        assert len(remote.uploads) == 2, "the stranger's, and ours"
        await site.close(killed=killed)
        await site.open()
    remote.call = original  # type: ignore[method-assign]
    await site.settled()
    assert remote.content() == site.model
    assert (site.pending(), list(remote.uploads)) == ([], [stranger])
    assert remote.buckets["b"]["k"][-1].metadata["m"] == "1"
    await site.close()


async def test_one_that_may_not_be_given_up_holds_nobody_up(
    tmp_path: Path, remote: FakeRemote, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys that may write and not abort: the object arrives, and what stays open is named."""
    site = Site(tmp_path, remote)
    await site.open()
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    remote.uploads.clear()
    remote.faults.append(Fault(lost, "UploadPart"))
    await site.complete("k", "u1")
    await asyncio.wait_for(until(lambda: bool(remote.uploads)), 60)
    await site.close(killed=True)
    remote.faults[:] = [Fault(denied, "AbortMultipartUpload")]
    await site.open()
    await site.settled()
    assert remote.content() == site.model
    assert (site.pending(), len(remote.uploads)) == ([], 1)
    assert "stays open" in caplog.text
    await site.close()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.001)


async def test_an_upload_that_is_forgotten_once_more_is_begun_once_more(site: Site, remote: FakeRemote) -> None:
    """Between two of its parts the link was away again, for long: nobody has to act for it."""
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    remote.uploads.clear()

    def forget() -> RemoteFailure:
        remote.uploads.clear()
        return lost()

    remote.faults.append(Fault(forget, "UploadPart", times=1))
    await site.complete("k", "u1")
    await site.settled()
    assert site.parked() == {}
    assert remote.content() == site.model
    assert remote.calls["CreateMultipartUpload"] == 3
    assert remote.uploads == {}


async def test_a_complete_whose_answer_was_lost_is_looked_for(site: Site, remote: FakeRemote) -> None:
    """P12: the upload is gone because it succeeded; the token on the object says so."""
    remote.versioned = True
    await site.create_bucket()
    await an_upload(site)
    remote.faults.append(Fault(lost, "CompleteMultipartUpload", times=1, after=True))
    await site.complete("k", "u1")
    await site.settled()
    assert remote.calls["CompleteMultipartUpload"] == 1
    assert len(remote.buckets["b"]["k"]) == 1
    assert site.pending() == []


async def test_an_upload_that_was_aborted_offline_never_goes_out(site: Site, remote: FakeRemote) -> None:
    """Neither its beginning nor its parts cost the link anything."""
    await site.create_bucket()
    await site.settled()
    site.replicator.pause()
    await an_upload(site)
    await site.abort("k", "u1")
    site.replicator.resume()
    await site.settled()
    assert (
        remote.calls["CreateMultipartUpload"] + remote.calls["UploadPart"] + remote.calls["AbortMultipartUpload"] == 0
    )
    assert site.pending() == []


@pytest.mark.parametrize("gone", [False, True])
async def test_an_upload_is_aborted_there_too(site: Site, remote: FakeRemote, gone: bool) -> None:
    """One that the remote has forgotten already is as good as aborted."""
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    if gone:
        remote.uploads.clear()
    await site.abort("k", "u1")
    await site.settled()
    assert remote.uploads == {}
    assert site.pending() == []


async def test_a_parked_part_holds_back_its_own_complete(site: Site, remote: FakeRemote) -> None:
    """And with it the key, but no other upload and no other key."""
    await site.create_bucket()
    remote.faults.append(Fault(denied, "UploadPart", key="k"))
    await site.begin_upload("k", "u1")
    part = await site.part("k", "u1", 1, b"1")
    completed = await site.complete("k", "u1")
    await an_upload(site, "other", "u2")
    await site.complete("other", "u2")
    await site.settled()
    assert site.parked() == {part: "AccessDenied"}
    assert site.pending() == [part, completed]
    assert set(remote.content()["b"]) == {"other"}
    remote.faults.clear()
    await site.resume()
    await site.settled()
    assert remote.content() == site.model


async def test_a1_a_token_that_expires_in_the_middle_of_an_upload_costs_it_nothing(
    site: Site, remote: FakeRemote
) -> None:
    """Tried until there is another token: under the same upload id, each part once, and nothing is parked."""
    await site.create_bucket()
    await site.begin_upload("k", "u1")
    await site.part("k", "u1", 1, b"one;")
    await site.settled()
    remote.faults.append(Fault(lambda: failed(FailureKind.TRANSIENT, "ExpiredToken", 400), times=40))
    for number in (2, 3):
        await site.part("k", "u1", number, b"more;")
    await site.complete("k", "u1")
    await site.settled()
    assert remote.content() == site.model
    assert (site.pending(), site.parked()) == ([], {})
    assert remote.calls["CreateMultipartUpload"] == 1
    assert [effect[0] for effect in remote.effects].count("UploadPart") == 3


async def test_s5_a_stop_in_the_middle_of_a_complete_is_no_second_one(tmp_path: Path, remote: FakeRemote) -> None:
    """The remote has obeyed, and its answer is not waited for: the next run finds the object."""
    site = Site(tmp_path, remote)
    await site.open()
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    obeyed, original = asyncio.Event(), remote.call

    async def unanswered(operation: str, *rest: Any) -> Any:
        output = await original(operation, *rest)
        if operation == "CompleteMultipartUpload":
            obeyed.set()
            await asyncio.Event().wait()
        return output

    remote.call = unanswered  # type: ignore[method-assign]
    await site.complete("k", "u1")
    await obeyed.wait()
    await site.close()
    remote.call = original  # type: ignore[method-assign]
    await site.open()
    await site.settled()
    assert remote.content() == site.model
    assert (site.pending(), remote.uploads, remote.calls["CompleteMultipartUpload"]) == ([], {}, 1)
    await site.close()
