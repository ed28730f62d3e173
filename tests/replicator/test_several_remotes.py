"""Several remotes behind one journal: none holds up another, but where a client has asked for an order across them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.app.remotes import drain_together
from s3d.commands.outcomes import DiscardRecords
from s3d.errors import S3dError
from s3d.operations.announcing import Announcements
from s3d.operations.bundle_pages import read_page
from s3d.operations.receipts import Known, Receipts
from s3d.policy.rules import Rule
from s3d.replicator.abroad import REMEMBERED_MAX, Abroad
from s3d.replicator.schedule import Plan, month_of
from s3d.values import BucketSet
from s3d.view import among, questions

from .doubles import FakeRemote, Fault, JumpingClock, denied
from .replicating import Site

HERE = BucketSet(frozenset({"c", "d"}), others=True)
CITY = BucketSet(frozenset({"c", "d"}))


class SplitSite(Site):
    """The buckets `c` and `d` are at a remote of their own, the city's."""

    def __init__(self, directory: Path, remote: FakeRemote, city: FakeRemote, *, budget: int | None = None, **more):  # type: ignore[no-untyped-def]
        super().__init__(directory, remote, buckets=HERE, **more)
        self.city = city
        self.at_city = CITY
        self.plan = Plan(bytes_per_month_max=budget)

    async def open(self, *, replicate: bool = True) -> None:
        await super().open(replicate=False)
        given_ = {"remote": "city", "buckets": self.at_city, "plan": self.plan}
        self.city_link, self.to_city = self.replicating(self.city, type(self.settings)(**given_))
        if replicate:
            self.start()

    def start(self) -> None:
        super().start()
        self.city_link.start()
        self.to_city.start()

    def settle(self, remote: str, sequences: Iterable[int]) -> None:
        super().settle(remote, tuple(sequences))
        (self.replicator if remote else self.to_city).settled_elsewhere(sequences)

    async def settled(self) -> None:
        """Return when nothing is pending but what is parked or waits for something parked."""
        for _ in range(20_000):
            assert self.crashes == []
            both = (self.replicator, self.to_city)
            if all(one._window.is_done and not one._deliveries and len([*one._tasks]) <= 4 for one in both):
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"not settled: {self.replicator.snapshot()} {self.to_city.snapshot()}")

    async def close(self, *, killed: bool = False) -> None:
        await self.city_link.stop()
        await self.to_city.stop()
        await super().close(killed=killed)

    async def buckets(self) -> None:
        for name in "bcd":
            await self.create_bucket(name)
        await self.settled()


@pytest.fixture
def city(clock: JumpingClock) -> FakeRemote:
    return FakeRemote(clock, Random(2))


@pytest.fixture
async def site(tmp_path: Path, remote: FakeRemote, city: FakeRemote) -> AsyncIterator[SplitSite]:
    site = SplitSite(tmp_path, remote, city)
    await site.open()
    await site.buckets()
    yield site
    await site.close()


def keys(remote: FakeRemote) -> list[str]:
    return [key for operation, _, key in remote.effects if operation in {"PutObject", "CopyObject"}]


async def test_each_bucket_goes_to_its_own_remote(site: SplitSite, remote: FakeRemote, city: FakeRemote) -> None:
    """And nothing of it to the other."""
    for number in range(20):
        await site.put(f"k{number}", b"x", "bcd"[number % 3])
    await site.settled()
    assert site.pending() == []
    assert remote.content() == {"b": site.model["b"]}
    assert city.content() == {"c": site.model["c"], "d": site.model["d"]}


async def test_a_receipt_and_an_event_name_the_remote(site: SplitSite) -> None:
    """Of what is current and of what was replaced since, at one as at the other; also when only one is left."""
    places = []
    for bucket, body in (("b", b"1"), ("c", b"2"), ("c", b"3")):
        places.append(await site.put("k", body, bucket))
        await site.settled()
    for receipts in (Receipts(site.journal, several=True), Receipts(site.journal)):
        names = []
        for sequence in places:
            record, mutation = await receipts.record(sequence)
            told = await receipts.receipt(record, mutation, Known(site.questions, record, mutation))
            names.append(told.remote.name if told.remote is not None else told.state)
        assert names == ["default", "city", "city"]
    page = await Announcements(site.journal).after(0, frozenset({"confirmed"}))
    at = {one.seq: told.remote for told in page.announcements for one in told.records}
    epoch = site.journal.identity.epoch
    assert [at[f"{epoch}-{sequence}"] for sequence in places] == ["default", "city", "city"]


