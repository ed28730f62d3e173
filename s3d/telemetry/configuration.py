"""What is told of the configuration that is in force, and of attempts to change it: names of settings, never values."""

import msgspec


class ConfigurationReport(msgspec.Struct, frozen=True):
    """Which file is in force since when (`digest`: its SHA-256; all empty: none was named at the start).

    `waiting` names settings that say something else in the file by now, and need a restart. `refused` is when the last
    attempt to read it again failed, with `error` and `hint`; empty: it did not.
    """

    file: str
    digest: str
    loaded: str
    waiting: tuple[str, ...] = ()
    refused: str = ""
    error: str = ""
    hint: str = ""


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload changed, or would: names of settings and lists. `waiting` needs a restart.

    `seq` is the record that says so; empty where nothing changed, or where it was only asked.
    """

    file: str
    digest: str
    changed: tuple[str, ...]
    waiting: tuple[str, ...]
    seq: str = ""
