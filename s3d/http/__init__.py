"""The door: S3 over HTTP, and the admin listener beside it."""
