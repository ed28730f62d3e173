"""All drop folders of a daemon."""

import asyncio
from collections.abc import Sequence

from s3d.drop.folder import Folder
from s3d.telemetry.drops import DropReport


class DropFolders:
    """A surface: `start` when requests may be made, `close` before the journal is."""

    def __init__(self, folders: Sequence[Folder]) -> None:
        self._folders = folders

    def start(self) -> None:
        """Begin."""
        for folder in self._folders:
            folder.start()

    async def close(self) -> None:
        """Take no more."""
        await asyncio.gather(*(folder.close() for folder in self._folders))

    def reports(self) -> tuple[DropReport, ...]:
        """How they stand."""
        return tuple(folder.report() for folder in self._folders)
