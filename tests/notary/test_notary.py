"""Checkpoints are signed when there is something to sign, follow each other over restarts, and stand in the view."""

from pathlib import Path

import pytest
from signed_site import EVERY_SECONDS, KEY, SignedSite

from s3d.audit.checkpoint import hash_of, is_signed, statement_of
from s3d.bundle.signing import has_signed
from s3d.view.checkpoints import last_checkpoint


@pytest.fixture
def site(tmp_path: Path) -> SignedSite:
    return SignedSite(tmp_path)


async def test_a_checkpoint_is_the_sites_word_on_its_chain(site: SignedSite) -> None:
    """It names the journal, its last record and the hash there, and carries the signature of the site's key."""
    site.write("a", "b")
    head = site.head
    found = await site.sign()
    said = statement_of(found)
    assert (said.site, said.epoch, said.number) == ("instance", 1, 1)
    assert (said.sequence, said.head, said.previous) == (head.sequence, head.hash.hex(), "")
    assert is_signed(found, KEY.public, has_signed)
    assert site.head.sequence == head.sequence + 1, "it is a record itself"


async def test_where_nothing_has_happened_nothing_is_signed(site: SignedSite) -> None:
    """Not even over a restart: a quiet site writes nothing."""
    first = await site.sign()
    head = site.head
    assert await site.sign() == first
    site.restart()
    assert await site.sign() == first
    assert site.head == head


async def test_each_names_the_one_before_it_also_after_a_restart(site: SignedSite, tmp_path: Path) -> None:
    """And after one that has lost the view, which is rebuilt from the records."""
    first = await site.sign()
    site.write("a")
    site.restart()
    second = await site.sign()
    site.write("b")
    (tmp_path / "other").mkdir()
    site.edge = site.edge.rebuilt(tmp_path / "other")
    site.restart()
    third = await site.sign()
    assert [statement_of(one).number for one in (first, second, third)] == [1, 2, 3]
    assert [statement_of(one).previous for one in (second, third)] == [hash_of(first), hash_of(second)]


async def test_the_view_has_the_last_ones_and_is_the_same_when_it_is_rebuilt(site: SignedSite, tmp_path: Path) -> None:
    """Those that are not at the remote stay, to go there one day."""
    for key in "abc":
        site.write(key)
        await site.sign()
    row = last_checkpoint(site.edge.view.reader())
    assert row is not None
    assert row.sequence == site.head.sequence
    (tmp_path / "other").mkdir()
    rebuilt = site.edge.rebuilt(tmp_path / "other")
    assert rebuilt.folded() == site.edge.folded()
    assert len(site.edge.folded()["checkpoint"]) == 3


async def test_it_is_time_after_a_while_and_when_a_file_is_closed(site: SignedSite) -> None:
    """What was just signed is not due again."""
    site.write("a")
    assert not site.notary._is_due()
    site.clock.step(EVERY_SECONDS)
    assert site.notary._is_due()
    await site.sign()
    assert not site.notary._is_due()
    site.write("b")
    site.file = 2
    assert site.notary._is_due()
    await site.sign()
    assert not site.notary._is_due()
