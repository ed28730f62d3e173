"""The command as a whole: help, version, what is imported when, and the journal's commands on a real directory."""

import json
import os
import signal
import subprocess
import sys

import click
import pytest
from admin_edge import s3d

from journal import Entry, Journal, SqliteBackend
from s3d.cli.main import COMMANDS, cli


class Nothing:
    """A state that nothing is folded into."""

    def __init__(self):
        self.position = 0

    def begin(self): ...

    def publish(self): ...

    def revert(self): ...

    def discard(self): ...

    def fold(self, record):
        self.position = record.sequence

    def fold_all(self, records):
        for record in records:
            self.fold(record)


@pytest.fixture
async def data_dir(tmp_path):
    directory = tmp_path / "journal"
    directory.mkdir()
    journal = await Journal.open(SqliteBackend(str(directory)), Nothing())
    for number in range(3):
        await journal.append([Entry(f"b/{number}", "PutObject", b'{"v":1}', b"body", b"", 4)])
    await journal.close()
    return str(tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_in_the_help_is_the_commands_own(name):
    """The list in main.py exists so that nothing is imported for `--help`; it must not drift."""
    command = cli.get_command(click.Context(cli), name)
    assert command.name == name
    assert command.short_help == COMMANDS[name][1]


async def test_help_lists_every_command_and_every_command_has_help():
    """On standard output, with exit code 0."""
    ran = await s3d("--help")
    assert ran.code == 0
    for name in COMMANDS:
        assert f"\n  {name}" in ran.out
        one = await s3d(name, "--help")
        assert (one.code, one.err) == (0, "")


def test_help_does_not_import_the_daemon():
    """That is what keeps it quick: a time would depend on the machine, this does not."""
    script = (
        "import sys\nsys.argv = ['s3d', '--help']\nfrom s3d.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    imported = set(out.splitlines()[-1].split())
    assert "click" in imported
    assert not imported & {"aiohttp", "apsw", "msgspec", "rich", "structlog", "botocore", "awscrt", "prometheus_client"}


async def test_without_a_command_the_help_is_shown():
    """On standard error, because something is missing."""
    ran = await s3d()
    assert (ran.code, ran.out) == (2, "")
    assert "Commands:" in ran.err


async def test_the_version_is_one_line():
    """Name and number."""
    ran = await s3d("--version")
    assert (ran.code, ran.out) == (0, "s3d 0.1.0\n")


async def test_run_documents_its_flags_and_variables():
    """The flags of the settings, and where else they can come from."""
    from s3d.config.catalogue import catalogue

    out = (await s3d("run", "--help")).out
    for setting in catalogue().values():
        if setting.flag:
            assert setting.flag in out
            assert setting.environment in " ".join(out.split())


async def test_a_journal_is_verified_without_being_changed(data_dir):
    """The data directory or the journal's own directory; every file stays as it was."""
    before = {entry.path: os.stat(entry.path).st_mtime_ns for entry in os.scandir(f"{data_dir}/journal")}
    ran = await s3d("journal", "verify", data_dir)
    assert ran.code == 0
    assert ran.out.startswith("3 records verified")
    found = json.loads((await s3d("journal", "verify", f"{data_dir}/journal", "--json")).out)
    assert (found["verified"], found["head"], found["epoch"]) == (3, 3, 1)
    assert {entry.path: os.stat(entry.path).st_mtime_ns for entry in os.scandir(f"{data_dir}/journal")} == before


async def test_a_damaged_journal_is_named_with_its_first_wrong_record(data_dir):
    """Exit code 1; the record that was changed, in one line."""
    import apsw

    connection = apsw.Connection(f"{data_dir}/journal/journal-000001.db")
    connection.execute("UPDATE record SET kind = 'DeleteObject' WHERE sequence = 2")
    connection.close()
    ran = await s3d("journal", "verify", data_dir)
    assert ran.code == 1
    assert ran.err.startswith("s3d: record 2 does not follow")


async def test_an_export_is_json_lines(data_dir):
    """A line that names the journal, then a line a record."""
    lines = [json.loads(line) for line in (await s3d("journal", "export", data_dir)).out.splitlines()]
    assert lines[0]["format"] == 1
    assert [line["sequence"] for line in lines[1:]] == [1, 2, 3]


async def test_an_export_into_a_closed_pipe_ends_quietly(data_dir):
    """`s3d journal export | head -1` is no error worth a traceback."""
    process = subprocess.run(
        f"{sys.executable} -m s3d.cli.main journal export {data_dir} | head -1",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(process.stdout)["format"] == 1
    assert process.stderr == ""


async def test_a_journal_without_its_mark_is_adopted(data_dir):
    """A new epoch begins; with a good mark there is nothing to adopt."""
    ran = await s3d("journal", "adopt", data_dir)
    assert ran.code == 1
    assert "good mark" in ran.err
    os.unlink(f"{data_dir}/journal/mark")
    ran = await s3d("journal", "adopt", data_dir, "--json")
    found = json.loads(ran.out)
    assert (found["epoch"], found["head"]) == (2, 3)
    assert (await s3d("journal", "verify", data_dir)).code == 0


async def test_an_interrupt_ends_a_wait_without_a_word(tmp_path):
    """Control-C: exit code 130, no traceback."""
    import asyncio

    from admin_edge import open_edge

    async with open_edge(str(tmp_path)) as (edge, port):
        await edge.write("b/k")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "s3d.cli.main", "wait", "--all", "--admin", f"http://127.0.0.1:{port}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        while edge.asked == 0:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err
