"""The admin listener over HTTP, on a real journal and a real view."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest

sys.path.append(str(Path(__file__).parents[1] / "cli"))  # the edge that the command line's tests ask as well
from admin_edge import open_edge


class Asking:
    def __init__(self, edge, session, url):
        self.edge, self.session, self.url = edge, session, url

    async def get(self, path, **query):
        async with self.session.get(self.url + path, params=query) as response:
            return response.status, await response.json()

    async def post(self, path, document):
        async with self.session.post(self.url + path, json=document) as response:
            return response.status, await response.json()


@pytest.fixture
async def asking(tmp_path):
    async with open_edge(str(tmp_path)) as (edge, port), aiohttp.ClientSession() as session:
        yield Asking(edge, session, f"http://127.0.0.1:{port}")


async def test_probes_answer_200_while_all_is_well(asking):
    """A fresh edge is alive and ready."""
    assert await asking.get("/healthz") == (200, {"ok": True})
    assert await asking.get("/readyz") == (200, {"ok": True})


async def test_an_edge_that_does_not_accept_is_alive_but_not_ready(asking):
    """A restart would not help it, so /healthz stays 200."""
    asking.edge.not_ready = "stopping"
    assert (await asking.get("/healthz"))[0] == 200
    assert await asking.get("/readyz") == (503, {"error": "stopping", "hint": ""})


async def test_a_crowded_edge_answers_and_is_not_ready_for_more(asking):
    """A rollout waits, traffic goes elsewhere; `s3d status` still calls it ready, because it answers."""
    asking.edge.full = "9 bytes wait for the remote"
    assert (await asking.get("/healthz"))[0] == 200
    assert await asking.get("/readyz") == (503, {"error": "9 bytes wait for the remote", "hint": ""})
    assert (await asking.get("/status"))[1]["ready"]


async def test_a_failed_journal_is_neither_alive_nor_ready(asking):
    """Both probes say why."""
    asking.edge.trouble = "COMMIT failed"
    assert (await asking.get("/healthz")) == (503, {"error": "COMMIT failed", "hint": ""})
    assert (await asking.get("/readyz"))[0] == 503


async def test_status_counts_what_is_pending(asking):
    """Sequence numbers carry the epoch."""
    await asking.edge.write("b/k", size=5)
    status, found = await asking.get("/status")
    assert status == 200
    assert found["head"] == "1-1"
    assert found["pending"] == {"count": 1, "bytes": 5, "oldest_seconds": 75.0, "parked": 0, "paused": None}


async def test_pending_is_paged_without_gaps_or_repeats(asking):
    """Following `next` gives every record once, in order."""
    for number in range(7):
        await asking.edge.write(f"b/{number}")
    seen, after = [], "0"
    while after:
        _, page = await asking.get("/pending", after=after, limit="3")
        seen += [record["seq"] for record in page["records"]]
        after = page["next"]
    assert seen == [f"1-{number}" for number in range(1, 8)]


async def test_pending_of_a_prefix_is_literal(asking):
    """Neither LIKE's nor a shell's wildcards mean anything in a prefix."""
    for key in ("a%", "ab", "a_", "a%/x"):
        await asking.edge.write(f"b/{key}")
    _, page = await asking.get("/pending", prefix="b/a%")
    assert [record["key"] for record in page["records"]] == ["a%", "a%/x"]


async def test_a_confirmed_record_is_confirmed_at_once(asking):
    """Nothing to wait for is an answer, not a wait."""
    sequence = await asking.edge.write("b/k")
    await asking.edge.confirm(sequence)
    status, report = await asking.get("/wait", seq=f"1-{sequence}", timeout="60")
    assert (status, report["state"]) == (200, "confirmed")


async def test_waiting_for_a_record_ends_with_its_confirmation(asking):
    """The answer comes when the outcome is in the journal, not when the timeout is over."""
    first, second = await asking.edge.write("b/k"), await asking.edge.write("b/l")
    waiting = asyncio.create_task(asking.get("/wait", seq=str(first), timeout="60"))
    await asyncio.sleep(0.05)
    await asking.edge.confirm(second)
    assert not waiting.done()
    await asking.edge.confirm(first)
    assert (await asyncio.wait_for(waiting, 60))[1]["state"] == "confirmed"


async def test_waiting_for_everything_is_about_what_there_was(asking):
    """Records written after the wait began do not prolong it."""
    first = await asking.edge.write("b/k")
    _, report = await asking.get("/wait", all="1", timeout="0")
    assert (report["state"], report["count"], report["through"]) == ("pending", 1, "1-1")
    await asking.edge.write("b/later")
    await asking.edge.confirm(first)
    _, report = await asking.get("/wait", all="1", through=report["through"], timeout="0")
    assert report["state"] == "confirmed"


async def test_waiting_for_a_prefix_ignores_other_keys(asking):
    """A backlog elsewhere is somebody else's."""
    await asking.edge.write("b/other/k")
    mine = await asking.edge.write("b/mine/k")
    assert (await asking.get("/wait", prefix="b/mine/", timeout="0"))[1]["count"] == 1
    await asking.edge.confirm(mine)
    assert (await asking.get("/wait", prefix="b/mine/", timeout="0"))[1]["state"] == "confirmed"


