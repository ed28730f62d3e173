"""`s3d cache`: what is here of what is at the remote."""

import click

from s3d.cli.cache_keeping import evict, pin, status, unpin
from s3d.cli.warming import warm


@click.group(short_help="What is here of the remote: show, fetch, pin, let go of.")
def cache() -> None:
    """See what is here of what the remote has, have more of it here, keep it, or let go of it."""


for command in (status, warm, pin, unpin, evict):
    cache.add_command(command)
