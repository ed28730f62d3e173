"""The journal as a list of events, each with the name of the write that it is about."""

import csv
import io
import json

import pytest

from journal import Record
from journal.record import Lost
from s3d.audit.checkpoint import Statement
from s3d.audit.listing import Filter, events_of
from s3d.cli.audit_events import event_lines
from s3d.events import (
    Anchor,
    AuditAnchored,
    AuditCheckpoint,
    CachePinned,
    CacheUnpinned,
    Carried,
    ConfigurationChanged,
    Confirmation,
    Confirmed,
    Conflicted,
    Discarded,
    LossAccepted,
    Mutation,
    Parked,
    Recovered,
    ReplicationPaused,
    RequestsRefused,
    Resumed,
    Superseded,
    encode,
)


def write(sequence: int, key: str, kind: str = "PutObject", caller: str = "app") -> Record:
    mutation = Mutation(caller=caller, source="10.0.0.7", request="R1", size=5, etag="e")
    return Record(sequence, sequence * 1000, f"b/{key}", kind, encode(mutation), b"\x01" * 32, 5, b"")


def put(sequence: int, mutation: Mutation) -> Record:
    return Record(sequence, sequence * 1000, "b/a", "PutObject", encode(mutation), b"", 0, b"")


def said(sequence: int, payload: object) -> Record:
    return Record(sequence, sequence * 1000, "", type(payload).__name__, encode(payload), b"", 0, b"")


RECORDS = [
    write(1, "a"),
    write(2, "c", caller="other"),
    write(3, "a,1"),
    write(4, "a", "DeleteObject"),
    said(5, Confirmed(confirmations=(Confirmation(1, "etag", "v1"), Confirmation(2)))),
    said(6, Parked(sequence=3, code="AccessDenied", message="no")),
    said(7, Resumed(sequences=(3,), caller="operator")),
    said(8, Superseded(sequences=(3,), by=4)),
    said(9, Conflicted(sequence=4, decided="remote")),
    said(10, Discarded(sequences=(3,), caller="operator")),
    said(11, ReplicationPaused(caller="operator", reason="storm")),
    said(12, Carried(records=(write(0, "older"),))),
    said(13, Confirmed(confirmations=(Confirmation(0), Confirmation(99)), bundle="B7", remote="city")),
    said(14, CachePinned(bucket="maps", prefix="eu/", caller="operator", reason="trip")),
    said(15, CacheUnpinned(bucket="maps", prefix="eu/", caller="operator")),
    said(16, Lost(1, 16, 16, "")),
    said(17, Recovered(recovery="T", caller="operator", steps=("fold",), lost=((16, 16),))),
    said(18, LossAccepted(caller="operator", reason="all of it was tests", records=1)),
]


def told(wanted: Filter = Filter()) -> list[tuple[str, ...]]:  # noqa: B008 - frozen
    return [(one.seq, one.event, one.of, one.bucket, one.key, one.identity) for one in events_of(RECORDS, 1, wanted)]


def test_every_record_is_an_event_and_outcomes_are_one_for_each_write() -> None:
    """With who did it: the operator where one decided, else whoever wrote; unknown where the write is not retained."""
    assert told() == [
        ("1-1", "acknowledged", "1-1", "b", "a", "app"),
        ("1-2", "acknowledged", "1-2", "b", "c", "other"),
        ("1-3", "acknowledged", "1-3", "b", "a,1", "app"),
        ("1-4", "acknowledged", "1-4", "b", "a", "app"),
        ("1-5", "confirmed", "1-1", "b", "a", "app"),
        ("1-5", "confirmed", "1-2", "b", "c", "other"),
        ("1-6", "parked", "1-3", "b", "a,1", "app"),
        ("1-7", "retried", "1-3", "b", "a,1", "operator"),
        ("1-8", "superseded", "1-3", "b", "a,1", "app"),
        ("1-9", "conflicted", "1-4", "b", "a", "app"),
        ("1-10", "dropped", "1-3", "b", "a,1", "operator"),
        ("1-11", "paused", "", "", "", "operator"),
        ("1-12", "housekeeping", "", "", "", ""),
        ("1-13", "confirmed", "1-0", "b", "older", "app"),
        ("1-13", "confirmed", "1-99", "", "", ""),
        ("1-14", "pinned", "", "maps", "eu/", "operator"),
        ("1-15", "unpinned", "", "maps", "eu/", "operator"),
        ("1-16", "lost", "", "", "", ""),
        ("1-17", "recovered", "", "", "", ""),
        ("1-18", "loss-accepted", "", "", "", "operator"),
    ]


