"""A gap audit where one of several remotes is away."""

from types import SimpleNamespace
from typing import Any

import pytest

from s3d.errors import S3Error
from s3d.gaps.audit import GapAudit


class View:
    """Three buckets, in which nothing is claimed; who was looked at is remembered."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []

    def buckets(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("a", "b", "c")]

    def claims_after(self, bucket: str, key: str, limit: int) -> list[Any]:
        self.looked_at.append(bucket)
        return []


async def test_the_buckets_of_a_remote_that_is_away_are_looked_at_when_it_is_back() -> None:
    """The others now, and not once more."""
    view, away = View(), {"a", "b"}
    asking = SimpleNamespace(upstream=SimpleNamespace(reaches=lambda bucket: bucket not in away))
    given: Any = (view, asking, None, None, 1, SimpleNamespace(now=lambda: 0.0), None, None, None)
    audit = GapAudit(*given, every_seconds=1, requests_per_minute=60)
    for _ in range(2):
        with pytest.raises(S3Error, match="of a is not known"):
            await audit.look()
    assert view.looked_at == ["c"]
    away.clear()
    await audit.look()
    assert view.looked_at == ["c", "a", "b"]
    await audit.look()
    assert view.looked_at == ["c", "a", "b", "a", "b", "c"]
    audit.close()
