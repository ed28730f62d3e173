"""Where a daemon's settings come from, so that they can be read again: flags and environment stay, the file changes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from s3d.config.lines import ConfigurationFile
from s3d.config.load import assemble, read_file
from s3d.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Source:
    """As `load` takes them: `flags` by setting path, the environment, and the file's path or None."""

    flags: Mapping[str, Any]
    environ: Mapping[str, str] = field(repr=False)  # there are secrets in it
    path: str | None

    def read(self) -> "Loaded":
        """What it says now: one reading, so that settings and digest are those of the same bytes.

        Raises ConfigurationError.
        """
        file: ConfigurationFile | None = read_file(self.path) if self.path is not None else None
        settings = assemble(self.flags, self.environ, file)
        again = self if self.path is None else replace(self, path=os.path.abspath(self.path))
        return Loaded(settings, file.digest if file is not None else "", again)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that go together; `digest` is the SHA-256 of the file in hexadecimal, empty where there is none.

    `source` reads them again; its path means the same from every directory.
    """

    settings: Settings
    digest: str
    source: Source
