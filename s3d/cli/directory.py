"""Where the journal is that a command reads without the daemon."""

import os

from s3d.errors import DataDirectoryError


def journal_directory(data_dir: str) -> str:
    """Where in a data directory the journal is; the directory of the journal itself is understood as well."""
    from journal.survey import unsealed_numbers

    for directory in (os.path.join(data_dir, "journal"), data_dir):
        if os.path.isdir(directory) and unsealed_numbers(os.listdir(directory)):
            return directory
    raise DataDirectoryError(
        f"there is no journal in {data_dir}", hint="DATA_DIR is what `s3d run --data-dir` or S3D_LOCAL_DIR names"
    )
