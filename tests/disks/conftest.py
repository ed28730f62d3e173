"""Small volumes that can be filled, made read-only and taken away, and daemons that live on them."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import LiveDaemon

from journal.disk import is_full

MIB = 1024 * 1024
BALLAST_BYTES = 4 * MIB
CONFIG = f"[journal]\nballast_bytes = {BALLAST_BYTES}\n"


class SmallVolume:
    """A file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def free_bytes(self) -> int:
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self) -> Path:
        """Take every byte that is left; removing the file gives them back."""
        hog = self.path / "hog"
        with open(hog, "ab", buffering=0) as file:
            for piece in (64 * 1024, 4096, 1):
                try:
                    while True:
                        file.write(bytes(piece))
                except OSError as error:
                    if not is_full(error):
                        raise
        return hog


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[SmallVolume]:
    """A tmpfs of 24 MiB."""
    path = tmp_path / "volume"
    path.mkdir()
    needs_root()
    mount("-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path))
    yield SmallVolume(path)
    subprocess.run(["umount", "-l", path], capture_output=True, check=False)


@pytest.fixture
def ext4_volume(tmp_path: Path) -> Iterator[SmallVolume]:
    """A loop-mounted ext4, for what tmpfs cannot do."""
    path, image = tmp_path / "volume", tmp_path / "image"
    path.mkdir()
    needs_root()
    if shutil.which("mkfs.ext4") is None or not os.path.exists("/dev/loop-control"):
        pytest.skip("needs mkfs.ext4 and loop devices")
    with open(image, "wb") as file:
        file.truncate(48 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    mount_image(path)
    yield SmallVolume(path)
    subprocess.run(["umount", "-l", path], capture_output=True, check=False)


def mount_image(path: Path) -> None:
    """Mount the ext4 image that lies beside its mount point."""
    mount("-o", "loop,errors=remount-ro", str(path.with_name("image")), str(path))


@pytest.fixture
def daemon_at(tmp_path: Path) -> Iterator[Callable[..., LiveDaemon]]:
    """Makes daemons, started, whose configuration and log are not on the volume, and ends them."""
    made: list[LiveDaemon] = []

    def make(directory: Path, config: str = CONFIG) -> LiveDaemon:
        daemon = LiveDaemon(tmp_path / f"daemon-{len(made)}", auth=False, config=config)
        daemon.directory = directory
        made.append(daemon)
        return daemon.start()

    yield make
    for daemon in made:
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.kill()


def ended(daemon: LiveDaemon, seconds: float = 60) -> int:
    """The exit code of a daemon that ends by itself."""
    assert daemon._process is not None
    code = daemon._process.wait(seconds)
    daemon.kill()  # it is gone: this closes what it was read through
    return code


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a volume needs root")


def mount(*arguments: str) -> None:
    made = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no small volume can be mounted here: {made.stderr.decode().strip()}")
