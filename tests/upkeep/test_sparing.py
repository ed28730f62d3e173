"""Small bodies of pinned objects when their journal file loses them."""

import hashlib
from pathlib import Path

import pytest
from edge_state import confirm, copy, create, put
from structlog.testing import capture_logs

from s3d.commands.pinning import PinPrefix

from .site import Site

DATA = {f"{place}/{number}": f"{place} {number}".encode() * 500 for place in ("kept", "other") for number in range(3)}


@pytest.fixture
async def site(tmp_path: Path):
    found = Site(tmp_path)
    await found.open()
    await found.run(create("b", remote_has_it=False))
    await found.run(PinPrefix("b", "kept/", "admin"))
    yield found
    await found.close()


async def written(site: Site) -> list[int]:
    """All of them, and enough behind them that their journal file is closed."""
    sequences = [(await site.run(put("b", key, body)))[0].sequence for key, body in DATA.items()]
    for number in range(40):
        sequences.append((await site.run(put("b", f"filler/{number}", b"x" * 8000)))[0].sequence)
    return sequences


def held(site: Site) -> dict[str, bytes]:
    """What is cached, whole."""
    found = {}
    for key, body in DATA.items():
        for piece in site.ask.cached_pieces("b", key, hashlib.md5(body).hexdigest()):
            found[key] = site.pool.files.read(piece.blob, 0, piece.length + 1)
    return found


async def test_pinned_objects_are_cached_before_their_rows_are_gone(site: Site) -> None:
    """Confirmed ones and copies, whose bytes lie in another object's row; nobody else's."""
    sequences = await written(site)
    row = site.ask.object("b", "other/0")
    assert row is not None
    copied = (await site.run(copy(site, ("b", "other/0"), ("b", "kept/copy"))))[0].sequence
    await site.run(confirm(*sequences, copied))
    assert "Seal" in await site.tend()
    await site.collect()
    assert held(site) == {key: body for key, body in DATA.items() if key.startswith("kept/")}
    assert len(site.ask.cached_pieces("b", "kept/copy", row.etag)) == 1
    await site.check()


async def test_pinned_objects_that_were_pending_then_stay_when_they_are_confirmed(site: Site) -> None:
    """Their bodies were moved to blobs, which are let go of with the confirmation: not these."""
    first, *rest = await written(site)
    await site.run(confirm(*rest))
    assert "Relocate" in await site.tend()
    blob = site.ask.relocated(first)
    assert blob is not None
    await site.run(confirm(first))
    await site.collect()
    assert site.ask.relocated(first) is None
    assert held(site) == {key: body for key, body in DATA.items() if key.startswith("kept/")}
    assert site.ask.blob_in_use(blob)
    await site.check()


async def test_no_more_than_is_kept_for_pins(site: Site) -> None:
    """The file is sealed all the same, and it is said."""
    site.pins_room_bytes = sum(len(DATA[f"kept/{number}"]) for number in range(2))
    await site.run(confirm(*await written(site)))
    with capture_logs() as said:
        assert "Seal" in await site.tend()
    assert len(held(site)) == 2
    assert any("pinned objects are only at the remote" in one["event"] for one in said)
