"""The journal read back: as tables for questions, as the namespace of an earlier moment, and from an export."""
