"""The page, the example file and the code say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from s3d.config import load
from s3d.config.catalogue import catalogue, list_settings, sections
from s3d.config.document import default_text, tables, toml_value

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "deploy/s3d.example.toml"
ALL = [*catalogue().values(), *(one for settings in list_settings().values() for one in settings)]


def test_the_page_has_the_tables_that_the_code_makes():
    """Print them with `python -m s3d.config.document` after a change."""
    assert tables() in PAGE


@pytest.mark.parametrize("setting", ALL, ids=lambda one: one.path)
def test_every_setting_is_in_the_page_with_its_default(setting):
    """Found by its name, with its default in the same row."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{setting.path}` "))
    assert f"| {default_text(setting)} |" in row
    assert setting.environment in row
    assert setting.flag in row


def test_the_example_loads_as_it_is():
    """With every line that is not a comment."""
    load({}, {"HOME": "/h"}, str(EXAMPLE))


def test_the_example_with_every_setting_switched_on_loads(tmp_path):
    """Its commented settings are settings, too; all of them are there."""
    text = re.sub(r"(?m)^# ?(?=[a-z_]+ = |\[)", "", EXAMPLE.read_text(encoding="utf-8"))
    path = tmp_path / "all.toml"
    path.write_text(text, encoding="utf-8")
    load({}, {"HOME": "/h"}, str(path))
    document = tomllib.loads(text)
    given = {name for name in document if name not in sections()}
    given |= {f"{section}.{name}" for section in sections() for name in document.get(section, {})}
    assert given == {*catalogue(), *list_settings()}
    for kind, settings in list_settings().items():
        assert {f"{kind}.{name}" for table in document[kind] for name in table} == {one.path for one in settings}


def test_the_example_shows_the_defaults():
    """A setting that is commented out shows what it is without the line."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for setting in catalogue().values():
        if setting.default_text or setting.default is None:
            continue
        assert f"{setting.name} = {toml_value(setting.default)}" in text, setting.path
