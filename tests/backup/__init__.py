"""Backups, and the drill: made under load, restored elsewhere, compared with every write that was acknowledged."""
