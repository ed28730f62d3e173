"""Uploads that no client completes are aborted when a rule says so, as records, and so at the remote as well."""

import pytest

from s3d.commands.expiring import ExpireUpload
from s3d.events import decode_mutation
from s3d.policy.rules import Rule, RuleError, Rules
from s3d.upkeep.unfinished import ABORTED_MAX, DAY_MS, UploadExpiry, is_due
from s3d.view.unfinished import OpenUpload

from .doubles import FakeRemote
from .replicating import Site
from .test_uploads import an_upload

DAY_SECONDS = 86400.0
WEEK = Rules([Rule(match="b/kept/*", abort_uploads_after_days=1000), Rule(match="b", abort_uploads_after_days=7)])


def expiry(site: Site, rules: Rules = WEEK) -> UploadExpiry:
    return UploadExpiry(site.journal, site.view.reader, site.clock, rules)


def ended(site: Site) -> list[tuple[str, str]]:
    """Which uploads were aborted, and by whom."""
    return [
        (record.stream, decode_mutation(record.payload).caller)
        for record in site.journal.read(0, 1000)
        if record.kind == "AbortMultipartUpload"
    ]


async def test_what_nobody_goes_on_with_is_aborted_here_and_there(site: Site, remote: FakeRemote) -> None:
    """What is gone on with, completed, or kept by an earlier rule is not; and none is aborted twice."""
    await site.create_bucket()
    expiring = expiry(site)
    for number, key in enumerate(("left", "alive", "whole", "kept/long")):
        await an_upload(site, key, f"u{number}")
    await site.settled()
    await site.clock.sleep(6 * DAY_SECONDS)
    remote.down = True
    await site.part("alive", "u1", 5, b"part 5")
    await site.complete("whole", "u2")  # and waits for the remote
    await site.clock.sleep(2 * DAY_SECONDS)
    assert await expiring.look() == 1
    assert [caller for _, caller in ended(site)] == ["upload-expiry"]
    assert await expiring.look() == 0
    remote.down = False
    await site.settled()
    assert site.pending() == []
    assert remote.calls["AbortMultipartUpload"] == 1
    assert remote.content()["b"] == {"whole": site.model["b"]["whole"]}
    assert site.questions.parts("u0") == []
    assert len(site.questions.parts("u1")) == 5


async def test_what_has_changed_since_it_was_looked_for_is_left(site: Site) -> None:
    """Decided on the writer's thread, on what is so then: a part, a Complete or an Abort that came before counts."""
    await site.create_bucket()
    await an_upload(site)
    (found,) = site.questions.uploads_begun_before(2**60, "", 10)
    await site.clock.sleep(10)
    await site.part("k", "u1", 5, b"part 5")
    command = ExpireUpload(found.bucket, found.key, found.upload, found.latest_ms)
    assert not (await site.journal.submit(command)).answer
    await site.complete("k", "u1")
    assert not (await site.journal.submit(ExpireUpload("b", "k", "u1", 2**60))).answer
    assert not (await site.journal.submit(ExpireUpload("b", "k", "never", 2**60))).answer
    await site.settled()
    assert ended(site) == []


async def test_decision_20_a_clock_that_jumped_aborts_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one without a rule; a thousand at most go in an hour."""
    await site.create_bucket()
    await an_upload(site)
    await site.settled()
    assert await expiry(site, Rules()).look() == 0
    expiring, now = expiry(site), site.clock.now
    with monkeypatch.context() as patch:
        patch.setattr(site.clock, "now", lambda: now() + 3650 * DAY_SECONDS)
        assert await expiring.look() == 0
    assert ended(site) == []
    assert ABORTED_MAX == 1000


def test_a_rule_says_after_how_long() -> None:
    """To the millisecond; by name only, because an upload's parts carry no tags."""
    upload = OpenUpload("b", "k", "u", 5)
    assert not is_due(upload, WEEK, 5 + 7 * DAY_MS - 1)
    assert is_due(upload, WEEK, 5 + 7 * DAY_MS)
    assert not is_due(OpenUpload("c", "k", "u", 5), WEEK, 2**60)
    with pytest.raises(RuleError):
        Rules([Rule(match="b/k[tag:a=b]", abort_uploads_after_days=1)])
