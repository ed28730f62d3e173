"""The command `s3d`: which subcommands there are, and the one place where an error becomes a line and an exit code.

A subcommand's module is imported when it is used, so that `s3d --help` and shell completion answer at once. Nobody who
mistyped something should read a traceback: every failure is `s3d: what is wrong`, then perhaps `hint: what to do`.
`S3D_DEBUG=1` shows the traceback as well.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from s3d import __version__
from s3d.cli.exits import FAILED, INTERRUPTED, MISTAKEN, OK

# name: (module and attribute, the line in `s3d --help`)
COMMANDS = {
    "run": ("s3d.cli.run:run", "Run the daemon."),
    "status": ("s3d.cli.status:status", "Show where the daemon stands."),
    "pending": ("s3d.cli.pending:pending", "List what the remote has not confirmed yet."),
    "wait": ("s3d.cli.wait:wait", "Wait until the remote has it."),
    "conflicts": ("s3d.cli.conflicts:conflicts", "List writes that met somebody else's at the remote."),
    "receipt": ("s3d.cli.receipt:receipt", "Show what the remote said when it took a record."),
    "reload": ("s3d.cli.reload:reload", "Have the daemon read its configuration file again."),
    "pause": ("s3d.cli.pausing:pause", "Send nothing more to the remote, for now."),
    "resume": ("s3d.cli.pausing:resume", "Go on sending."),
    "gaps": ("s3d.cli.gaps:gaps", "Name what the remote has lost since it confirmed it."),
    "remote": ("s3d.cli.remote:remote", "Find out what the remote can do."),
    "audit": ("s3d.cli.audit:audit", "Show an auditor that everything that was acknowledged has arrived."),
    "parked": ("s3d.cli.parked:parked", "List records that wait for a person; retry, rekey, export or drop them."),
    "ls": ("s3d.cli.objects:ls", "List buckets, or what is in one."),
    "get": ("s3d.cli.objects:get", "Fetch an object."),
    "put": ("s3d.cli.objects:put", "Store a file as an object."),
    "restore": ("s3d.cli.restore:restore", "Make a key, or a prefix, what it was before."),
    "cache": ("s3d.cli.cache:cache", "What is here of the remote: show, fetch, pin, let go of."),
    "bundle": ("s3d.cli.bundle:bundle", "Carry pending records to headquarters on a disk, and receipts back."),
    "drop": ("s3d.cli.drop:drop", "Folders whose files become objects."),
    "backup": ("s3d.cli.backup:backup", "Back a data directory up, verify a backup, restore one."),
    "replay": ("s3d.cli.replay:replay", "Send what a data directory holds to the remote, without its daemon."),
    "doctor": ("s3d.cli.doctor:doctor", "Say what is damaged in a data directory, and what that means."),
    "recover": ("s3d.cli.recover:recover", "Repair a damaged data directory."),
    "losses": ("s3d.cli.losses:losses", "Say which records are lost; accept that."),
    "journal": ("s3d.cli.journal:journal", "Verify, export, read or adopt a journal."),
}


class _Commands(click.Group):
    """A group whose members are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command takes --help. Those that answer take --json.",
)
@click.version_option(__version__, prog_name="s3d", message="%(prog)s %(version)s")
def cli() -> None:
    """S3 beside the application: durable here at once, at the remote S3 as soon as the link allows."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 well, 1 failed, 2 mistyped or misconfigured; more in each command's help."""
    try:
        code = cli.main(args=arguments, prog_name="s3d", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(MISTAKEN)
    except click.ClickException as error:
        _say(error.format_message(), _usage_hint(error))
        sys.exit(MISTAKEN)
    except Exception as error:  # noqa: BLE001 - the boundary: everything is reported, nothing goes on
        sys.exit(_report(error))
    sys.exit(code if isinstance(code, int) else OK)


def _report(error: Exception) -> int:
    """Tell a person; the exit code. Imports are made here, so that they cost nothing when all is well."""
    from journal.errors import JournalError
    from s3d.errors import CannotLook, ConfigurationError, S3dError

    if os.environ.get("S3D_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, S3dError | JournalError):
        _say(error.message, error.hint)
        return MISTAKEN if isinstance(error, ConfigurationError | CannotLook) else FAILED
    if isinstance(error, OSError) and error.strerror:
        _say(f"{error.filename}: {error.strerror}" if error.filename else error.strerror, "")
        return FAILED
    _say(f"{type(error).__name__}: {error}", "this is a defect; S3D_DEBUG=1 shows where it comes from")
    return FAILED


def _usage_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"see {context.command_path} --help" if context is not None else "see s3d --help"


def _say(message: str, hint: str) -> None:
    """One line each, whatever the message contains."""
    click.echo(f"s3d: {' '.join(message.split())}", err=True)
    if hint:
        click.echo(f"hint: {' '.join(hint.split())}", err=True)


if __name__ == "__main__":
    main()
