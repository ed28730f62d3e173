"""Whether a view that lies on disk may be believed.

The view is written without syncs. After a process kill the kernel still has its pages, so it continues; after a power
cut its file may hold any mixture of old and new pages, so it is thrown away. What tells the two apart is the boot id,
the mount and the token of the run that wrote it; a clean stop, which syncs the view first, is believed across boots.
"""

import ctypes
import os
import secrets
import struct

import msgspec

from journal.disk import Disk

RUN_NAME = "view.run"
CLEAN_NAME = "view.clean"
# https://man7.org/linux/man-pages/man2/statx.2.html
_AT_FDCWD, _STATX_MNT_ID_UNIQUE, _STATX_BYTES, _STX_MNT_ID = -100, 0x4000, 256, 144
_statx = getattr(ctypes.CDLL(None), "statx", None)


class RunStamp(msgspec.Struct, frozen=True):
    """Which run wrote the view, on which boot of the machine and on which mount."""

    token: str
    boot: str
    mount: str


def this_boot(directory: str) -> tuple[str, str]:
    """The identity of the running kernel and of the mount that holds `directory`; empty strings when unknown.

    A volume that was unplugged, restored or mounted anew has another mount id. Before Linux 6.8 the kernel uses the
    number of a mount that is gone for the next one: there a volume that was away may look as if it never was.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        boot = ""
    return boot, f"{os.stat(directory).st_dev}:{_mount_id(directory)}"


def _mount_id(directory: str) -> str:
    """The kernel's number for the mount: one that is never used again, where it has such, else the one that may be."""
    if _statx is not None:
        found = ctypes.create_string_buffer(_STATX_BYTES)
        failed = _statx(_AT_FDCWD, os.fsencode(directory), 0, _STATX_MNT_ID_UNIQUE, found)
        if not failed and struct.unpack_from("=I", found.raw)[0] & _STATX_MNT_ID_UNIQUE:
            return f"unique {struct.unpack_from('=Q', found.raw, _STX_MNT_ID)[0]}"
    return _reused_mount_id(directory)


def _reused_mount_id(directory: str) -> str:
    """From the file information of an open directory."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return ""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
            return next((line.split()[1] for line in file if line.startswith("mnt_id:")), "")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


class ViewTrust:
    """Reads the stamps of the last run and writes those of this one."""

    def __init__(self, disk: Disk, directory: str, boot: str, mount: str) -> None:
        self._disk = disk
        self._directory = directory
        self._boot = boot
        self._mount = mount

    def begin(self) -> tuple[str | None, str]:
        """The token that the view must carry to be believed (None: none will do), and the token of this run.

        Called before the first write to the view: a clean stop's stamp is gone, durably, when it returns.
        """
        trusted = self.trusted()
        self._remove(CLEAN_NAME)
        token = secrets.token_hex(8)
        self._write(RUN_NAME, RunStamp(token, self._boot, self._mount))
        return trusted, token

    def trusted(self) -> str | None:
        """The token that the view must carry to be believed; None: none will do."""
        run, clean = self._read(RUN_NAME), self._read(CLEAN_NAME)
        if clean is not None:
            return clean.token
        return run.token if run is not None and run.boot == self._boot != "" and run.mount == self._mount else None

    def end_clean(self, token: str) -> None:
        """State that the view was synced to the end. Called after that sync."""
        self._write(CLEAN_NAME, RunStamp(token, self._boot, self._mount))

    def _read(self, name: str) -> RunStamp | None:
        path = f"{self._directory}/{name}"
        if not self._disk.exists(path):
            return None
        file = self._disk.open(path)
        try:
            return msgspec.json.decode(file.pread(4096, 0), type=RunStamp)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None  # torn by a power cut, or changed by the disk: then it vouches for nothing
        finally:
            file.close()

    def _remove(self, name: str) -> None:
        path = f"{self._directory}/{name}"
        if self._disk.exists(path):
            self._disk.unlink(path)
            self._disk.sync_directory(self._directory)

    def _write(self, name: str, stamp: RunStamp) -> None:
        path = f"{self._directory}/{name}"
        for leftover in (path, f"{path}.new"):
            if self._disk.exists(leftover):
                self._disk.unlink(leftover)
        file = self._disk.create(f"{path}.new")
        try:
            file.pwrite(msgspec.json.encode(stamp), 0)
            file.sync()
        finally:
            file.close()
        self._disk.rename(f"{path}.new", path)
        self._disk.sync_directory(self._directory)
