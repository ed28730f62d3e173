"""A look at everything becomes a record: one, with what it found, also where the journal could not take it at first."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from edge_state import NOW_MS, Edge

from journal import DiskFull
from s3d.commands.looking import RecordLook
from s3d.events import GapsLooked
from s3d.gaps.audit import GapAudit

NOW = 1_795_000_000.0


class Site:
    """Everything around a gap audit, of which only the listing and the journal do something."""

    def __init__(self, keys: int, connect: Callable[[], Any] = lambda: None) -> None:
        self.claims = [(f"k{number}", number + 1, True, 1, "e", 1) for number in range(keys)]
        self.pages = 0
        self.full = False
        self.looked: list[GapsLooked] = []
        bucket = SimpleNamespace(name="b", sole=True)
        questions: Any = SimpleNamespace(
            buckets=lambda: [bucket] if keys else [],
            bucket=lambda _name: bucket,
            claims_after=lambda _bucket, start, _limit: [one for one in self.claims if one[0] > start],
            gaps_between=lambda _bucket, _start, _last: [],
        )
        there = SimpleNamespace(reaches=lambda _bucket: True)
        asking: Any = SimpleNamespace(now_ms=lambda: int(NOW * 1000), page=self._page, upstream=there)
        clock: Any = SimpleNamespace(now=lambda: NOW, sleep=self._sleep)
        self.audit = GapAudit(
            questions,
            asking,
            self._submit,
            connect,
            1,
            clock,
            lambda _bucket, _key, own: "report",
            lambda _extents: True,
            lambda _extents: None,  # type: ignore[arg-type, return-value]
            every_seconds=1.0,
            requests_per_minute=60,
        )

    async def _page(self, _parameters: dict[str, Any]) -> dict[str, Any]:
        self.pages += 1
        return {"Contents": [{"Key": key, "Size": 1, "ETag": '"e"'} for key, *_ in self.claims]}

    async def _sleep(self, _seconds: float) -> None: ...

    async def _submit(self, command: Any) -> None:
        if self.full:
            raise DiskFull("no space")
        assert isinstance(command, RecordLook)
        self.looked.append(command.looked)


async def test_a_look_is_recorded_once_and_not_lost_for_a_full_disk():
    """The next one has nothing to do but to record it."""
    site = Site(keys=3)
    site.full = True
    with pytest.raises(DiskFull):
        await site.audit.look()
    site.full = False
    await site.audit.look()
    assert site.looked == [GapsLooked(began_ms=int(NOW * 1000), keys=3)]
    assert site.pages == 1
    await site.audit.look()
    assert (len(site.looked), site.pages) == (2, 2)
    site.audit.close()


async def test_a_look_at_nothing_is_no_record():
    """A daemon that has confirmed nothing yet says nothing."""
    site = Site(keys=0)
    await site.audit.look()
    assert site.looked == []
    site.audit.close()


async def test_the_last_look_is_known_after_a_restart(tmp_path: Path):
    """Of the latest record about one; a view that is folded again knows it, too."""
    edge = Edge(tmp_path, has_remote=True)
    for keys in (3, 5):
        edge.do(RecordLook(GapsLooked(began_ms=NOW_MS, keys=keys, gaps=1, mended=1)))
    again = tmp_path / "again"
    again.mkdir()
    anew = edge.rebuilt(again)
    assert anew.folded() == edge.folded()
    anew.close()
    edge.reopen()
    audit = Site(keys=0, connect=edge.view.reader).audit
    last = (await audit.report()).last
    assert last is not None
    assert (last.keys, last.gaps, last.mended) == (5, 1, 1)
    await audit.look()  # at nothing: this run's own look counts
    assert (await audit.report()).last.keys == 0  # type: ignore[union-attr]
    audit.close()
    edge.close()
