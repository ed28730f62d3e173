"""The daemon under load: many connections, slow clients, more at once than fits; short here, long by scripts/load."""
