"""docs/failures.md says what the cases say, and every test that it names is there."""

import fnmatch
import re
from collections import Counter

import pytest

from .page import ORDER, PAGE, TESTS, Group, groups, modules, names_in, text

AGAIN = "`python -m tests.failures` writes it anew"


def test_the_page_is_the_one_that_the_cases_make():
    """Written with `python -m tests.failures` after a change."""
    assert PAGE.read_text(encoding="utf-8") == text(), AGAIN


@pytest.mark.parametrize("group", groups(), ids=lambda group: group.group)
def test_every_test_that_is_named_exists(group: Group):
    """A test that is renamed is renamed in tests/failures/*.toml, or the page would promise what nobody shows."""
    missing = [
        f"{case.id} names {test}, which is not there: correct tests/failures/*.toml; {AGAIN}"
        for case in group.case
        for test in case.tests
        if test.partition("::")[2] not in names_in(test.partition("::")[0])
    ]
    assert not missing, "\n".join(missing)


def test_every_case_has_a_name_of_its_own_and_says_how_it_stands():
    """What is not shown, or not done, has a reason; a test that is named after a case is about one that there is."""
    cases = [case for group in groups() for case in group.case]
    assert [name for name, count in Counter(case.id for case in cases).items() if count > 1] == []
    assert "".join(group.group for group in groups()) == ORDER
    for group in groups():
        numbers = [int(case.id.removeprefix(group.group)) for case in group.case]
        assert numbers == sorted(numbers), group.title
    for case in cases:
        assert case.gap or case.tests, f"{case.id} is neither shown nor said to be open"
        assert case.does or not case.tests, f"{case.id} shows what it does not say"
        assert len(case.tests) == len(set(case.tests)), case.id


def test_every_test_that_another_page_names_exists():
    """Tests, with a star for several, their modules, and their folders."""
    names = {name for module in modules() for name in names_in(module)} | {
        module.rpartition("/")[2] for module in modules()
    }
    missing = []
    for page in (TESTS.parent / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        for named in re.findall(r"`(test_[a-z0-9_*]+)`", text):
            if not fnmatch.filter(names, named):
                missing.append(f"{page.name}: {named}")
        for path in re.findall(r"`(tests/[a-z0-9_/.]+)`", text):
            if not (TESTS.parent / path).exists():
                missing.append(f"{page.name}: {path}")
    assert not missing, "\n".join(missing)