def test_what_is_certain_of_who_decided_it_and_what_was_said_are_two_things() -> None:
    """By an operator's token, or by nobody's; also in records from before anybody said anything."""
    records = [
        said(1, ReplicationPaused(caller="operator:alice", claimed="bob@edge", reason="r")),
        said(2, Discarded(sequences=(0,), caller="admin", claimed="carol@edge")),
        said(3, ConfigurationChanged(caller="SIGHUP")),
        said(4, Recovered(recovery="T", caller="dave")),
        said(5, Recovered(recovery="T", claimed="dave@edge")),
        said(6, CacheUnpinned(bucket="b", prefix="", caller="admin")),
        put(7, Mutation(caller="operator:alice", source="eve@edge", restored=1)),
        put(8, Mutation(caller="app", source="10.0.0.1")),
    ]
    found = [(one.identity, one.claimed, one.source) for one in events_of(records, 1, Filter())]
    assert found == [
        ("operator:alice", "bob@edge", ""),
        ("admin", "carol@edge", ""),
        ("SIGHUP", "", ""),
        ("", "dave", ""),
        ("", "dave@edge", ""),
        ("admin", "", ""),
        ("operator:alice", "eve@edge", ""),
        ("app", "", "10.0.0.1"),
    ]
    assert [one.seq for one in events_of(records, 1, Filter(identity="eve@edge"))] == ["1-7"]


@pytest.mark.parametrize(
    ("wanted", "sequences"),
    [
        (Filter(identity="other"), ["1-2", "1-5"]),
        (Filter(prefix="b/a,"), ["1-3", "1-6", "1-7", "1-8", "1-10"]),
        (Filter(operations=frozenset({"DeleteObject"})), ["1-4", "1-9"]),
        (Filter(events=frozenset({"confirmed"})), ["1-5", "1-5", "1-13", "1-13"]),
        (Filter(since_ms=11_000, until_ms=12_000), ["1-11"]),
        (Filter(prefix="elsewhere"), []),
        (Filter(prefix="maps/e"), ["1-14", "1-15"]),
    ],
)
def test_what_is_asked_for(wanted: Filter, sequences: list[str]) -> None:
    """An arrival is found by the name of what arrived, although its record does not have it."""
    assert [one[0] for one in told(wanted)] == sequences


def test_the_forms_have_every_field() -> None:
    """A key with a comma stays one value; both forms say the same."""
    lines = b"".join(event_lines(events_of(RECORDS, 1, Filter()), "jsonl")).decode()
    table = b"".join(event_lines(events_of(RECORDS, 1, Filter()), "csv")).decode()
    objects = [json.loads(line) for line in lines.splitlines()]
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [{name: str(value) for name, value in one.items()} for one in objects] == rows
    first = objects[0]
    assert (first["source"], first["request"], first["checksum"]) == ("10.0.0.7", "R1", "01" * 32)
    assert (objects[4]["etag"], objects[4]["version_id"], objects[4]["remote"]) == ("etag", "v1", "default")
    assert objects[13]["remote"] == "city"


def test_what_is_about_the_daemon_and_the_audit_itself_is_told() -> None:
    """Who changed the configuration and what of it; what was signed, where it lies, and who was not let in."""
    statement = Statement(site="s", epoch=1, number=7, sequence=40, head="ab", at="", previous="", key="k")
    told = [
        said(1, ConfigurationChanged(caller="SIGHUP", file="/e", changed=("auth.secret_key",), waiting=("listen",))),
        said(2, AuditCheckpoint(statement=encode(statement).decode())),
        said(3, AuditAnchored(bucket="far", anchors=(Anchor(2, 7, "p/7.json", "v1", "2027"),))),
        said(4, RequestsRefused(codes={"AccessDenied": 2}, sources={"10.0.0.1": 2})),
    ]
    changed, signed, anchored, refused = events_of(told, 1, Filter())
    assert (changed.event, changed.identity) == ("configured", "SIGHUP")
    assert changed.message == "/e: auth.secret_key; needs a restart: listen"
    assert (signed.event, signed.message, signed.checksum) == ("checkpoint", "number 7, signed up to 1-40", "ab")
    assert (anchored.event, anchored.of, anchored.bucket, anchored.key) == ("anchored", "1-2", "far", "p/7.json")
    assert (refused.event, refused.code, refused.source) == ("refused", "AccessDenied", "10.0.0.1")
