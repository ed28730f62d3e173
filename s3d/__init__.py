"""s3d: S3 beside the application, a durable journal in the middle, the remote S3 behind. See docs/architecture.md."""

__version__ = "0.1.0"
