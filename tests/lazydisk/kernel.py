"""The kernel's side of FUSE, spoken over /dev/fuse without a library: enough of it for a daemon and for SQLite.

The messages are those of linux/fuse.h, protocol 7.31. Writes are passed on as they come (there is no cache of the
kernel's for what is written but for mapped pages), so that only an fsync makes anything durable.
"""

import errno
import os
import struct
from collections.abc import Callable, Mapping

from .tree import Node, Tree

MINOR = 31
WRITE_BYTES_MAX = 128 * 1024
_BUFFER_BYTES = WRITE_BYTES_MAX + 64 * 1024
_BIG_WRITES, _MAX_PAGES, _ATOMIC_TRUNC = 1 << 5, 1 << 22, 1 << 3
_SIZE_IS_SET, _MODE_IS_SET = 1 << 3, 1 << 0
_FOR_EVER = 1 << 30  # seconds that the kernel may believe what it was told: nobody else changes it
_HEADER = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("<QQQQII")
_IN_HEADER_BYTES = _HEADER.size
_NO_REPLY = b"\0no reply"


class Refused(Exception):
    """Answered with an error number."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


class Session:
    """Answers the requests of one mount until it is unmounted."""

    def __init__(self, descriptor: int, tree: Tree) -> None:
        self._descriptor = descriptor
        self._tree = tree
        self._handlers: Mapping[int, Callable[[int, memoryview], bytes]] = {
            1: self._lookup,
            2: self._forget,
            3: self._getattr,
            4: self._setattr,
            9: self._mkdir,
            10: self._unlink,
            11: self._unlink,
            12: self._rename,
            14: self._open,
            15: self._read,
            16: self._write,
            17: self._statfs,
            18: self._nothing,
            20: self._fsync,
            25: self._nothing,
            26: self._init,
            27: self._open,
            28: self._readdir,
            29: self._nothing,
            30: self._fsync,
            34: self._nothing,
            35: self._create,
            36: self._forget,
            38: self._nothing,
            42: self._forget,
            45: self._rename2,
        }

    def run(self) -> None:
        """Until the mount is gone."""
        while True:
            try:
                request = os.read(self._descriptor, _BUFFER_BYTES)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in {errno.ENOENT, errno.EINTR}:
                    continue
                raise
            self._answer(memoryview(request))

    def _answer(self, request: memoryview) -> None:
        _, operation, unique, number, *_ = _HEADER.unpack_from(request)
        code, reply = 0, b""
        try:
            handler = self._handlers.get(operation)
            if handler is None:
                raise Refused(errno.ENOSYS)
            reply = handler(number, request[_IN_HEADER_BYTES:])
        except Refused as refused:
            code = -refused.number
        if reply is _NO_REPLY:
            return
        try:
            os.write(self._descriptor, _OUT.pack(_OUT.size + len(reply), code, unique) + reply)
        except OSError as error:
            if error.errno != errno.ENOENT:  # whoever asked was killed meanwhile
                raise

    # names

    def _lookup(self, parent: int, body: memoryview) -> bytes:
        return self._entry(self._child(parent, _name(body)))

    def _create(self, parent: int, body: memoryview) -> bytes:
        _, mode, _, _ = struct.unpack_from("<IIII", body)
        number = self._tree.make(parent, _name(body[16:]), mode)
        return self._entry(number) + _opened()

    def _mkdir(self, parent: int, body: memoryview) -> bytes:
        mode, _ = struct.unpack_from("<II", body)
        return self._entry(self._tree.make(parent, _name(body[8:]), 0o040000 | mode))

    def _unlink(self, parent: int, body: memoryview) -> bytes:
        self._child(parent, _name(body))
        self._tree.remove(parent, _name(body))
        return b""

    def _rename(self, parent: int, body: memoryview, skip: int = 8) -> bytes:
        (new_parent,) = struct.unpack_from("<Q", body)
        old, new, _ = bytes(body[skip:]).split(b"\0", 2)
        self._child(parent, os.fsdecode(old))
        self._tree.rename(parent, os.fsdecode(old), new_parent, os.fsdecode(new))
        return b""

    def _rename2(self, parent: int, body: memoryview) -> bytes:
        _, flags = struct.unpack_from("<QI", body)
        if flags:
            raise Refused(errno.EINVAL)
        return self._rename(parent, body, skip=16)

    def _readdir(self, number: int, body: memoryview) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        reply = b""
        for place, (name, child) in enumerate(list(self._tree.nodes[number].names.items()), 1):
            encoded = os.fsencode(name)
            kind = self._tree.nodes[child].mode >> 12
            one = struct.pack("<QQII", child, place, len(encoded), kind) + encoded
            one += bytes(-len(one) % 8)
            if place > offset:
                if len(reply) + len(one) > size:
                    break
                reply += one
        return reply

    def _child(self, parent: int, name: str) -> int:
        try:
            return self._tree.nodes[parent].names[name]
        except KeyError:
            raise Refused(errno.ENOENT) from None

    # files

    def _getattr(self, number: int, _body: memoryview) -> bytes:
        return struct.pack("<QII", _FOR_EVER, 0, 0) + self._attributes(number)

    def _setattr(self, number: int, body: memoryview) -> bytes:
        (valid,) = struct.unpack_from("<I", body)
        (size,) = struct.unpack_from("<Q", body, 16)
        if valid & _SIZE_IS_SET:
            self._tree.truncate(number, size)
        if valid & _MODE_IS_SET:
            node = self._tree.nodes[number]
            node.mode = node.mode & ~0o7777 | struct.unpack_from("<I", body, 68)[0] & 0o7777
        return self._getattr(number, body)

    def _open(self, _number: int, _body: memoryview) -> bytes:
        return _opened()

    def _read(self, number: int, body: memoryview) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self._tree.nodes[number].shown[offset : offset + size])

    def _write(self, number: int, body: memoryview) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        self._tree.write(number, offset, bytes(body[40 : 40 + size]))
        return struct.pack("<II", size, 0)

    def _fsync(self, number: int, _body: memoryview) -> bytes:
        self._tree.sync(number)
        return b""

    # the rest

    def _init(self, _number: int, body: memoryview) -> bytes:
        major, _, read_ahead, flags = struct.unpack_from("<IIII", body)
        flags &= _BIG_WRITES | _MAX_PAGES
        return struct.pack(
            "<IIIIHHIIHHIIH22x", major, MINOR, read_ahead, flags, 12, 9, WRITE_BYTES_MAX, 1, 32, 0, 0, 0, 0
        )

    def _statfs(self, _number: int, _body: memoryview) -> bytes:
        blocks = 8 << 20
        return struct.pack("<QQQQQIII28x", blocks, blocks, blocks, 1 << 20, 1 << 20, 4096, 255, 4096)

    def _nothing(self, _number: int, _body: memoryview) -> bytes:
        return b""

    def _forget(self, _number: int, _body: memoryview) -> bytes:
        return _NO_REPLY

    def _entry(self, number: int) -> bytes:
        return _ENTRY.pack(number, 0, _FOR_EVER, _FOR_EVER, 0, 0) + self._attributes(number)

    def _attributes(self, number: int) -> bytes:
        node: Node = self._tree.nodes[number]
        size = 4096 if node.is_directory else len(node.shown)
        links = 2 if node.is_directory else 1
        return _ATTRIBUTES.pack(
            number, size, -(-size // 512), 0, 0, 0, 0, 0, 0, node.mode, links, os.getuid(), os.getgid(), 0, 4096, 0
        )


def _name(body: memoryview) -> str:
    return os.fsdecode(bytes(body).partition(b"\0")[0])


def _opened() -> bytes:
    return struct.pack("<QIi", 0, 0, 0)
