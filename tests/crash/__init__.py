"""The power-cut sweep: a simulated volume under SQLite, mark and blob files alike, and what must survive on it."""
