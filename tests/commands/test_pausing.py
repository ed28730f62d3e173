"""Pausing replication: records that say who and why, folded into what a restart begins with."""

from edge_state import Edge

from s3d.commands.pausing import PauseReplication, ResumeReplication


def test_a_pause_is_a_record_and_a_second_one_only_with_another_reason(tmp_path):
    """Who repeats it is told that nothing changed; who has a better reason is written down."""
    edge = Edge(tmp_path)
    for reason, caller in (("roaming", "a"), ("roaming", "b"), ("audit", "c")):
        edge.run(PauseReplication(reason, caller))
    assert [record.kind for record in edge.backend.read(0, 10)] == ["ReplicationPaused"] * 2
    paused = edge.ask.paused()
    assert (paused.sequence, paused.caller, paused.reason) == (2, "c", "audit")
    edge.close()


def test_going_on_forgets_it_and_a_rebuild_agrees(tmp_path):
    """The view is the fold, before and after."""
    edge = Edge(tmp_path)
    edge.run(PauseReplication("roaming", "a"))
    (tmp_path / "second").mkdir()
    second = edge.rebuilt(tmp_path / "second")
    assert second.folded() == edge.folded()
    assert second.ask.paused() == edge.ask.paused() is not None
    second.close()
    edge.run(ResumeReplication("", "b"))
    edge.run(ResumeReplication("", "b"))
    assert edge.ask.paused() is None
    assert edge.committer.head.sequence == 2
    edge.close()
