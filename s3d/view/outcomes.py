"""The folds of outcomes that have tables, and files, of their own; and of those from which nothing follows."""

from collections.abc import Callable, Mapping

import apsw

from journal import Record
from s3d.view.begun import BEGINNING
from s3d.view.checkpoints import CHECKPOINTING
from s3d.view.losses import LOSING

ELSEWHERE: Mapping[str, Callable[[apsw.Connection, Record], None]] = {**BEGINNING, **CHECKPOINTING, **LOSING}
"""By kind; `projection` has all others."""
