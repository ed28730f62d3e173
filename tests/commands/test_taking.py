"""Files of drop folders, as the writer's thread decides about them."""

import hashlib

import msgspec
import pytest
from edge_state import ORIGIN, Edge, create

from s3d.commands.objects import PutObject, ReceivedBody
from s3d.commands.taking import ForgetFiles
from s3d.values import TakenFile

FILE = TakenFile("camera", "d/a", 7, 1, 1_000)
OTHERS = [msgspec.structs.replace(FILE, **change) for change in ({"size": 2}, {"modified_ns": 2}, {"path": "b"})]


@pytest.fixture
def edge(tmp_path):
    found = Edge(tmp_path)
    found.do(create("b"))
    yield found
    found.close()


def take(file, data=b"x", key="k"):
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    body = ReceivedBody(len(data), etag, hashlib.sha256(data).digest(), {}, data)
    return PutObject("b", key, {}, body, msgspec.structs.replace(ORIGIN, taken=file))


def kinds(edge, *commands):
    return [tuple(record.kind for record in outcome.records) for outcome in edge.run(*commands)]


def test_a_file_is_taken_once(edge):
    """In one batch, in two, whatever became of the object, and after the view was folded again."""
    assert kinds(edge, take(FILE), take(FILE)) == [("PutObject",), ()]
    assert kinds(edge, take(FILE)) == [()]
    edge.reopen()
    assert kinds(edge, take(FILE)) == [()]


@pytest.mark.parametrize("other", OTHERS)
def test_another_file_is_taken(edge, other):
    """Another size, time or path, though its content be the same."""
    assert kinds(edge, take(FILE), take(other)) == [("PutObject",), ("PutObject",)]


def test_another_inode_alone_is_the_same_file_while_its_content_is(edge):
    """That it has another one by now is noted, so that it is not read again."""
    renumbered = msgspec.structs.replace(FILE, inode=8)
    assert kinds(edge, take(FILE), take(renumbered), take(renumbered)) == [("PutObject",), ("FilesNoted",), ()]
    assert kinds(edge, take(FILE, b"y")) == [("PutObject",)]


def test_what_is_gone_is_forgotten_unless_it_was_taken_anew(edge):
    """A note that comes late does not forget the next file of that name."""
    newer = OTHERS[0]
    assert kinds(edge, take(FILE), take(newer), ForgetFiles([FILE])) == [("PutObject",), ("PutObject",), ()]
    assert kinds(edge, ForgetFiles([newer, FILE]), ForgetFiles([newer])) == [("FilesNoted",), ()]
    assert kinds(edge, take(newer)) == [("PutObject",)]


def test_what_is_remembered_is_folded_from_the_journal_alone(edge, tmp_path):
    """A rebuilt view knows the same files."""
    edge.run(take(FILE), take(OTHERS[2], key="l"), take(msgspec.structs.replace(FILE, inode=9)), ForgetFiles([FILE]))
    (tmp_path / "again").mkdir()
    rebuilt = edge.rebuilt(tmp_path / "again")
    assert rebuilt.folded() == edge.folded()
    assert rebuilt.ask.taken_among("camera", ["d/a", "b", "c"]) == edge.ask.taken_files("camera", "", 9)
    rebuilt.close()
