"""The contract of a request: when a waiting answer ends, and what it says; the edge and its view are real."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_state import Edge, confirm, create, park, put

from s3d.auth.caller import Caller
from s3d.clock import SystemClock
from s3d.errors import S3Error
from s3d.operations import durability
from s3d.operations.calls import Call, Reply
from s3d.operations.durability import Contract, read_headers
from s3d.policy.rules import Rule, Rules


class Client:
    """Somebody who waits, or does not any more."""

    def __init__(self) -> None:
        self.has_gone = False
        self.gave_back = 0

    def let_go(self) -> None:
        self.gave_back += 1


class Waiting:
    """An edge, a contract on its view, and calls that ask for something."""

    def __init__(self, directory: Path, *rules: Rule, has_remote: bool = True) -> None:
        self.edge = Edge(directory, has_remote=True)
        self.edge.do(create("b"))
        self.edge.do(confirm(1))
        read = Rules(rules)
        spoken = read if read.speak_of_durability else None
        self.contract = Contract(self.edge.ask, spoken, SystemClock(), 1, has_remote=has_remote)
        self.client = Client()

    def put(self, key: str) -> int:
        """A write; its sequence number."""
        sequence: int = self.edge.do(put("b", key)).records[0].sequence
        return sequence

    def call(self, durability: str | None = "replicated", timeout: str | None = "20", key: str = "k") -> Call:
        asked = read_headers(durability, timeout)
        body: Any = None
        return Call("PutObject", Caller("me", "here"), "b", key, {}, body, "R", 0, asked, self.client)

    async def answered(self, sequence: int, **asked: Any) -> Reply:
        call = self.call(**asked)
        promise = self.contract.promised(call)
        assert promise is not None
        return await self.contract.keep(promise, call, Reply({}, sequence=sequence))


@pytest.fixture
def only_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself: who is not told waits for a minute."""
    monkeypatch.setattr(durability, "RECHECK_SECONDS", 60.0)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    it = Waiting(tmp_path)
    yield it
    it.edge.close()


@pytest.mark.usefixtures("only_told")
async def test_an_answer_waits_for_its_own_record_only(waiting: Waiting) -> None:
    """It goes out when its record is confirmed; what others are told in between wakes nobody, and nothing is left."""
    first, second = waiting.put("a"), waiting.put("b")
    answer = asyncio.ensure_future(waiting.answered(second))
    await asyncio.sleep(0)
    waiting.edge.do(confirm(first))
    waiting.contract.settled([first])
    await asyncio.sleep(0.01)
    assert not answer.done()
    assert waiting.client.gave_back == 1, "what a request holds is given back before it waits"
    waiting.edge.do(confirm(second))
    waiting.contract.settled([second])
    assert (await asyncio.wait_for(answer, 60)).durability == "replicated"
    assert waiting.contract.waiting == 0


async def test_a_wake_up_that_never_came_only_delays(waiting: Waiting) -> None:
    """The view decides: a record that was settled without a word is noticed at the next look."""
    sequence = waiting.put("a")
    answer = asyncio.ensure_future(waiting.answered(sequence))
    await asyncio.sleep(0.01)
    waiting.edge.do(confirm(sequence))
    assert (await asyncio.wait_for(answer, 60)).durability == "replicated"


async def test_a_client_that_hangs_up_leaves_nothing_behind(waiting: Waiting) -> None:
    """It is noticed although nothing happens to its record; the record stays."""
    sequence = waiting.put("a")
    answer = asyncio.ensure_future(waiting.answered(sequence))
    await asyncio.sleep(0.01)
    waiting.client.has_gone = True
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(answer, 60)
    assert waiting.contract.waiting == 0
    assert waiting.edge.ask.pending(sequence) is not None


async def test_what_is_parked_in_front_ends_the_wait(waiting: Waiting) -> None:
    """A later write of a parked key, or of a parked bucket, cannot go: 409 at once, with its own number; others may."""
    parked, behind, free = waiting.put("a"), waiting.put("a"), waiting.put("b")
    waiting.edge.do(park(parked))
    with pytest.raises(S3Error) as refused:
        await asyncio.wait_for(waiting.answered(behind, key="a"), 60)
    assert refused.value.code == "ReplicationParked"
    assert f"1-{parked}" in refused.value.message
    assert refused.value.headers == {"x-s3d-seq": f"1-{behind}", "x-s3d-durability": "journaled"}
    with pytest.raises(S3Error, match="will be sent"):
        await waiting.answered(free, timeout="0.01", key="b")


@pytest.mark.usefixtures("only_told")
async def test_two_wait_for_one_record_and_a_stop_answers_both(waiting: Waiting) -> None:
    """A repeated Complete waits for the record of the first; closing the contract ends every wait."""
    sequence = waiting.put("a")
    answers = [asyncio.ensure_future(waiting.answered(sequence)) for _ in range(2)]
    await asyncio.sleep(0.01)
    waiting.contract.close()
    for answer in answers:
        with pytest.raises(S3Error, match="stopping"):
            await asyncio.wait_for(answer, 60)
    assert waiting.contract.waiting == 0


def test_the_header_decides_before_the_rules(tmp_path: Path) -> None:
    """Of several rules the first that says something; reads are never asked to wait."""
    careful = Rule(match="b/careful/*", durability="replicated")
    patient = Rule(match="b/*", durability_timeout_seconds=7)
    contract = Waiting(tmp_path, careful, patient)
    promised = contract.contract.promised

    by_rule = promised(contract.call(None, None, "careful/x"))
    assert by_rule is not None
    assert by_rule.timeout_seconds == 7
    assert promised(contract.call("journaled", None, "careful/x")) is None
    assert promised(contract.call(None, None, "other")) is None
    by_header = promised(contract.call("replicated", "2.5", "other"))
    assert by_header is not None
    assert by_header.timeout_seconds == 2.5


def test_without_a_remote_nothing_is_promised(tmp_path: Path) -> None:
    """Nobody waits for what cannot happen: refused before anything is kept."""
    alone = Waiting(tmp_path, has_remote=False)
    with pytest.raises(S3Error, match="No remote"):
        alone.contract.promised(alone.call())
    assert alone.contract.promised(alone.call("journaled")) is None


@pytest.mark.parametrize(
    ("durability", "timeout"),
    [
        ("", None),
        ("Replicated", None),
        ("none", "5"),
        *[("replicated", text) for text in ("", "0", "-1", "1e3", "3601", "nan", "inf", "٣", "1.2345", "5\n")],
    ],
)
def test_a_header_that_means_nothing_is_refused(durability: str, timeout: str | None) -> None:
    """InvalidArgument names the header: a promise that was misread would be worse."""
    with pytest.raises(S3Error) as refused:
        read_headers(durability, timeout)
    assert refused.value.code == "InvalidArgument"
    assert refused.value.details["ArgumentName"].startswith("x-s3d-durability")
