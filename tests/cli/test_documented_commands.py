"""Every `s3d …` that a page tells somebody to type is a command that there is, with options that it takes."""

import re
import shlex
from functools import cache
from itertools import takewhile
from pathlib import Path

import click
import pytest

from s3d.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file()),
]
IN_A_SENTENCE = re.compile(r"`(s3d (?:-|[a-z])[^`]*)`")
SHELL = re.compile(r"\d?[<>|;&]")  # what begins with them is not the command's
IN_A_BLOCK = re.compile(r"^ *(?:[a-z]*\$ )(s3d .*)$", re.MULTILINE)
TO_COPY = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)  # whole, so it has no prompts
IN_A_SCRIPT = re.compile(r"(?:^|; |until |\$\()(s3d (?:-|[a-z])[^;#)\n]*)", re.MULTILINE)
IN_A_LIST = re.compile(r"\[\"(s3d\", .*)\]")
IN_A_UNIT = re.compile(r"^Exec[A-Za-z]*=/usr/bin/(s3d .*)$", re.MULTILINE)
ALONE = re.compile(r"`(--?[a-z][a-z-]*)(?:[ =][^`]*)?`")
SCRIPTS = [path for path in (ROOT / "scripts").rglob("*") if path.is_file() and path.suffix in {"", ".py"}]
NO_OPTIONS = {"-wal", "--vfs-cache-mode"}  # a file's ending, and rclone's


def commands_in(text: str) -> list[str]:
    """What is to be typed: in sentences, and behind the prompts of blocks; a backslash at the end goes on."""
    joined = re.sub(r"\\\n\s*", "", text)
    copied = [one for block in TO_COPY.findall(joined) for one in IN_A_SCRIPT.findall(block)]
    listed = [re.sub(r"\",? ?\"?", " ", one) for one in IN_A_LIST.findall(joined)]
    in_sentences = [re.sub(r"\s+", " ", one) for one in IN_A_SENTENCE.findall(joined)]
    return in_sentences + IN_A_BLOCK.findall(joined) + copied + listed + IN_A_UNIT.findall(joined)


def mistake_in(typed: str) -> str:
    """What `s3d` would have against it; nothing, when only values are missing, as they are in a sentence."""
    command: click.Command = cli
    words = list(takewhile(lambda word: not SHELL.match(word), shlex.split(typed, comments=True)))[1:]
    context = click.Context(command, info_name="s3d")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return f"there is no command {words[0]!r} in `s3d {context.command_path.partition(' ')[2]}`"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    options = {name: one for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)}
    values = 0
    while words:
        name, given, _ = words.pop(0).partition("=")
        if not name.startswith("-") or name == "-":
            values += 1
        elif name not in options:
            return f"{context.command_path} takes no {name}"
        elif words and not given and isinstance(options[name], click.Option) and not options[name].is_flag:  # type: ignore[attr-defined]
            words.pop(0)
    arguments = [one.nargs for one in command.params if isinstance(one, click.Argument)]
    if all(number > 0 for number in arguments) and values > sum(arguments):
        return f"{context.command_path} takes {sum(arguments)} arguments, and here are {values}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_to_type_can_be_typed(page: Path) -> None:
    """Commands, options and the number of arguments; a command that is renamed is renamed in the pages."""
    mistakes = [
        f"`{one}`: {mistake_in(one)}" for one in commands_in(page.read_text(encoding="utf-8")) if mistake_in(one)
    ]
    assert not mistakes, "\n".join(mistakes)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("Ask `s3d wait --all --timeout 300`, then `s3d parked export SEQ... DIRECTORY`.", ""),
        ("    hq$ s3d bundle apply X --key \\\n      K --from P    # later", ""),
        ("Ask `s3d whether --all`.", "there is no command 'whether'"),
        ("Ask `s3d parked\nforget`.", "there is no command 'forget'"),
        ("Ask `s3d wait --everything`.", "takes no --everything"),
        ("$ s3d receipt 1-3 1-4", "takes 1 arguments"),
        ("```sh\nuntil s3d state 2>/dev/null; do sleep 1; done\n```", "there is no command 'state'"),
        ("```sh\ns3d run --datadir /tmp/x 2>/dev/null &\n```", "takes no --datadir"),
        ('exec: {command: ["s3d", "status", "--redy"]}', "takes no --redy"),
        ("ExecReload=/usr/bin/s3d relod", "there is no command 'relod'"),
    ],
)
def test_a_mistake_in_a_page_is_seen(text: str, mistake: str) -> None:
    """In sentences, over the end of a line, and in blocks."""
    (typed,) = commands_in(text) if mistake or "hq" in text else commands_in(text)[:1]
    assert mistake in mistake_in(typed)
    assert bool(mistake) == bool(mistake_in(typed))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_an_option_that_stands_alone_is_one_of_a_command(page: Path) -> None:
    """Of `s3d`, or of a script of this repository."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [one for one in ALONE.findall(text) if one not in options_of_all() | NO_OPTIONS] == []


@cache
def options_of_all() -> frozenset[str]:
    """Every option of every command, and what scripts take."""
    found = {word for path in SCRIPTS for word in re.findall(r"--[a-z][a-z-]*", path.read_text(encoding="utf-8"))}
    waiting: list[tuple[click.Command, click.Context]] = [(cli, click.Context(cli, info_name="s3d"))]
    while waiting:
        command, context = waiting.pop()
        found |= {name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)}
        if isinstance(command, click.Group):
            members = [command.get_command(context, name) for name in command.list_commands(context)]
            waiting += [(one, click.Context(one, parent=context, info_name=one.name)) for one in members if one]
    return frozenset(found)


def test_the_handbook_names_every_command() -> None:
    """What `s3d --help` lists is explained to somebody who runs it."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    said = " ".join(commands_in(text))
    context = click.Context(cli, info_name="s3d")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        members = command.list_commands(context) if isinstance(command, click.Group) else [""]
        for member in members:
            assert f"s3d {name} {member}".strip() in said, f"no page says what `s3d {name} {member}` is for"
