"""What the pages say of settings and metrics is about ones that there are, and their examples load."""

import re
from pathlib import Path

import pytest

from s3d.config import load
from s3d.config.catalogue import catalogue, list_settings, sections

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = re.compile(rf"`({'|'.join(sections())})\.([a-z][a-z_]*)(?: = [^`]*)?`")
PYTHON = {"http.client"}  # a module of its library
METRIC = re.compile(r"`(s3d_[a-z_]+?)(?:\{[^}`]*\})?`")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_calls_a_setting_or_a_metric_is_one(page: Path) -> None:
    """By its full name; where a page means several, it has a star or dots, and is not looked at."""
    known = {*catalogue(), *(one.path for settings in list_settings().values() for one in settings)}
    unknown = [f"{section}.{name}" for section, name in NAMED.findall(text_of(page))]
    assert [name for name in unknown if name not in known | PYTHON] == []
    metrics = text_of(ROOT / "docs/metrics.md")
    assert [name for name in METRIC.findall(text_of(page)) if f"`{name}`" not in metrics] == []


def test_every_example_of_a_configuration_loads(tmp_path: Path) -> None:
    """As it stands, alone: nobody has to guess what is missing."""
    examples = [(page, one) for page in PAGES for one in re.findall(r"```toml\n(.*?)```", text_of(page), re.DOTALL)]
    assert len(examples) > 5
    for number, (_, example) in enumerate(examples):
        path = tmp_path / f"{number}.toml"
        path.write_text(example, encoding="utf-8")
        load({}, {"HOME": "/h"}, str(path))
