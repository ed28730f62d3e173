"""What `s3d status` says of the link."""

from s3d.clock import Clock
from s3d.remote.capabilities import Greeting
from s3d.replicator.link import Link, LinkStatus


class LinkStanding:
    """`since` is in seconds since 1970, 0 before it was tried; `greeting` is what the remote last said of itself."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self.since = 0.0
        self.greeting: Greeting | None = None
        link.observe(self._changed)

    @property
    def state(self) -> str:
        """`up`, `down` or `unknown`."""
        return self._link.circuit.status.value

    @property
    def error(self) -> str:
        """Why it is down."""
        return self._link.circuit.reason

    def _changed(self, _: LinkStatus) -> None:
        self.since = self._clock.now()
