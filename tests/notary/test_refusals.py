"""Who is not let in is counted, and some have a line; a flood of them buys neither disk nor records."""

import json
from pathlib import Path

import pytest
from edge_state import Edge
from signed_site import SteppedClock

from journal import DiskFull
from s3d.audit.listing import Filter, events_of
from s3d.events import REFUSED, RequestsRefused, decode_refused
from s3d.notary.refusals import LINES_AT_ONCE, NAME, NAME_BEFORE, OTHERS, SUM_SECONDS, Refusals, claimed_key

HEADER = "AWS4-HMAC-SHA256 Credential=AKIDEVE/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"
SECRET_QUERY = "X-Amz-Credential=AKIDEVE%2F20261123%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=5ec2e7"


class Site:
    """Refusals over a directory and an edge whose journal may be full."""

    def __init__(self, directory: Path, file_bytes_max: int = 2000) -> None:
        self.directory = directory
        self.edge = Edge(directory)
        self.clock = SteppedClock()
        self.full = False
        self.refusals = Refusals(str(directory), self._submit, self.clock, file_bytes_max=file_bytes_max)

    async def _submit(self, command: object) -> object:
        if self.full:
            raise DiskFull("no room")
        return self.edge.do(command)

    def refuse(self, times: int = 1, code: str = "AccessDenied", source: str = "10.0.0.9") -> None:
        for _ in range(times):
            self.refusals.note(code, source, "GET", f"/b/k?{SECRET_QUERY}", "", "R1")

    def lines(self) -> list[dict[str, str]]:
        found = [self.directory / NAME_BEFORE, self.directory / NAME]
        return [json.loads(line) for path in found if path.exists() for line in path.read_text().splitlines()]

    def summed(self) -> list[RequestsRefused]:
        records = self.edge.backend.read(0, 1000)
        return [decode_refused(one.payload) for one in records if one.kind == REFUSED]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_a_line_says_who_asked_for_what_and_no_secret(site: Site) -> None:
    """The key that was claimed, the address, the path without its query; only its owner can read the file."""
    site.refuse()
    await site.refusals.write()
    (line,) = site.lines()
    assert (line["code"], line["source"], line["path"], line["claims"]) == (
        "AccessDenied",
        "10.0.0.9",
        "/b/k",
        "AKIDEVE",
    )
    assert "5ec2e7" not in json.dumps(line)
    assert (site.directory / NAME).stat().st_mode & 0o777 == 0o600


async def test_a_flood_costs_a_bounded_file_and_one_record(site: Site) -> None:
    """Ten thousand in a moment: a hundred lines in two small files, and a record that counts all of them."""
    site.refuse(10_000)
    site.refuse(1, "SignatureDoesNotMatch", "10.0.0.1")
    await site.refusals.write()
    assert 0 < len(site.lines()) <= LINES_AT_ONCE
    for _ in range(50):
        site.clock.step(5)
        site.refuse(100)
        await site.refusals.write()
    assert sum(path.stat().st_size for path in site.directory.glob("refused*")) < 2 * (2000 + 50 * 250)
    await site.refusals.sum_up()
    (summed,) = site.summed()
    assert summed.codes == {"AccessDenied": 15_000, "SignatureDoesNotMatch": 1}
    assert summed.sources == {"10.0.0.9": 15_000, "10.0.0.1": 1}
    assert summed.until_ms - summed.since_ms == 250_000
    assert 0 < summed.unwritten < 15_001


async def test_many_addresses_are_counted_in_bounded_memory(site: Site) -> None:
    """The record tells of the ten that asked most, and of the others together."""
    for number in range(5000):
        site.refuse(source=f"10.0.{number // 250}.{number % 250}")
    site.refuse(7, source="10.0.0.3")
    await site.refusals.sum_up()
    (summed,) = site.summed()
    assert len(summed.sources) <= 11
    assert sum(summed.sources.values()) == 5007
    assert summed.sources["10.0.0.3"] == 8
    assert summed.sources[OTHERS] >= 4000


async def test_nothing_refused_is_no_record(site: Site) -> None:
    """And what was summed up is not told twice."""
    await site.refusals.finish()
    site.refuse()
    await site.refusals.finish()
    await site.refusals.finish()
    assert len(site.summed()) == 1


async def test_what_a_full_journal_does_not_take_is_counted_on(site: Site) -> None:
    """The next sum has it, from its beginning."""
    site.full = True
    site.refuse(3)
    await site.refusals.sum_up()
    site.full = False
    site.clock.step(SUM_SECONDS)
    site.refuse(2)
    await site.refusals.sum_up()
    (summed,) = site.summed()
    assert (summed.codes, summed.until_ms - summed.since_ms) == ({"AccessDenied": 5}, SUM_SECONDS * 1000)


async def test_without_a_file_they_are_only_counted(tmp_path: Path) -> None:
    """And where it cannot be written they are, too."""
    site = Site(tmp_path, file_bytes_max=0)
    site.refuse(3)
    await site.refusals.finish()
    assert (site.lines(), site.summed()[0].unwritten) == ([], 3)
    other = Site(tmp_path, file_bytes_max=100)
    (tmp_path / NAME).mkdir()
    other.refuse(2)
    await other.refusals.finish()
    assert other.summed()[0].unwritten == 2


async def test_it_is_an_event_for_auditors(site: Site) -> None:
    """How many, when, why, and from where most."""
    site.refuse(2)
    site.refuse(1, "SignatureDoesNotMatch", "10.0.0.1")
    await site.refusals.finish()
    (event,) = events_of(site.edge.backend.read(0, 100), 1, Filter(events=frozenset({"refused"})))
    assert (event.code, event.source) == ("AccessDenied", "10.0.0.9")
    assert "3 requests from 2023-11-14T22:13:20.000Z" in event.message
    assert "2 AccessDenied, 1 SignatureDoesNotMatch; from 2 10.0.0.9, 1 10.0.0.1" in event.message


@pytest.mark.parametrize(
    ("authorization", "query", "key"),
    [
        (HEADER, "", "AKIDEVE"),
        ("", SECRET_QUERY, "AKIDEVE"),
        ("", "", ""),
        ("Bearer x", "a=b", ""),
        (HEADER[:30], "", ""),
    ],
)
def test_the_key_that_is_claimed(authorization: str, query: str, key: str) -> None:
    """From the header or a presigned query; whatever else comes is none."""
    assert claimed_key(authorization, query) == key
