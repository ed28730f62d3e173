"""A disk and the link deliver the same records, and whoever writes, sends or takes them is killed in the middle."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import PROGRAM, LiveDaemon, running_daemon, wait_until

from s3d.bundle.keys import OwnKey, write_key

SITE, HEADQUARTERS = OwnKey(b"s" * 32), OwnKey(b"h" * 32)
SEED = int(os.environ.get("S3D_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
KILLS = int(os.environ.get("S3D_KILLS", "1"))  # of each command
BUCKET = "disk-and-link"


class Trip:
    """The site, whose remote is headquarters', and one disk."""

    def __init__(self, site: LiveDaemon, remote: LiveDaemon, disk: Path) -> None:
        self.site, self.remote, self.disk = site, remote, disk
        self.client, self.there = site.client(), remote.client()
        self.random = random.Random(SEED)
        write_key(str(disk / "site.key"), SITE)
        write_key(str(disk / "hq.key"), HEADQUARTERS)

    def export(self, name: str) -> list[str]:
        return self._bundle("export", name, "--to", str(HEADQUARTERS.public), "--sign-with", "site.key", "--admin")

    def apply(self, name: str) -> list[str]:
        remote = ["--remote", self.remote.url, "--from", str(SITE.public)]
        return ["bundle", "apply", str(self.disk / name), "--key", "hq.key", *remote]

    def receipts(self, name: str) -> list[str]:
        return self._bundle("receipts", f"{name}.receipts", "--admin")

    def run(self, *arguments: str, kills: int = 0, makes: str = "") -> None:
        """A command, killed so many times at moments of chance before it may end, unless it has made this file."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("S3", "AWS"))}
        environment |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
        for number in range(kills + 1):
            seconds = self.random.uniform(0.2, 1.5) if number < kills else 60.0
            with subprocess.Popen(
                [PROGRAM, *arguments], stdout=subprocess.DEVNULL, env=environment, cwd=self.disk
            ) as one:
                try:
                    assert one.wait(seconds) == 0, f"{arguments}; S3D_KILL_SEED={SEED}"
                    return
                except subprocess.TimeoutExpired:
                    one.kill()
            if makes and (self.disk / makes).exists():
                return  # it was killed between its last rename and its end, and nothing is overwritten

    def pause(self) -> None:
        self.run("pause", "--admin", self.site.admin)

    def resume(self) -> None:
        """The link is back, and delivers everything."""
        self.run("resume", "--admin", self.site.admin)
        wait_until(lambda: not self.pending())

    def pending(self) -> int:
        return int(self.site.ask("/status")["pending"]["count"])

    def contents(self, client: Any) -> dict[str, bytes]:
        listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        return {one["Key"]: client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}

    def _bundle(self, command: str, name: str, *options: str) -> list[str]:
        return ["bundle", command, str(self.disk / name), *options, self.site.admin]


@pytest.fixture(scope="module")
def trip(tmp_path_factory: pytest.TempPathFactory, open_daemon: LiveDaemon) -> Iterator[Trip]:
    directory = tmp_path_factory.mktemp("trip")
    remote = f'remote = {{ endpoint = "{open_daemon.url}", access_key = "x", secret_key = "y", sender = "inside" }}'
    config = f'bundle.trust = ["{HEADQUARTERS.public}"]\n{remote}\n'
    with running_daemon(directory / "site", auth=False, config=config) as site:
        trip = Trip(site, open_daemon, directory)
        trip.client.create_bucket(Bucket=BUCKET)
        yield trip
        trip.client.close()
        trip.there.close()


def test_kills_on_the_way_lose_and_repeat_nothing(trip: Trip) -> None:
    """Export, apply and receipts are killed and called again: everything arrives, and every record is confirmed."""
    trip.pause()
    for number in range(60):
        trip.client.put_object(Bucket=BUCKET, Key=f"k/{number % 50}", Body=os.urandom(70_000 if number % 9 else 10))
    for number in range(0, 50, 7):
        trip.client.delete_object(Bucket=BUCKET, Key=f"k/{number}")
    before = trip.contents(trip.client)
    trip.run(*trip.export("killed"), kills=KILLS, makes="killed")
    trip.run(*trip.apply("killed"), kills=KILLS)
    assert trip.contents(trip.there) == before
    trip.run(*trip.receipts("killed"), kills=KILLS)
    assert trip.pending() == 0
    trip.resume()


def test_what_headquarters_delivered_is_found_by_the_site(trip: Trip) -> None:
    """The link comes back before the receipts: nothing is sent again, and the receipts have nothing to say."""
    trip.pause()
    for key in ("a", "b", "a"):
        trip.client.put_object(Bucket=BUCKET, Key=f"twice/{key}", Body=os.urandom(100))
    trip.run(*trip.export("found"))
    trip.run(*trip.apply("found"))
    head = trip.remote.ask("/status")["head"]
    trip.site.kill()
    trip.site.start()
    trip.client.close()
    trip.client = trip.site.client()
    trip.resume()
    assert trip.contents(trip.there) == trip.contents(trip.client)
    latest = int(trip.remote.ask("/status")["head"].partition("-")[2])
    # of the key that was written twice the first record is covered by the second, and may be sent once more
    assert latest - int(head.partition("-")[2]) <= 2
    trip.run(*trip.receipts("found"))
    assert trip.pending() == 0


def test_what_the_link_has_replaced_is_not_put_back(trip: Trip) -> None:
    """The disk arrives late: the link has delivered it, and later writes and deletions over what the disk deletes."""
    trip.pause()
    trip.client.put_object(Bucket=BUCKET, Key="late/deleted", Body=b"x")
    trip.client.put_object(Bucket=BUCKET, Key="late/k", Body=b"on the disk")
    trip.client.delete_object(Bucket=BUCKET, Key="late/deleted")
    trip.run(*trip.export("late"))
    trip.resume()
    trip.client.put_object(Bucket=BUCKET, Key="late/k", Body=b"over the link")
    trip.client.put_object(Bucket=BUCKET, Key="late/deleted", Body=b"again")
    wait_until(lambda: not trip.pending())
    trip.run(*trip.apply("late"))
    assert trip.there.get_object(Bucket=BUCKET, Key="late/k")["Body"].read() == b"over the link"
    assert trip.there.get_object(Bucket=BUCKET, Key="late/deleted")["Body"].read() == b"again"
    trip.run(*trip.receipts("late"))
