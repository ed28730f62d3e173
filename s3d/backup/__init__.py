"""What a backup consists of: its manifest, and files that are copied and checked."""
