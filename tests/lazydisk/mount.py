"""Mount the forgetful file system, in a process of its own, and pull its plug.

    with LazyDisk(directory) as disk:
        …                        # programs write to the directory, and are killed
        disk.cut(seed)           # what they have not synced is gone, or some of it

The process is the disk: it goes on through the cuts and mounts itself again. Linux, root and /dev/fuse are needed.
"""

import ctypes
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from .kernel import Session
from .tree import Tree

DEVICE = "/dev/fuse"
_DETACH = 2  # of umount2: at once, whoever still looks at it
_TESTS = Path(__file__).parent.parent
_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Why it cannot be mounted here; empty: it can."""
    if sys.platform != "linux" or not os.path.exists(DEVICE):
        return f"there is no {DEVICE}"
    if os.geteuid() != 0:
        return "only root may mount a file system"
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    return ""


class LazyDisk:
    """Mounted at `directory` from `__enter__` to `__exit__`. Raises OSError where it cannot be."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.syncs = 0
        self.lost = 0  # writes and names that were not synced, and are gone

    def __enter__(self) -> Self:
        self._directory.mkdir(exist_ok=True)
        program = f"import sys; sys.path.append({str(_TESTS)!r}); from lazydisk.mount import be; be(sys.argv[1])"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program, str(self._directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._told()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def cut(self, seed: int) -> None:
        """Nobody has it open any more. What was not synced is gone, as the seed has it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        self._told()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        _libc.umount2(os.fsencode(self._directory), _DETACH)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _told(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError("the forgetful file system could not be mounted")
        told = json.loads(line)
        if "error" in told:
            raise OSError(told["error"])
        self.syncs, self.lost = told["syncs"], told["lost"]


def be(directory: str) -> None:
    """The process that is the disk: one mount after another, a cut for each line that comes in."""
    tree = Tree()
    while True:
        serving = _serve(directory, tree)
        print(json.dumps({"syncs": tree.syncs, "lost": tree.lost}), flush=True)
        line = sys.stdin.readline()
        _libc.umount2(os.fsencode(directory), _DETACH)
        serving.join()
        if not line:
            return
        tree = tree.cut(Random(int(line)))


def _serve(directory: str, tree: Tree) -> threading.Thread:
    descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={descriptor},rootmode=40755,user_id={os.getuid()},group_id={os.getgid()},default_permissions"
    if _libc.mount(b"lazydisk", os.fsencode(directory), b"fuse", 0, options.encode()):
        message = os.strerror(ctypes.get_errno())
        print(json.dumps({"error": f"mount: {message}"}), flush=True)
        sys.exit(1)

    def answer() -> None:
        Session(descriptor, tree).run()
        os.close(descriptor)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread
