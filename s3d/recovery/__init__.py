"""What a damaged data directory is told about, and what can be done about it: from what was found there. Pure."""