async def test_a_parked_record_ends_a_wait_and_is_named(asking):
    """Nothing would happen there until a person acts."""
    sequence = await asking.edge.write("b/k")
    waiting = asyncio.create_task(asking.get("/wait", all="1", timeout="60"))
    await asyncio.sleep(0.05)
    await asking.edge.park(sequence, "AccessDenied", "not yours")
    _, report = await asyncio.wait_for(waiting, 60)
    assert report["state"] == "parked"
    assert [(one["seq"], one["code"], one["message"]) for one in report["parked"]] == [
        ("1-1", "AccessDenied", "not yours")
    ]


async def test_a_record_behind_a_parked_one_of_its_key_cannot_be_waited_for(asking):
    """Order per key is kept, so it cannot pass; one of another key can."""
    blocked, other = await asking.edge.write("b/k"), await asking.edge.write("b/other")
    behind = await asking.edge.write("b/k")
    await asking.edge.park(blocked)
    assert (await asking.get("/wait", seq=str(behind)))[1]["state"] == "parked"
    assert (await asking.get("/wait", seq=str(other)))[1]["state"] == "pending"


async def test_without_a_remote_a_wait_says_so_at_once(asking):
    """It could never end."""
    asking.edge.replicates = False
    assert (await asking.get("/wait", all="1", timeout="60"))[1]["state"] == "confirmed"
    await asking.edge.write("b/k")
    assert (await asking.get("/wait", all="1", timeout="60"))[1]["state"] == "no-remote"


async def test_a_record_of_another_epoch_is_refused(asking):
    """Its number may by now be another record's."""
    await asking.edge.write("b/k")
    status, problem = await asking.get("/wait", seq="2-1")
    assert status == 400
    assert "epoch" in problem["error"]
    assert problem["hint"]


async def test_a_record_that_does_not_exist_yet_is_refused(asking):
    """Waiting for it might never end."""
    status, problem = await asking.get("/wait", seq="1-1")
    assert status == 400
    assert "no record 1-1" in problem["error"]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"seq": "1", "all": "1"},
        {"seq": "-1"},
        {"seq": "1-"},
        {"seq": "1-1-1"},
        {"seq": "٣"},
        {"seq": "9" * 40},
        {"all": "1", "timeout": "nan"},
        {"all": "1", "timeout": "-1"},
        {"all": "1", "timeout": "61"},
        {"all": "1", "timeout": "soon"},
        {"all": "1", "through": "x"},
        {"all": "1", "tiemout": "1"},
    ],
)
async def test_a_wait_that_is_not_understood_is_refused(asking, query):
    """With a 400 that says what is wrong, and no wait."""
    status, problem = await asking.get("/wait", **query)
    assert status == 400
    assert problem["error"]


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "x", "1e3", "99999999999999999999", ""])
async def test_a_limit_out_of_bounds_is_refused(asking, limit):
    """A page has 1 to 10,000 records."""
    assert (await asking.get("/pending", limit=limit))[0] == 400


