"""What is held stays on the disk, for as long as somebody says so, and no longer."""

from pathlib import Path

from journal.disk import RealDisk
from s3d.blobs.collect import collect
from s3d.blobs.files import BlobFiles
from s3d.blobs.hold import SECONDS_MAX, Hold
from s3d.blobs.pool import BlobPool


class Steady:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_hold_ends_by_itself(tmp_path: Path) -> None:
    """Each holder renews its own; who was killed holds nothing for long, and one that is done ends nobody else's."""
    time = Steady()
    hold = Hold(time, "data")
    assert hold.directory == str(Path.cwd() / "data")
    assert not hold.is_on
    hold.renew("one", 60)
    hold.renew("two", 10**9)
    time.seconds = 61
    assert hold.is_on
    hold.release("one")
    hold.release("stranger")
    assert hold.is_on
    time.seconds = SECONDS_MAX + 1
    assert not hold.is_on
    hold.renew("one", 60)
    hold.give_up()
    assert not hold.is_on


async def test_what_nothing_names_is_collected_when_it_is_not_held_any_more(tmp_path: Path) -> None:
    """Neither by the collection nor when it is let go of."""
    time = Steady()
    hold = Hold(time, str(tmp_path))
    files = BlobFiles(RealDisk(), str(tmp_path / "blobs"))
    (tmp_path / "blobs" / "aa").mkdir(parents=True)
    pool = BlobPool(files, 1, hold)
    blob = "aa" + "0" * 30
    (tmp_path / "blobs" / "aa" / blob).write_bytes(b"x")
    hold.renew("backup", 60)
    pool.remove_unused(blob, lambda _: False)
    assert await collect(pool, lambda _: False) == 0
    time.seconds = 60
    assert await collect(pool, lambda _: False) == 1
    hold.renew("backup", 60)
    pool.end_hold()
    assert not pool.is_held
    pool.close()
