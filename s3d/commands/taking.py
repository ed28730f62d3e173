"""Files of drop folders: taken once, known again while they are there, and forgotten when they are not.

What was taken is remembered by the record that took it, and by nothing else. So a crash at any moment leaves a file
either taken or not, and the next look at it tells which.
"""

from collections.abc import Sequence

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import FILES_NOTED, OUTCOME_STREAM, FilesNoted, encode
from s3d.values import TakenFile

_NOTHING = Decision()


def known_again(state: Knowledge, file: TakenFile, etag: str) -> Decision | None:
    """What to decide of a file that was taken before; None: it was not.

    Another inode alone does not make another file: file systems without inodes of their own (FAT) number them anew at
    each mount. The same content, size and time are then the same file, which is noted so that it is not read again.
    """
    row = state.questions.taken_file(file.folder, file.path)
    if row is None or (row.file.size, row.file.modified_ns) != (file.size, file.modified_ns):
        return None
    if row.file.inode == file.inode:
        return _NOTHING
    if row.etag != etag:
        return None
    return Decision((Entry(OUTCOME_STREAM, FILES_NOTED, encode(FilesNoted(same=((file, etag),)))),))


class ForgetFiles(msgspec.Struct, frozen=True):
    """These are gone from their folder, durably. One whose path has been taken anew since is left as it is."""

    gone: Sequence[TakenFile]

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        gone = tuple(file for file in self.gone if self._is_current(state, file))
        if not gone:
            return _NOTHING
        return Decision((Entry(OUTCOME_STREAM, FILES_NOTED, encode(FilesNoted(gone=gone))),))

    def _is_current(self, state: Knowledge, file: TakenFile) -> bool:
        row = state.questions.taken_file(file.folder, file.path)
        return row is not None and row.file == file