async def test_parked_records_are_listed_and_resumed(asking):
    """Resuming names those that try again; they are pending afterwards."""
    for key in ("a", "b", "c"):
        await asking.edge.park(await asking.edge.write(f"b/{key}"))
    parked = [record["seq"] for record in (await asking.get("/parked"))[1]["records"]]
    assert parked == ["1-1", "1-3", "1-5"]
    assert await asking.post("/parked/resume", {"seqs": ["1-3"]}) == (200, {"seqs": ["1-3"]})
    assert await asking.post("/parked/resume", {"seqs": None}) == (200, {"seqs": ["1-1", "1-5"]})
    assert (await asking.get("/parked"))[1]["records"] == []


@pytest.mark.parametrize(
    "document", [{}, {"seqs": "1-1"}, {"seqs": [1]}, [], {"seqs": ["1-1"], "x": 1}, {"seqs": ["7-1"]}]
)
async def test_a_resume_that_is_not_understood_changes_nothing(asking, document):
    """400, and the record stays parked."""
    await asking.edge.park(await asking.edge.write("b/k"))
    assert (await asking.post("/parked/resume", document))[0] == 400
    assert len((await asking.get("/parked"))[1]["records"]) == 1


async def test_resuming_what_is_not_parked_is_an_error(asking):
    """A typing error must not look like success."""
    await asking.edge.write("b/k")
    assert (await asking.post("/parked/resume", {"seqs": ["1-1"]}))[0] == 400


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:33334", "127.0.0.1.evil.example", "10.0.0.1", "", "[::"]
)
async def test_a_name_that_is_not_loopback_is_turned_away(asking, host):
    """A page whose name was rebound to 127.0.0.1 sends its own name as Host."""
    async with asking.session.get(f"{asking.url}/status", headers={"Host": host}) as response:
        assert response.status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:3", "[::1]", "[::1]:33334"])
async def test_every_loopback_name_is_welcome(asking, host):
    """However a person or a container's probe calls this machine."""
    async with asking.session.get(f"{asking.url}/status", headers={"Host": host}) as response:
        assert response.status == 200


async def test_a_web_page_cannot_resume(asking):
    """Neither with its origin, nor as a form, and it is never told that it may."""
    await asking.edge.park(await asking.edge.write("b/k"))
    url, document = f"{asking.url}/parked/resume", json.dumps({"seqs": None})
    as_page = {"Origin": "http://localhost", "Content-Type": "application/json"}
    async with asking.session.post(url, data=document, headers=as_page) as response:
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers
    async with asking.session.post(url, data=document, headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 415
    assert len((await asking.get("/parked"))[1]["records"]) == 1


async def test_metrics_are_prometheus_text(asking):
    """Gauges show the moment of the scrape."""
    await asking.edge.write("b/k", size=7)
    async with asking.session.get(f"{asking.url}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await response.text()
    assert "\ns3d_pending_records 1.0\n" in text
    assert "\ns3d_pending_bytes 7.0\n" in text


async def test_an_unknown_path_says_what_there_is(asking):
    """In JSON, as everything here."""
    status, problem = await asking.get("/nothing")
    assert status == 404
    assert "/status" in problem["hint"]
    async with asking.session.delete(f"{asking.url}/status") as response:
        assert response.status == 405
        assert (await response.json())["error"]


async def test_a_wait_does_not_delay_a_stop(asking):
    """It answers with how things stand when the listener closes."""
    await asking.edge.write("b/k")
    waiting = asyncio.create_task(asking.get("/wait", all="1", timeout="60"))
    while asking.edge.asked == 0:
        await asyncio.sleep(0.01)
    await asyncio.wait_for(asking.edge.runner.cleanup(), 60)
    assert (await waiting)[1]["state"] == "pending"
