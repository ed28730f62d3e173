"""Other rules hold from their record on, for every decision behind it, and for none if the record is not kept."""

from edge_state import Edge, create, put

from journal import DiskFull
from journal.writer import Submission
from s3d.commands.configuring import ChangeConfiguration, Policies, asked_under
from s3d.events import CONFIGURED, ConfigurationChanged, decode_mutation
from s3d.policy.rules import Rule, Rules

CHANGE = ConfigurationChanged(caller="admin", file="/etc/s3d.toml", digest="d", changed=("[[rule]]",))


def under(*rules):
    read = Rules(rules)
    return ChangeConfiguration(CHANGE, Policies(read.is_shared, read.conflict, by_key=read.speak_of_urgency))


def policies(edge):
    records = [record for record in edge.backend.read(0, 100) if record.kind == "PutObject"]
    return [decode_mutation(record.payload).conflict for record in records]


def indexes(edge):
    names = edge.view._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")
    return {name for (name,) in names}


def test_what_is_decided_behind_the_record_goes_by_the_new_rules(tmp_path):
    """In the same batch, too; and by none again when they are gone."""
    edge = Edge(tmp_path, has_remote=True)
    edge.run(create("b", remote_has_it=False))
    edge.run(put("b", "1"), under(Rule(match="b/*", conflict="hold")), put("b", "2"))
    edge.run(put("b", "3"), under(), put("b", "4"))
    assert policies(edge) == ["", "hold", "hold", ""]
    edge.close()


def test_a_batch_that_is_not_kept_changes_no_rules(tmp_path, monkeypatch):
    """A full disk takes both back: the record, and what it says."""
    edge = Edge(tmp_path, has_remote=True)
    edge.run(create("b", remote_has_it=False))
    append, full = edge.backend.append, [True]

    def fail_once(*given):
        if full.pop() if full else False:
            raise DiskFull("full")
        return append(*given)

    monkeypatch.setattr(edge.backend, "append", fail_once)
    (outcome,) = edge.run(under(Rule(match="b", shared=True), Rule(match="b/*", conflict="hold", priority="urgent")))
    assert isinstance(outcome, DiskFull)
    assert edge.ask.bucket("b").sole
    assert "pending_by_key" not in indexes(edge)
    edge.run(put("b", "1"))
    assert policies(edge) == [""]
    edge.close()


def test_it_is_put_in_force_on_a_full_disk(tmp_path, monkeypatch):
    """As what makes room is: perhaps it is what lets somebody make some."""
    edge = Edge(tmp_path, has_remote=True)
    edge.run(create("b", remote_has_it=False))
    monkeypatch.setattr(edge.backend, "has_room", lambda: False)
    command = under(Rule(match="b", shared=True))
    ((_, outcome),) = edge.committer.run([Submission(command, 0, essential=True)])
    assert outcome.records[0].kind == CONFIGURED
    assert not edge.ask.bucket("b").sole
    edge.close()


def test_a_bucket_that_is_shared_from_now_on_is_not_remembered_as_ours(tmp_path):
    """And back; the index that priorities need comes and goes with them."""
    edge = Edge(tmp_path, has_remote=True)
    edge.run(create("b", remote_has_it=False), put("b", "1"))
    edge.run(under(Rule(match="b", shared=True), Rule(match="*/*", priority="bulk")))
    assert not edge.ask.bucket("b").sole
    assert "pending_by_key" in indexes(edge)
    edge.run(under())
    assert edge.ask.bucket("b").sole
    assert "pending_by_key" not in indexes(edge)
    edge.close()


def test_questions_under_other_rules_leave_the_first_ones_alone(tmp_path):
    """Who has begun goes on as it began."""
    edge = Edge(tmp_path)
    edge.run(create("b"))
    others = asked_under(edge.ask, Policies(is_shared=lambda name: name == "b"))
    assert (edge.ask.bucket("b").sole, others.bucket("b").sole) == (True, False)
    edge.close()


def test_the_record_is_nothing_but_itself(tmp_path):
    """Who, which file, what: for whoever audits. The view is the same without it, and a rebuild agrees."""
    edge = Edge(tmp_path)
    edge.run(create("b"))
    before = edge.folded()
    edge.run(under())
    record = edge.backend.read(1, 1)[0]
    assert record.payload == b'{"caller":"admin","file":"/etc/s3d.toml","digest":"d","changed":["[[rule]]"]}'
    assert {**edge.folded(), "progress": ()} == {**before, "progress": ()}
    (tmp_path / "second").mkdir()
    second = edge.rebuilt(tmp_path / "second")
    assert second.folded() == edge.folded()
    second.close()
    edge.close()
