"""Where a replay sends each bucket, with one remote and with several."""

from pathlib import Path

from s3d.app.replaying import entries_of, route
from s3d.cli.remotes import named_remotes
from s3d.config import load
from s3d.policy.bucket_map import MappedBucket
from s3d.replay.selection import Selection
from s3d.view.rows import PendingRow

KEYS = 'access_key = "x", secret_key = "y"'
ONE = f'remote = {{ endpoint = "http://one.example", {KEYS} }}\n'
TWO = f"""{ONE}
[[bucket]]
name = "theirs"
remote = "town"
[[other_remote]]
name = "town"
endpoint = "http://town.example"
access_key = "x"
secret_key = "y"
"""


def taken(path: Path, config: str, *mapped: MappedBucket) -> dict[str | None, list[str]]:
    """The buckets of which records go to each endpoint."""
    path.write_text(config)
    path.chmod(0o600)
    settings = load({}, {}, str(path))
    rows = [PendingRow(1, "PutObject", name, "k", 1, 1, 0, "", "") for name in ("ours", "theirs")]
    return {
        one.settings.endpoint_url: [row.bucket for row in rows if one.selection.selects(row)]
        for one in route(
            named_remotes(settings, {}), Selection(), entries_of(mapped, settings.buckets, ())
        ).destinations
    }


def test_each_bucket_goes_to_its_own_remote(tmp_path: Path) -> None:
    """Without a table that says otherwise, all go to the one there is."""
    file = tmp_path / "s3d.toml"
    assert taken(file, ONE) == {"http://one.example": ["ours", "theirs"]}
    assert taken(file, TWO) == {"http://one.example": ["ours"], "http://town.example": ["theirs"]}


def test_what_is_typed_comes_before_what_is_configured(tmp_path: Path) -> None:
    """`--map` sends a bucket to the first remote, wherever its table says that it is."""
    typed = MappedBucket(name="theirs", remote_bucket="here")
    assert taken(tmp_path / "s3d.toml", TWO, typed)["http://one.example"] == ["ours", "theirs"]
