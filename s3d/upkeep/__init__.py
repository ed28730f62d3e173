"""Keeping the journal's disk use bounded: pure decisions (decide.py), and what carries them out (upkeep.py)."""
