"""Who goes first while many clients write at once: they do, and a long backlog goes on beside them.

Both share one interpreter. Who waits for an answer notices every record that is sent in between; a backlog that takes
hours anyway does not notice that it takes longer while others are busy. Where clients write more than the remote takes
all day long, the cap on what is pending makes them wait in the end.
"""

from s3d.clock import Clock

CROWD_RECORDS = 4  # in one commit: so many waited for it together
CROWDED_SECONDS = 0.1  # after such a commit
RECORDS_PER_TURN = 10
BUNCH_TURNS = 16  # one record alone costs twice as much as one of many


class Courtesy:
    """Gives the replicator one turn for every few records of others while those crowd, many turns at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen = 0
        self._crowded_until = float("-inf")
        self._turns = 0.0
        self._is_open = False

    @property
    def seconds_left(self) -> float:
        """How long it lasts, unless others go on; infinite: nobody crowds."""
        seconds = self._crowded_until - self._clock.monotonic()
        return seconds if seconds > 0 else float("inf")

    def committed(self, sequence: int) -> None:
        """The journal has come so far, in one commit."""
        records, self._seen = sequence - self._seen, sequence
        if records >= CROWD_RECORDS:
            self._crowded_until = self._clock.monotonic() + CROWDED_SECONDS
            self._turns = min(2 * BUNCH_TURNS, self._turns + records / RECORDS_PER_TURN)

    def lets_begin(self) -> bool:
        """Whether a record may be sent now; that uses up a turn."""
        if self._clock.monotonic() >= self._crowded_until:
            return True
        self._is_open = self._turns >= (1 if self._is_open else BUNCH_TURNS)
        if self._is_open:
            self._turns -= 1
        return self._is_open
