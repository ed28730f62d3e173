"""Replay without a daemon: which records of a journal are sent, and what became of each."""
