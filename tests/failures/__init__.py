"""What can go wrong, what s3d does then, and the tests that show it: `*.toml` here, docs/failures.md for readers."""
