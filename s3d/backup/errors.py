"""What can be wrong with a backup.

BackupError           cannot be made, read or restored: what is wrong, and what to do
├── BackupDamaged     not what was written
└── FileMoved         a file was gone when its turn came: the daemon has put another in its place
"""

from s3d.errors import S3dError


class BackupError(S3dError):
    """A backup cannot be made, read or restored."""


class BackupDamaged(BackupError):
    """It is not what was written."""


class FileMoved(BackupError):
    """A file that was named a moment ago is gone."""
