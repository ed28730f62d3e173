"""Ways to lose a body, or to keep one for ever. Each must turn the check of tests/upkeep/site.py red."""

from dataclasses import dataclass
from typing import Any

from s3d.view import confirming, gathered, needs, projection, upload_projection
from s3d.view.questions import Questions


@dataclass(frozen=True)
class Mutant:
    """What is replaced by what."""

    name: str
    patches: tuple[tuple[object, str, Any], ...]


def without(text: str, part: str) -> str:
    assert part in text, "the mutant has nothing to mutate"
    return text.replace(part, "")


SUPERSEDED = " AND EXISTS (SELECT 1 FROM object WHERE object.sequence = pending.sequence)"


def _superseded_lose(statement: str) -> str:
    """Pending records count only while they are their key's current one."""
    assert "row_bytes > 0" in statement
    return statement.replace("row_bytes > 0", f"row_bytes > 0{SUPERSEDED}")


def _parts_lose(statement: str) -> str:
    return statement.replace("extents IS NULL AND size > 0", "extents IS NULL AND size > 0 AND remote_etag = ''")


def _copies_lose(statement: str) -> str:
    return statement.replace("WHERE row BETWEEN", "WHERE 0 AND row BETWEEN")


def _ask(mutate: Any) -> tuple[tuple[object, str, Any], ...]:
    return (
        (needs, "_ROW_TOTALS", mutate(needs._ROW_TOTALS)),
        (needs, "_ROW_PAGE", mutate(needs._ROW_PAGE)),
    )


MUTANTS = (
    Mutant("body dropped when superseded but not confirmed", _ask(_superseded_lose)),
    Mutant("parts unpinned before Complete", _ask(_parts_lose)),
    Mutant("a copy does not hold its source's row", _ask(_copies_lose)),
    Mutant(
        "parts let go of when they are confirmed",
        (
            (upload_projection, "_HOLDS", "SELECT 1 FROM pending WHERE sequence = ?1"),
            (upload_projection, "_DROP_RELOCATED", "DELETE FROM relocated WHERE sequence = ?1"),
        ),
    ),
    Mutant("a moved body is forgotten", ((Questions, "relocated", lambda self, sequence: None),)),
    Mutant(
        "confirmed records hold on to rows",
        tuple((one, "drop_rows", lambda connection, sequence: None) for one in (projection, confirming, gathered)),
    ),
)
