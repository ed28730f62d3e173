"""Bytes on local disk: files that are written once, synced, then only read or removed."""
