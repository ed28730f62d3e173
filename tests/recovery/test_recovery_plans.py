"""What is said of a look, and what is planned: the least that helps, and nothing where nothing does."""

from typing import Any

import msgspec
import pytest

from journal import BaseInfo, Head, Identity, Record
from journal.catalogue import Catalogue
from journal.diagnosis import Diagnosis, FileLook
from journal.mark import Mark
from journal.salvage import Chosen, Hole
from s3d.errors import DataDirectoryError
from s3d.recovery.findings import Severity, findings, needs_repair
from s3d.recovery.look import BlobsLook, BlobTrouble, DirectoryLook, Look
from s3d.recovery.plan import make_plan
from s3d.view.looking import Owner, ViewLook

HASH = bytes(32)
GIB = 1024**3
SEEN = Record(5, 0, "b/seen", "PutObject", b"{}", b"", 0, HASH)
HOLE = Hole(4, 6, HASH, (SEEN,))


def active(**changes: Any) -> FileLook:
    file = FileLook(2, "journal-000002.db", "active", Head(3, HASH), Head(9, HASH))
    return msgspec.structs.replace(file, **changes)


LOSSY = active(trouble="it cannot be read", chosen=Chosen({}, (HOLE,), Head(9, HASH)))
SHORT = active(trouble="records are missing", chosen=Chosen({}, (HOLE,), Head(6, HASH)))


def journal(**changes: Any) -> Diagnosis:
    catalogue = Catalogue(2, Head(3, HASH), (), BaseInfo(3, HASH, "base-3.db", HASH))
    found = Diagnosis(
        "/d/journal", True, "", "", Identity("i", 1), catalogue, Mark(2, Head(9, HASH)), files=(active(),)
    )
    return msgspec.structs.replace(found, **changes)


def look(**changes: Any) -> Look:
    found = Look("/d", DirectoryLook(0o40700, GIB, 1, 0), journal(), ViewLook("sound", 9), BlobsLook())
    return msgspec.structs.replace(found, **changes)


BODY = BlobTrouble("ab", "missing", Owner(7, "b", "k", only_here=True))
CACHED = BlobTrouble("cd", "missing", Owner(0))
CONFIRMED = BlobTrouble("ef", "cut off", Owner(8, "b", "l"))


@pytest.mark.parametrize(
    ("found", "severity", "says"),
    [
        (look(), "ok", "each follows the last"),
        (look(directory=DirectoryLook(0o40755, GIB, 1, 0)), "warning", "chmod 700 /d"),
        (look(directory=DirectoryLook(0o40700, GIB, 1, 0, ("view.db",))), "warning", "another user"),
        (look(directory=DirectoryLook(0o40700, 10, GIB, 0)), "warning", "free space"),
        (look(directory=DirectoryLook(0o40700, GIB, 1, 0, under_recovery=True)), "damage", "it goes on"),
        (look(directory=DirectoryLook(0o40700, GIB, 1, 0, under_restore=True)), "damage", "backup restore"),
        (look(directory=DirectoryLook(0o40700, GIB, 1, 0, in_use=True)), "note", "one moment"),
        (look(journal=journal(mark=None, mark_trouble="missing")), "damage", "nothing of what is here is lost"),
        (look(journal=journal(hopeless="it is gone", hint="restore a backup")), "damage", "restore a backup"),
        (look(journal=journal(files=(LOSSY,))), "damage", "records 4 to 6 cannot be saved"),
        (look(journal=journal(files=(SHORT,), has_log=False)), "damage", "Look for that file first"),
        (look(journal=journal(files=(LOSSY,)), view=ViewLook("missing")), "damage", "its version before"),
        (look(journal=journal(base_trouble="it is missing")), "damage", "only the view still says"),
        (look(journal=journal(base_trouble="it is missing"), view=ViewLook("missing")), "damage", "restore a backup"),
        (look(view=ViewLook("damaged", why="page 3")), "damage", "made of the journal"),
        (look(view=ViewLook("not believed", why="it moved")), "note", "folds it again"),
        (look(bodies=(Owner(7, "b", "k", only_here=True),)), "damage", "b/k (record 7): lost"),
        (look(bodies=(Owner(7, "b", "k"),)), "warning", "a GET fetches them"),
        (look(blobs=BlobsLook(troubles=(BODY,))), "damage", "b/k (record 7): lost"),
        (look(blobs=BlobsLook(troubles=(CONFIRMED,))), "warning", "a GET fetches them"),
        (look(blobs=BlobsLook(troubles=(CACHED,))), "warning", "cached copies"),
        (look(blobs=BlobsLook(unnamed=(("ab", 1),))), "note", "nothing needs"),
    ],
)
def test_every_finding_says_what_it_means_for_the_data(found: Look, severity: Severity, says: str) -> None:
    """Its severity, what it means and what to do."""
    told = [f"{one.what} {one.means} {one.do}" for one in findings(found) if one.severity == severity]
    assert any(says in one for one in told), told
    assert needs_repair(findings(found)) == (severity == "damage")
    assert all(one.means and one.do for one in findings(found) if one.severity in {"damage", "warning"})


def actions(found: Look) -> list[str]:
    return [step.action for step in make_plan(found, "now", "me").steps]


def test_the_least_is_planned() -> None:
    """Nothing where nothing is damaged, and where the next start does it by itself."""
    assert actions(look()) == []
    assert actions(look(view=ViewLook("missing"))) == []
    assert actions(look(blobs=BlobsLook(troubles=(BODY,)))) == []
    assert actions(look(view=ViewLook("damaged"))) == ["set-aside-view", "fold"]
    assert actions(look(journal=journal(mark=None, mark_trouble="missing"))) == ["write-mark", "set-aside-view", "fold"]
    nothing_lost = active(trouble="it cannot be read", chosen=Chosen({}, (), Head(9, HASH)))
    assert actions(look(journal=journal(files=(nothing_lost,)))) == ["write-journal", "fold"]


def test_a_loss_begins_an_epoch_and_keeps_what_the_view_knows() -> None:
    """The view is the base then, and what is known of what is lost is in the plan: by the view, or unproven."""
    known = Owner(4, "b", "known", only_here=True)
    plan = make_plan(look(journal=journal(files=(LOSSY,)), lost=(known,)), "now", "me")
    assert [step.action for step in plan.steps] == ["write-journal", "set-aside-view", "fold", "set-aside-bodies"]
    assert (plan.new_epoch, plan.base_of_view, plan.set_aside) == (True, True, "set-aside/now")
    ((one, two),) = [loss.named for loss in plan.losses]
    assert (one.key, one.proven, two.key, two.proven) == ("known", True, "seen", False)
    for view in (ViewLook("not believed", 9), ViewLook("sound", 2), ViewLook("sound", 10)):
        assert not make_plan(look(journal=journal(files=(LOSSY,)), view=view), "now", "me").base_of_view


def test_a_base_is_made_of_the_view_or_not_at_all() -> None:
    """Where records were dropped nothing else has them."""
    broken = journal(base_trouble="base-3.db is missing")
    assert make_plan(look(journal=broken), "now", "me").base_of_view
    with pytest.raises(DataDirectoryError, match="were dropped"):
        make_plan(look(journal=broken, view=ViewLook("missing")), "now", "me")
    with pytest.raises(DataDirectoryError, match="it is gone"):
        make_plan(look(journal=journal(hopeless="it is gone")), "now", "me")
