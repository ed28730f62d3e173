"""`[[drop]]` tables that cannot be, in one line with a hint."""

import pytest

from s3d.config import load
from s3d.errors import ConfigurationError

ONE = '[[drop]]\nname = "a"\ndirectory = "/srv/a"\nbucket = "photos"\n'


def settings_of(tmp_path, text):
    path = tmp_path / "s3d.toml"
    path.write_text(text)
    return load({"data_dir": str(tmp_path / "data")}, {}, str(path))


def test_what_is_not_given_has_its_default(tmp_path):
    """Three settings are enough."""
    (folder,) = settings_of(tmp_path, ONE).drops
    assert (folder.after, folder.match, folder.prefix, folder.settle_seconds) == ("keep", "*", "", 2.0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (ONE, "drop 2: name: a is taken"),
        (ONE.replace('"a"', '"b"'), "drop 2: directory: /srv/a and /srv/a are not apart"),
        (ONE.replace('"a"', '"b"').replace("/srv/a", "/srv/a/b"), "are not apart"),
        (ONE.replace('"a"', '"b"').replace("/srv/a", "/srv"), "are not apart"),
        ('after = "move"', "move_to and after"),
        ('move_to = "/srv/b"', "move_to and after"),
        ('after = "move"\nmove_to = "/srv/a/.gone"', "move_to: /srv/a/.gone is inside of /srv/a"),
        ('after = "burn"', "invalid enum value 'burn'"),
        ("settle_seconds = 0", "settle_seconds"),
        ('prefix = "/p"', "prefix: it begins with /"),
        ('metadata = { mtime = "0" }', "metadata: 'mtime' cannot be set"),
        ('metadata = { "Über" = "0" }', "cannot be set"),
        ('metadata = { a = "x\\ny" }', "cannot be set"),
        ("settle = 1", "unknown setting settle"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, more, said):
    """With the number of the table."""
    with pytest.raises(ConfigurationError) as refused:
        settings_of(tmp_path, ONE + more)
    assert said in refused.value.message
    assert refused.value.hint


def test_the_daemons_own_files_never_become_objects(tmp_path):
    """Neither from inside the data directory nor from around it, nor is anything moved there; links do not hide it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for directory in (tmp_path, tmp_path / "data/in", tmp_path / "link"):
        with pytest.raises(ConfigurationError, match="are not apart"):
            settings_of(tmp_path, ONE.replace("/srv/a", str(directory)))
    with pytest.raises(ConfigurationError, match="are not apart"):
        settings_of(tmp_path, f'{ONE}after = "move"\nmove_to = "{tmp_path}/data/out"')
