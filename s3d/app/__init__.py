"""The composition root: everything is built here, from the settings, in the order in which data flows.

disk → view → journal → blobs (`ground`) → upkeep → link, remote, replicator (`replication`) → queries → operations →
HTTP, admin (`doors`); and `daemon` starts and stops it all.
"""
