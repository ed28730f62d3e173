"""What can be wrong with a bundle, its receipts or its keys.

BundleError              cannot be used: what is wrong, and what to do
├── BundleDamaged        not what was written: cut off, changed, put together of others, not signed by its sender
└── BundleForeign        written for somebody else, or by nobody who is trusted
"""

from s3d.errors import S3dError


class BundleError(S3dError):
    """A bundle, a file of receipts or a key cannot be used."""


class BundleDamaged(BundleError):
    """It is not what was written."""

    def __init__(self, message: str, *, hint: str = "copy it again from where it was written") -> None:
        super().__init__(message, hint=hint)


class BundleForeign(BundleError):
    """It is for somebody else, or from somebody who is not trusted."""
