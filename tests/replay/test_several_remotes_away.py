"""A site of two remotes without a link: what is pending is carried away, and at last the site is dead."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from live import LiveDaemon

from s3d.bundle.keys import OwnKey, write_key
from s3d.cli.main import cli
from s3d.errors import S3dError

SITE, HEADQUARTERS = OwnKey(b"s" * 32), OwnKey(b"h" * 32)
CONFIG = f"""
bundle.trust = ["{HEADQUARTERS.public}"]
remote = {{ endpoint = "http://127.0.0.1:1", access_key = "x", secret_key = "y" }}
[[other_remote]]
name = "city"
endpoint = "http://127.0.0.1:2"
access_key = "x"
secret_key = "y"
sender = "inside"
[[bucket]]
name = "permits"
remote_bucket = "city-permits"
prefix = "site-7/"
remote = "city"
"""


class Typed:
    """Commands as they are typed; each gives its exit code and its document."""

    def __init__(self, daemon: LiveDaemon, there: str, disk: Path) -> None:
        self.daemon, self.there, self.disk = daemon, there, disk
        write_key(str(disk / "site.key"), SITE)
        write_key(str(disk / "hq.key"), HEADQUARTERS)

    def export(self, name: str, *more: str) -> dict[str, Any]:
        keys = ["--to", str(HEADQUARTERS.public), "--sign-with", str(self.disk / "site.key")]
        return self._run("bundle", "export", str(self.disk / name), *keys, "--admin", self.daemon.admin, *more)

    def apply(self, name: str, *more: str) -> dict[str, Any]:
        keys = ["--key", str(self.disk / "hq.key"), "--from", str(SITE.public)]
        return self._run("bundle", "apply", str(self.disk / name), *keys, *more)

    def receipts(self, name: str) -> dict[str, Any]:
        return self._run("bundle", "receipts", str(self.disk / f"{name}.receipts"), "--admin", self.daemon.admin)

    def replay(self, data_dir: Path, *more: str) -> dict[str, Any]:
        return self._run("replay", str(data_dir), "--state", str(self.disk / "replay"), *more)

    def _run(self, *arguments: str) -> dict[str, Any]:
        said: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "x")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "y")
            patch.setattr(
                click, "echo", lambda text="", **_: said.append(text.decode() if isinstance(text, bytes) else text)
            )
            try:
                code = cli.main([*arguments, "--json"], prog_name="s3d", standalone_mode=False)
            except S3dError as error:
                return {"error": str(error)}
        return {**json.loads("".join(said)), "code": code or 0}


def keys(client: Any, bucket: str) -> list[str]:
    return [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_each_bucket_goes_to_its_own_remote(tmp_path: Path, open_daemon: LiveDaemon) -> None:
    """On one disk for all of them, on one for one of them, and from the dead site's own; an order group across them is
    kept, and what nobody named a place for stays where it is.
    """
    daemon = LiveDaemon(tmp_path / "site", auth=False, config=CONFIG).start()
    typed, client, there = Typed(daemon, open_daemon.url, tmp_path), daemon.client(), open_daemon.client()
    both = ["--remote", open_daemon.url, "--remote", f"city={open_daemon.url}"]
    try:
        there.create_bucket(Bucket="city-permits")
        client.create_bucket(Bucket="carried-photos")
        group = {"x-s3d-order-group": "g"}
        daemon.fetch("PUT", "/permits/part", b"1", headers=group)
        daemon.fetch("PUT", "/carried-photos/manifest", b"2", headers=group | {"x-s3d-order-barrier": "true"})

        exported = typed.export("all")
        assert (exported["records"], exported["remotes"]) == (3, ["default", "city"])
        applied = typed.apply("all", "--remote", open_daemon.url)
        assert (applied["code"], applied["confirmed"], applied["elsewhere"]) == (4, 1, {"city": 1})
        assert keys(there, "carried-photos") == []  # the manifest waits for the part
        applied = typed.apply("all", *both)
        assert (applied["code"], applied["confirmed"], applied["left"]) == (0, 3, 0)
        assert (keys(there, "city-permits"), keys(there, "carried-photos")) == (["site-7/part"], ["manifest"])
        assert typed.receipts("all")["confirmed"] == 3
        assert [daemon.ask(f"/v1/receipts/{seq}")["remote"]["name"] for seq in (2, 3)] == ["city", "default"]

        client.put_object(Bucket="permits", Key="one", Body=b"3")
        client.put_object(Bucket="carried-photos", Key="two", Body=b"4")
        assert "there is no remote nowhere" in typed.export("bad", "--remote", "nowhere")["error"]
        exported = typed.export("city", "--remote", "city")
        assert (exported["records"], exported["remotes"]) == (1, ["city"])
        assert "for the remote city" in typed.apply("city", "--remote", open_daemon.url)["error"]
        assert typed.apply("city", *both)["confirmed"] == 1
        assert typed.receipts("city")["confirmed"] == 1
        client.put_object(Bucket="permits", Key="last", Body=b"5")
    finally:
        client.close()
        daemon.kill()
    assert typed.replay(tmp_path / "site", "--remote", open_daemon.url)["elsewhere"] == {"city": 1}
    assert keys(there, "carried-photos") == ["manifest", "two"]
    replayed = typed.replay(tmp_path / "site", *both, "--report", str(tmp_path / "report"))
    assert (replayed["code"], replayed["elsewhere"], replayed["outcomes"]["left"]["records"]) == (0, {}, 0)
    assert keys(there, "city-permits") == ["site-7/last", "site-7/one", "site-7/part"]
    records = json.loads((tmp_path / "report").read_text())["records"]
    assert [(one["key"], one["remote"]) for one in records if "remote" in one] == [("two", "default"), ("last", "city")]
    there.close()
