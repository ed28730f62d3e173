"""Exports that follow each other are read as one journal, as of when the last was signed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from forging import changed, forge, later
from signed_site import KEY, SignedSite

from s3d.cli.audit import audit
from s3d.cli.exits import OK
from s3d.cli.trails import ExportTrail
from s3d.errors import S3dError


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a site early and late, and what is left of the late one when the beginning was dropped."""

    async def make(directory: Path) -> None:
        site = SignedSite(tmp_path_factory.mktemp("site"))
        site.write("a", "b", "c")
        keep(directory, "early", await site.export())
        site.write("d", "e", "f")
        late = await site.export()
        keep(directory, "late", late)
        keep(directory, "rest", later(late, 4))
        keep(directory, "end", later(late, 7))
        keep(directory, "forged", forge(late, changed(6)))
        (directory / "site.key").write_text(KEY.public)

    directory = tmp_path_factory.mktemp("desk")
    asyncio.run(make(directory))
    return directory


def keep(directory: Path, name: str, lines: list[bytes]) -> None:
    (directory / f"{name}.jsonl").write_bytes(b"".join(lines))


def paths(desk: Path, *names: str) -> list[str]:
    return [str(desk / f"{name}.jsonl") for name in names]


def typed(*arguments: str) -> Any:
    return CliRunner().invoke(audit, arguments, standalone_mode=False)


def exports(desk: Path, *names: str) -> list[str]:
    return [word for path in paths(desk, *names) for word in ("--export", path)]


def test_each_record_is_read_once_and_in_order(desk: Path) -> None:
    """From wherever one begins, and also where the exports overlap."""
    trail = ExportTrail(paths(desk, "early", "rest"))
    assert [one.sequence for one in trail.records(0)] == [*range(1, 9)]
    assert [one.sequence for one in trail.records(5)] == [6, 7, 8]
    assert [(file.first, file.last) for file in trail.files] == [(1, 4), (5, 8)]
    assert [*trail.records(0)] == [*ExportTrail(paths(desk, "late")).records(0)]
    found = trail.record(2)
    assert found is not None
    assert found.sequence == 2


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("early", "end"), "records 5 to 6 are in none of these exports"),
        (("rest", "early"), "ends before the export before it"),
    ],
)
def test_what_does_not_belong_together_is_refused(desk: Path, names: tuple[str, ...], says: str) -> None:
    """A hole, and a wrong order."""
    with pytest.raises(S3dError, match=says):
        ExportTrail(paths(desk, *names))


def test_a_report_of_exports_is_as_of_when_they_were_signed(desk: Path) -> None:
    """The site signed at 22:14:20 and 22:15:20: of what came later they know nothing, so nothing is said."""
    for names, made in ((("early",), "2023-11-14T22:14:20.000Z"), (("early", "rest"), "2023-11-14T22:15:20.000Z")):
        found = typed("report", "--period", "2023-11-14", "--json", *exports(desk, *names))
        told = json.loads(found.stdout)
        assert (told["made"], told["is_over"]) == (made, False)
        assert "which nobody has verified" in told["told_by"]


def test_what_the_key_has_not_signed_is_not_reported(desk: Path) -> None:
    """With the key it is verified first; a daemon's or a disk's word is nobody's signature."""
    key = ("--public-key", str(desk / "site.key"))
    found = typed("report", "--period", "2023-11-14", "--json", *exports(desk, "early", "rest"), *key)
    assert "signed up to record 8 at 2023-11-14T22:15:20.000Z" in json.loads(found.stdout)["told_by"]
    for names in (("forged",), ("early", "end")):
        found = typed("report", "--period", "2023-11-14", *exports(desk, *names), *key)
        assert isinstance(found.exception, S3dError)
        assert "not what the site signed, or not all of it" in found.exception.message
    assert "goes with --export" in str(typed("report", "--period", "2023-11-14", "--data-dir", "/d", *key).exception)


def test_events_are_listed_through_all_of_them(desk: Path) -> None:
    """Each once."""
    found = typed("list", "--event", "acknowledged", "--json", *exports(desk, "early", "late"))
    assert found.return_value == OK
    assert [one["key"] for one in json.loads(found.stdout)["events"]] == ["", *"abcdef"]
