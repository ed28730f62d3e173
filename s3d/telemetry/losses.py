"""What is told of lost records, for both ends of the admin listener."""

import msgspec


class LossReport(msgspec.Struct, frozen=True, kw_only=True):
    """So many `records` are lost between two (`EPOCH-SEQ`), and nothing stands for them. `since` is the time of the
    last whole record before them, empty where that is not known. `is_unknown`: nobody can be asked for what is not
    here, in some bucket at least.
    """

    records: int
    first: str
    last: str
    since: str
    is_unknown: bool


class LossesReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is lost and has not been accepted; None: nothing. `seq` is the record that accepts it, where one is made."""

    loss: LossReport | None
    seq: str = ""
