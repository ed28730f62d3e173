"""Who decides something at the admin listener: by a token it is certain, and what a command says of itself is not."""

import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

sys.path.append(str(Path(__file__).parents[1] / "cli"))  # the edge that the command line's tests ask as well
from admin_edge import open_edge

from s3d.audit.listing import Filter, events_of
from s3d.auth.operators import Operators
from s3d.http.operators import OperatorGate

TOKEN, OTHER = "a-token-of-alice", "a-token-of-bob"
PAUSE = "/replication/pause"


def known(**tokens: str) -> Operators:
    return Operators({name: sha256(token.encode()).hexdigest() for name, token in tokens.items()})


class Asking:
    def __init__(self, edge: Any, session: aiohttp.ClientSession, url: str, gate: OperatorGate) -> None:
        self.edge, self.session, self.url, self.gate = edge, session, url, gate

    async def post(self, path: str, document: object, **headers: str) -> tuple[int, Any]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(self.url + path, json=document, headers=given) as response:
            return response.status, await response.json()

    def decided(self) -> list[tuple[str, str, str]]:
        """What the journal says: event, who for certain, and who it was said to be."""
        records = self.edge._journal.read(0, 1000)
        found = [one for one in events_of(records, 1, Filter()) if one.event not in {"acknowledged", "parked"}]
        return [(one.event, one.identity, one.claimed) for one in found]


@pytest.fixture
async def refused() -> list[tuple[str, ...]]:
    return []


@pytest.fixture
async def asking(tmp_path: Path, refused: list[tuple[str, ...]]) -> AsyncIterator[Asking]:
    gate = OperatorGate(known(alice=TOKEN), lambda *told: refused.append(told))
    async with open_edge(str(tmp_path), gate) as (edge, port), aiohttp.ClientSession() as session:
        yield Asking(edge, session, f"http://127.0.0.1:{port}", gate)


async def test_what_an_operator_decides_is_proved_by_the_token(asking: Asking) -> None:
    """The name is the token's, whatever the command says of itself, which is kept beside it."""
    one, two = await asking.edge.write("b/1"), await asking.edge.write("b/2")
    await asking.edge.park(one)
    await asking.edge.park(two)
    alice = {"Authorization": f"Bearer {TOKEN}", "X_S3d_Claimed_By": "bob@edge%20%C3%A9"}
    assert (await asking.post(PAUSE, {"reason": "r"}, **alice))[0] == 200
    assert (await asking.post("/replication/resume", {}, **alice))[0] == 200
    assert (await asking.post("/parked/drop", {"seqs": [f"1-{one}"]}, **alice))[0] == 200
    assert (await asking.post("/parked/resume", {"seqs": None}, **alice))[0] == 200
    assert asking.decided() == [
        (event, "operator:alice", "bob@edge é") for event in ("paused", "resumed", "dropped", "retried")
    ]


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", f"Bearer {OTHER}"],
)
async def test_without_an_operators_token_nothing_is_changed(asking: Asking, refused, authorization) -> None:
    """It is refused with what to do, and counted for auditors; to look is everybody's."""
    headers = {"Authorization": authorization} if authorization is not None else {}
    status, problem = await asking.post(PAUSE, {"reason": "r"}, **headers)
    assert (status, "operator's token" in problem["error"], "S3D_TOKEN_FILE" in problem["hint"]) == (401, True, True)
    assert [told[:4] for told in refused] == [("UnknownOperator", "127.0.0.1", "POST", f"admin:{PAUSE}")]
    assert asking.decided() == []
    async with asking.session.get(f"{asking.url}/status") as response:
        assert response.status == 200


async def test_other_operators_can_be_put_in_force(asking: Asking) -> None:
    """Who is not one any more is turned away from the next request on; with none at all everybody is `admin`."""
    alice, bob = ({"Authorization": f"Bearer {token}"} for token in (TOKEN, OTHER))
    asking.gate.replace(known(alice="another", bob=OTHER))
    assert (await asking.post(PAUSE, {"reason": "r"}, **alice))[0] == 401
    assert (await asking.post(PAUSE, {"reason": "r"}, **bob))[0] == 200
    asking.gate.replace(known())
    assert (await asking.post("/replication/resume", {}, X_S3d_Claimed_By="carol@edge"))[0] == 200
    assert asking.decided() == [("paused", "operator:bob", ""), ("resumed", "admin", "carol@edge")]


async def test_what_a_command_says_of_itself_is_bounded_and_printable(asking: Asking) -> None:
    """It goes into the journal for good, and onto screens."""
    asking.gate.replace(known())
    await asking.post(PAUSE, {"reason": "r"}, X_S3d_Claimed_By="%1b%5b2J%0a" + "x" * 1000)
    assert asking.decided() == [("paused", "admin", "[2J" + "x" * 197)]
