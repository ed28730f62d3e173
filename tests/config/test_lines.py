"""An error takes a person to the line that is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.config import load
from s3d.config.lines import ConfigurationFile
from s3d.errors import ConfigurationError

WRONG = [
    ('# a comment\n\n[remote]\nendpont = "https://e"\n', 4, "unknown setting remote.endpont"),
    ("[journal]\nmark = 'strict'\n[remote]\n\nlanes_max = 0\n", 5, "remote.lanes_max = 0"),
    ("remote.lanes_max = 0\n", 1, "remote.lanes_max = 0"),
    ('data_dir = "/d"\n\n[remot]\nlanes_max = 1\n', 3, "unknown section [remot]"),
    ("[[remote]]\nlanes_max = 1\n", 1, "remote is a section"),
    ('[[rule]]\nmatch = "b"\n\n[[rule]]\nmatch = "c"\nfresh = 5\n', 6, "rule 2: unknown setting fresh"),
    ('[[rule]]\nmatch = "b"\n[[rule]]\nmatch = "c"\n\npriority = "now"\n', 6, "rule 2: "),
    ('[[rule]]\nmatch = "b"\n[[rule]]\n\nmatch = "c/k"\nshared = true\n', 6, "rule 2: shared: "),
    ('[[rule]]\nmatch = "b"\n[[rule]]\n\nmatch = "c[tag"\n', 3, "rule 2: "),
    ('[[rule]]\nmatch = "b"\n\n[[window]]\nstart = "8:00"\nend = "09:00"\n', 5, "window 1: start: "),
    ('[[bucket]]\nname = "a"\nremote_bucket = "hq-data"\n# ...\nprefix = "x"\n', 5, "bucket 1: prefix: "),
    ('[[client_key]]\naccess_key = "a"\nsecret_key = "s"\n' * 2, 5, "client_key 2: access_key: "),
    ('[[webhook]]\nname = "w"\nsecret = "s"\nurl = "ftp://e"\n', 4, "webhook 1: url: "),
]


@pytest.mark.parametrize(("text", "line", "named"), WRONG, ids=[named for _, _, named in WRONG])
def test_an_error_names_file_and_line(tmp_path, text, line, named):
    """As compilers do, so that an editor can jump there."""
    path = tmp_path / "s3d.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load({}, {}, str(path))
    assert caught.value.message.startswith(f"{path}:{line}: {named}")
    assert caught.value.hint


def test_what_is_no_toml_has_a_line_too(tmp_path):
    """There the parser says it."""
    path = tmp_path / "s3d.toml"
    path.write_text('listen = "http://localhost:1"\n[remote\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="line 2"):
        load({}, {}, str(path))


def test_texts_that_look_like_settings_are_none():
    """A text over several lines ends where its quotes end; what has no line is named by the file alone."""
    text = 'data_dir = """\n[remote]\nlanes_max = 3\n"""\n[remote]\nlanes_max = 8\n[log]\nlevel = { a = 1 }\n'
    file = ConfigurationFile("s3d.toml", text)
    assert file.at("remote.lanes_max") == "s3d.toml:6"
    assert file.at("remote") == "s3d.toml:5"
    assert file.at("log.level.a") == "s3d.toml"


names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
fillers = st.lists(st.sampled_from(["", "# x = 1", "   "]), max_size=2)


settings_of = st.lists(st.tuples(names, fillers), unique_by=lambda one: one[0], max_size=4)


@settings(max_examples=40)
@given(st.lists(st.tuples(names, fillers, settings_of), max_size=6))
def test_every_table_of_a_list_has_its_own_lines(tables):
    """However many tables of however many lists are mixed, the number is that among those of its name."""
    lines, expected, count = [], {}, {}
    for table, filler, given_settings in tables:
        lines += filler
        count[table] = count.get(table, 0) + 1
        lines.append(f"[[{table}]]")
        expected[table, count[table]] = len(lines)
        for name, between in given_settings:
            lines += between
            lines.append(f"{name} = 1")
            expected[f"{table}.{name}", count[table]] = len(lines)
    file = ConfigurationFile("f", "\n".join(lines))
    for (name, number), line in expected.items():
        assert file.at(name, number) == f"f:{line}"