async def test_one_that_is_down_holds_up_no_other(
    site: SplitSite, remote: FakeRemote, city: FakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits for it in front: it is skipped, a few rows at a time, and takes no room in the window."""
    monkeypatch.setattr(among, "LOOKED_THROUGH", 7)
    city.down = True
    waiting = [await site.put(f"k{number}", b"x", "c") for number in range(50)]
    await site.put("free", b"y")
    await asyncio.wait_for(until(lambda: "free" in keys(remote)), 60)
    assert site.replicator.snapshot().window <= 1
    assert site.pending()[:50] == waiting
    city.down = False
    await site.settled()
    assert city.content()["c"] == site.model["c"]


async def test_a_copy_from_another_remote_is_sent_as_bytes(
    site: SplitSite, remote: FakeRemote, city: FakeRemote
) -> None:
    """In both directions, waiting for nothing there: the source may not even have arrived."""
    city.down = True
    await site.put("far", b"far", "c")
    await site.put("near", b"near")
    site.model["b"]["copied"] = b"far"
    await copy(site, "c/far", "b/copied")
    await asyncio.wait_for(until(lambda: "copied" in keys(remote)), 60)
    await copy(site, "b/near", "c/copied")
    site.model["c"]["copied"] = b"near"
    city.down = False
    await site.settled()
    assert remote.content()["b"] == site.model["b"]
    assert city.content()["c"] == site.model["c"]
    assert "CopyObject" not in remote.calls + city.calls


@pytest.mark.parametrize("rounds", [1, 5])
async def test_an_order_group_is_kept_across_remotes(
    site: SplitSite, remote: FakeRemote, city: FakeRemote, rounds: int
) -> None:
    """A manifest here never arrives before its parts there; what is in no group does."""
    city.down = True
    for batch in range(rounds):
        for number in range(3):
            await grouped(site, "c", f"{batch}part{number}", barrier=False)
        await grouped(site, "b", f"{batch}manifest", barrier=True)
        await site.put(f"{batch}free", b"y")
    await asyncio.wait_for(until(lambda: len(keys(remote)) == rounds), 60)
    assert all(key.endswith("free") for key in keys(remote))
    city.down = False
    arrived = await watched(site, remote, city, 4 * rounds)
    for batch in range(rounds):
        assert arrived.index(f"{batch}manifest") > max(arrived.index(f"{batch}part{one}") for one in range(3))
    assert [key[0] for key in arrived] == sorted(key[0] for key in arrived)


async def test_a_drain_waits_for_what_another_remote_has_just_set_free(
    tmp_path: Path, remote: FakeRemote, city: FakeRemote
) -> None:
    """The stop begins when the part has just arrived at the city, and the manifest has not been looked for again yet:
    that is not nothing to do, however long the manifest takes.
    """
    drains, left = list[asyncio.Future[bool]](), list[int]()

    class Stopping(SplitSite):
        def settle(self, remote: str, sequences: Iterable[int]) -> None:
            settled = tuple(sequences)
            super().settle(remote, settled)
            if part in settled:
                left.append(self.questions.pending_totals().count)  # what `wait` and `--safe-to-power-off` go by
                both = (self.replicator, self.to_city)
                drains.append(
                    asyncio.ensure_future(
                        drain_together(both, lambda: len(self.pending()), self.clock, 1e6, patient=False)
                    )
                )

    part = 0
    site = Stopping(tmp_path, remote, city)
    await site.open()
    await site.buckets()
    city.down = True
    part = await grouped(site, "c", "part", barrier=False)
    manifest = await grouped(site, "b", "manifest", barrier=True)
    await site.put("free", b"y")
    await asyncio.wait_for(until(lambda: site.pending() == [part, manifest]), 60)
    remote.latency = 5.0
    city.down = False
    await asyncio.wait_for(until(lambda: bool(drains)), 60)
    assert await asyncio.wait_for(drains[0], 60)
    assert (left, site.pending(), keys(remote)[-1]) == ([1], [], "manifest")
    await site.close()


async def test_a_barrier_is_parked_when_what_is_before_it_elsewhere_is_dropped(
    site: SplitSite, remote: FakeRemote, city: FakeRemote
) -> None:
    """As at one remote: it must not leave as if everything before it had arrived."""
    city.faults.append(Fault(denied, key="part"))
    part = await grouped(site, "c", "part", barrier=False)
    manifest = await grouped(site, "b", "manifest", barrier=True)
    await until(lambda: part in site.parked())
    await site.settled()
    assert site.pending() == [part, manifest]
    await site.journal.submit(DiscardRecords((part,), "operator"))
    site.replicator.resumed(())
    site.to_city.resumed(())
    await site.settled()
    assert site.parked() == {manifest: "OrderGroupBroken"}
    assert "manifest" not in keys(remote)


async def test_each_has_a_budget_of_its_own(tmp_path: Path, remote: FakeRemote, city: FakeRemote) -> None:
    """What one has confirmed in a month counts for it alone, through a restart; a copy that was uploaded counts."""
    site = SplitSite(tmp_path, remote, city, budget=25)
    await site.open()
    await site.buckets()
    await site.put("a", b"x" * 100)
    await site.put("a", b"x" * 10, "c")
    await site.settled()
    await copy(site, "c/a", "b/elsewhere")
    await copy(site, "b/elsewhere", "c/copied")
    await site.settled()
    month = month_of(site.clock.now())
    assert (site.questions.sent_bytes(month), site.questions.sent_bytes(month, "city")) == (110, 20)
    await site.put("last", b"x" * 10, "c")
    await site.settled()
    await site.close()
    await site.open()
    await site.put("over", b"x", "c")
    await site.put("other", b"x")
    await until(lambda: "other" in keys(remote))
    assert site.to_city.snapshot().permit.held  # type: ignore[union-attr]
    assert "last" in keys(city)
    assert "over" not in keys(city)
    await site.close()


async def test_what_is_pending_of_a_moved_bucket_goes_to_the_new_place(
    site: SplitSite, remote: FakeRemote, city: FakeRemote
) -> None:
    """Which remote it is for is decided when it is sent; that it was tried at the old one means nothing at the new."""
    city.down = True
    await site.put("k", b"x", "c")
    await site.close()
    site.settings = type(site.settings)(buckets=BucketSet(frozenset("d"), others=True))
    site.at_city = BucketSet(frozenset("d"))
    remote.buckets["c"] = {}
    await site.open()
    await site.settled()
    assert remote.content()["c"] == {"k": b"x"}
    assert site.pending() == []


async def test_a_carried_disk_takes_what_is_for_one_remote(
    site: SplitSite, remote: FakeRemote, city: FakeRemote
) -> None:
    """Page by page; and nothing of an order group that waits for another one."""
    remote.down = city.down = True
    await site.clock.sleep(1)
    wanted = [await site.put(f"k{number}", b"x", "bcb"[number % 3]) for number in range(12)]
    wanted = [one for number, one in enumerate(wanted) if number % 3 != 1]
    found, after, more = [], 0, True
    while more:
        page, after, more = read_page(site.journal, site.questions, after, 10**6, 5, HERE)
        found += [one.bundled.record.sequence for one in page]
    assert found == wanted
    first = await grouped(site, "b", "before")
    await grouped(site, "c", "part")
    page, last, _ = read_page(site.journal, site.questions, after, first, 5, HERE)
    assert ([one.bundled.record.sequence for one in page], last) == ([first], first)
    await grouped(site, "b", "manifest", barrier=True)
    with pytest.raises(S3dError, match="for another remote"):
        read_page(site.journal, site.questions, after, 10**6, 5, HERE)


async def test_what_is_urgent_overtakes_at_its_own_remote(
    tmp_path: Path, clock: JumpingClock, remote: FakeRemote, city: FakeRemote
) -> None:
    """Also a copy of what waits at another one, which it does not take along."""
    rules = (Rule(match="b/urgent*", priority="urgent"), Rule(match="b/*", priority="bulk"))
    site = SplitSite(tmp_path, remote, city, rules=rules, window_records_max=4, lanes_max=1)
    await site.open()
    await site.buckets()
    remote.down = city.down = True
    await clock.sleep(1)
    await site.put("source", b"far", "c")
    for number in range(40):
        await site.put(f"k{number}", b"x", "bc"[number % 2])
    await copy(site, "c/source", "b/urgent")
    remote.down = False
    await until(lambda: len(keys(remote)) == 21)
    assert keys(remote).index("urgent") < 10
    assert keys(city) == []
    assert site.parked() == {}, "the source was not taken along to where it does not belong"
    await site.close()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=40), st.integers(1, 9), st.integers(1, 9))
def test_pages_of_some_buckets_are_all_of_them_in_order(
    edge_rows: list[tuple[str, bool]], looked_through: int, limit: int
) -> None:
    """Whatever lies between, page by page: those of the buckets, and of every order group."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(among, "LOOKED_THROUGH", looked_through)
        asked = pending_rows(edge_rows)
        for buckets in (BucketSet(frozenset("ab")), BucketSet(frozenset("ab"), others=True)):
            found, after, more = [], 0, True
            while more:
                rows, after, more = asked.unsent_among(after, buckets, limit)
                found += [row.sequence for row in rows]
            wanted = [n for n, (bucket, group) in enumerate(edge_rows, 1) if bucket in buckets or group]
            assert found == wanted
            assert after == len(edge_rows)


def test_too_many_abroad_are_not_told_apart() -> None:
    """Then any that is settled may be the one; and it is said once."""
    abroad = Abroad()
    for number in range(REMEMBERED_MAX):
        abroad.add(number)
    assert not abroad.is_freed_by([-1])
    abroad.add(REMEMBERED_MAX)
    assert abroad.is_freed_by([-1])
    assert not abroad.is_freed_by([1])


def pending_rows(rows: list[tuple[str, bool]]) -> questions.Questions:
    import apsw

    connection = apsw.Connection(":memory:")
    connection.execute((Path(questions.__file__).parent / "schema.sql").read_text())
    for bucket, group in rows:
        connection.execute(
            "INSERT INTO pending (kind, bucket, key, size, at_ms, order_group) VALUES ('PutObject', ?, 'k', 0, 0, ?)",
            (bucket, "g" if group else ""),
        )
    return questions.Questions(connection)


async def grouped(site: SplitSite, bucket: str, key: str, **place: bool) -> int:
    site.model[bucket][key] = key.encode()
    return await site.append("PutObject", f"{bucket}/{key}", key.encode(), group="g", **place)


async def copy(site: SplitSite, source: str, target: str) -> None:
    """As CopyObject records it: with the bytes of the source's record."""
    row = site.questions.object(*source.split("/"))
    assert row is not None
    bucket, key = source.split("/")
    await site.append(
        "CopyObject",
        target,
        size=row.size,
        etag=row.etag,
        extents=row.extents,
        copy_bucket=bucket,
        copy_key=key,
        copy_sequence=row.sequence,
        copy_etag=row.etag,
    )


async def watched(site: SplitSite, remote: FakeRemote, city: FakeRemote, count: int) -> list[str]:
    """The keys of the group in the order in which they arrived, wherever that was."""
    arrived: list[str] = []
    for one in (remote, city):
        put = one._PutObject

        def putting(parameters, content, put=put):  # type: ignore[no-untyped-def]
            if not parameters["Key"].endswith("free"):
                arrived.append(parameters["Key"])
            return put(parameters, content)

        one._PutObject = putting  # type: ignore[method-assign]
    await asyncio.wait_for(until(lambda: len(arrived) == count and not site.pending()), 60)
    return arrived


async def until(holds) -> None:  # type: ignore[no-untyped-def]
    for _ in range(20_000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to that")
