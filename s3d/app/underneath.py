"""What the data directory is on, where that decides what an acknowledgement is worth: memory, a container, a network.

Nothing is refused: a trial in memory is a trial, and some servers do keep what they were told to sync. But nobody
should find out afterwards.
"""

import os
import re

import structlog

MOUNTS = "/proc/self/mountinfo"
_ABOUT = {
    "memory": "the data directory is in memory: what is acknowledged is gone when the machine restarts or the pod ends",
    "container": "the data directory is in a container's own layer: what is acknowledged goes with the container",
    "network": "the data directory is on a network file system: what its server calls synced may not be",
}
_KINDS = {
    **dict.fromkeys(("tmpfs", "ramfs"), "memory"),
    **dict.fromkeys(("overlay", "aufs"), "container"),
    **dict.fromkeys(("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"), "network"),
}
_log = structlog.get_logger("s3d")


def warn_of(directory: str, *, ephemeral: bool) -> None:
    """Say in the log what it is on, if that is no disk; `ephemeral`: that it goes away one day is known."""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            kind = file_system_of(os.path.realpath(directory), file.read())
    except OSError:  # another system than Linux, or one that does not tell
        return
    about = _KINDS.get(kind, "")
    if about and not (ephemeral and about != "network"):
        _log.warning(_ABOUT[about], directory=directory, file_system=kind)


def file_system_of(path: str, mounts: str) -> str:
    """The type of the file system that an absolute path is on, by the text of `mountinfo` (proc(5)); else empty."""
    best, found = -1, ""
    for line in mounts.splitlines():
        fields, _, behind = line.partition(" - ")
        place = _plain(fields.split(" ")[4]) if fields.count(" ") > 3 else ""
        inside = place in {"/", path} or path.startswith(f"{place}/")
        if place and inside and len(place) >= best:  # of two at one place the later one covers the earlier
            best, found = len(place), behind.partition(" ")[0]
    return found


def _plain(text: str) -> str:
    """Blanks, tabs, line ends and backslashes are octal in there."""
    return re.sub(r"\\([0-7]{3})", lambda one: chr(int(one[1], 8)), text)
