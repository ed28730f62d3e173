"""What a running daemon can change, what waits for a restart, and what cannot stand beside it."""

from unittest.mock import patch

import msgspec
import pytest

from s3d.auth.keys import SecretKey
from s3d.config.catalogue import catalogue, list_settings
from s3d.config.difference import RELOADED, difference, is_reloaded
from s3d.config.remotes import OtherRemote
from s3d.config.settings import AuthSettings, CapacitySettings, LogSettings, RemoteSettings, Settings
from s3d.config.source import Source
from s3d.errors import ConfigurationError
from s3d.policy.rules import Rule
from s3d.policy.windows import Window

KEYS = AuthSettings(access_key="A", secret_key=SecretKey("s"))
BEFORE = Settings(data_dir="/d", remote=RemoteSettings(endpoint="https://e", access_key="A", secret_key=SecretKey("s")))


def changed(settings, section="", **values):
    if not section:
        return msgspec.structs.replace(settings, **values)
    return msgspec.structs.replace(settings, **{section: msgspec.structs.replace(getattr(settings, section), **values)})


def test_the_list_names_what_exists():
    """A setting that is renamed does not fall out of it unseen."""
    assert {*catalogue(), *(f"[[{name}]]" for name in list_settings())} >= RELOADED


def test_the_same_settings_differ_in_nothing():
    """Secrets and lists that were read anew included."""
    again = changed(BEFORE, "remote", secret_key=SecretKey("s"))
    found = difference(BEFORE, again)
    assert (found.changed, found.waiting, found.in_force) == ((), (), BEFORE)


def test_each_part_of_a_change_goes_where_it_belongs():
    """What can change changes; the rest is named, and stays as it was."""
    after = changed(BEFORE, "remote", secret_key=SecretKey("t"), lanes_max=3)
    after = changed(after, listen="http://localhost:9", rules=(Rule(match="b", priority="bulk"),), region="eu-west-1")
    after = changed(after, "log", level="debug")
    found = difference(BEFORE, after)
    assert found.changed == ("remote.secret_key", "log.level", "[[rule]]")
    assert found.waiting == ("listen", "region", "remote.lanes_max")
    assert found.in_force.remote.secret_key.reveal() == "t"
    assert (found.in_force.remote.lanes_max, found.in_force.listen) == (32, BEFORE.listen)
    assert found.in_force.rules == after.rules
    assert difference(found.in_force, after).changed == ()
    assert difference(found.in_force, BEFORE).waiting == ()


@pytest.mark.parametrize("name", sorted({*catalogue()} - {"data_dir"}))
def test_a_change_of_any_setting_is_noticed(name):
    """Whatever it is, it is on one of the two sides."""
    setting = catalogue()[name]
    value = "another" if setting.default != "another" else None
    after = changed(BEFORE, setting.section, **{setting.name: value})
    with patch("s3d.config.difference.check"):  # a value that is none: the loader is what refuses those
        found = difference(BEFORE, after)
    assert (found.changed if is_reloaded(name) else found.waiting) == (name,)


def other(name, **values):
    return OtherRemote(name=name, endpoint=f"https://{name}", **values)


def test_of_another_remote_changes_what_changes_of_the_first():
    """Keys, patience and pace; the rest waits, and so does one that comes or goes, with those beside it going on."""
    before = changed(BEFORE, other_remotes=(other("city"), other("port", access_key="A", secret_key=SecretKey("s"))))
    after = changed(
        BEFORE, other_remotes=(other("city", lanes_max=3), other("port", access_key="B", secret_key=SecretKey("t")))
    )
    found = difference(before, after)
    assert found.changed == ("other_remote.access_key", "other_remote.secret_key")
    assert found.waiting == ("other_remote.lanes_max",)
    city, port = found.in_force.other_remotes
    assert (city.lanes_max, port.access_key, port.secret_key.reveal()) == (32, "B", "t")
    assert difference(found.in_force, before).changed == found.changed
    fewer = difference(before, changed(BEFORE, other_remotes=(other("port"), other("new"))))
    assert fewer.waiting == ("[[other_remote]]",)
    assert [(one.name, one.access_key) for one in fewer.in_force.other_remotes] == [("city", None), ("port", None)]
    for setting in list_settings()["other_remote"]:
        if setting.name != "name":
            assert is_reloaded(setting.path) == is_reloaded(f"remote.{setting.name}"), setting.path


def test_what_cannot_stand_beside_what_waits_is_refused():
    """Keys cannot go while the daemon listens to others; that this changes too helps only after a restart."""
    before = Settings(data_dir="/d", listen="http://0.0.0.0:33333", auth=KEYS)
    with pytest.raises(ConfigurationError, match="as long as listen cannot change") as caught:
        difference(before, Settings(data_dir="/d"))
    assert "restart" in caught.value.hint
    with pytest.raises(ConfigurationError, match=r"remote\.endpoint"):
        difference(
            Settings(data_dir="/d"),
            changed(BEFORE, rules=(Rule(match="b", durability="replicated"),)),
        )


def test_features_come_and_go():
    """Lists and limits that were not there at the start, and are not there any more."""
    after = changed(
        BEFORE,
        windows=(Window(start="22:00", end="06:00"),),
        capacity=CapacitySettings(pending_bytes_max=5),
        log=LogSettings(level="error"),
    )
    there = ("capacity.pending_bytes_max", "log.level", "[[window]]")
    assert difference(BEFORE, after).changed == there
    assert difference(after, BEFORE).changed == there


def test_a_source_is_read_as_often_as_one_likes(tmp_path):
    """Flags and environment hold; settings and digest are of the same bytes, whatever ends their lines."""
    path = tmp_path / "s3d.toml"
    source = Source({"remote.endpoint": "https://flag"}, {"S3D_ADMIN": "http://localhost:7"}, str(path))
    path.write_bytes(b'[remote]\r\nendpoint = "https://file"\r\nlanes_max = 2\r\n')
    first = source.read()
    assert (first.settings.remote.endpoint, first.settings.admin.listen) == ("https://flag", "http://localhost:7")
    assert (first.settings.remote.lanes_max, first.source) == (2, source)
    path.write_bytes(b"")
    second = source.read()
    assert second.digest == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" != first.digest
    assert difference(first.settings, second.settings).waiting == ("remote.lanes_max",)
