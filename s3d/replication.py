"""Placeholder while the replicator is being written."""


class Replication:
    pass
