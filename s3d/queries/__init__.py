"""Reads: the view, then local bytes, then the remote. A read never appends a record."""
