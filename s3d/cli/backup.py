"""`s3d backup`: a copy of a data directory, of one moment, that can be relied on; and the way back."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK
from s3d.cli.options import admin, as_json
from s3d.cli.progress import Advance, progress
from s3d.cli.showing import count_text, show_facts, show_json, size_text

if TYPE_CHECKING:
    from s3d.app.backing_up import Wanted
    from s3d.app.reading_backups import Damage
    from s3d.app.restoring import Restored
    from s3d.backup.manifest import Manifest

HOLD_SECONDS = 60.0
RENEW_SECONDS = 10.0
BESIDE_NICENESS = 10  # beside a daemon on two cores, which of both is in a hurry?


class _Backup(click.Group):
    """`s3d backup TARGET` is `s3d backup take TARGET`: what is no command is where the backup goes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args.insert(0, "take")
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self.commands["take"]


@click.group(cls=_Backup, short_help="Back a data directory up, verify a backup, restore one.")
def backup() -> None:
    """Make a backup, beside the daemon that goes on writing: `s3d backup TARGET` is `s3d backup take TARGET`.

    It has every record up to one moment, and every body that the remote did not have then. `verify` reads every byte of
    one; `restore` makes a data directory of it.
    """


@backup.command(short_help="Make one: this is what `s3d backup TARGET` does.")
@click.argument("target", type=click.Path())
@click.option("--data-dir", metavar="DIR", help="Back up this directory, on which no daemon runs.")
@click.option("--with-cache", is_flag=True, help="Also the files of objects that the remote has.")
@click.option("--with-keys", "keys", multiple=True, metavar="FILE", help="Also this file: a configuration, a key.")
@click.option("--previous", metavar="DIR", help="An earlier backup on the same disk: what has not changed is shared.")
@admin
@as_json
def take(
    client: AdminClient,
    target: str,
    data_dir: str | None,
    with_cache: bool,  # noqa: FBT001
    keys: tuple[str, ...],
    previous: str | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Make a backup in TARGET, a new directory, of the running daemon or of --data-dir.

    The daemon goes on; everything is read again from the disk before TARGET has its name. Interrupted, there is none.
    Exit code 1 also when a body was damaged before it was copied: the backup is there, and says which.
    """
    from journal.disk import RealDisk
    from s3d.app.backing_up import Wanted, back_up

    began = time.monotonic()
    earlier = os.path.abspath(previous) if previous else ""
    wanted = Wanted(data_dir or "", os.path.abspath(target), with_cache, earlier, keys)
    if data_dir is not None:
        wanted = _of_stopped(wanted, data_dir)
        manifest = back_up(wanted, None, RealDisk(), _bar, time.time)
    else:
        with _held(client) as holder:
            wanted = _of_running(wanted, holder.data_dir)
            manifest = back_up(wanted, holder, RealDisk(), _bar, time.time)
    _show_taken(wanted.target, manifest, time.monotonic() - began, as_json=as_json)
    return FAILED if manifest.lost else OK


@backup.command(short_help="Read every byte of one.")
@click.argument("directory", metavar="BACKUP", type=click.Path())
@as_json
def verify(directory: str, as_json: bool) -> int:  # noqa: FBT001
    """Hold every file of BACKUP against its digest, and the journal against its chain; name what is damaged."""
    from s3d.app.reading_backups import verify_backup

    manifest, damages = verify_backup(os.path.abspath(directory), _bar)
    if as_json:
        show_json({"manifest": manifest, "damaged": damages})
    elif damages:
        _show_damages(damages)
    else:
        click.echo(
            f"{count_text(manifest.files, 'file')}, {size_text(manifest.bytes)}: all as written; "
            f"records up to {manifest.epoch}-{manifest.sequence}, made {manifest.made_at}."
        )
        _show_lost(manifest)
    return FAILED if damages else OK


@backup.command(short_help="Make a data directory of one.")
@click.argument("directory", metavar="BACKUP", type=click.Path())
@click.option("--to", "data_dir", required=True, metavar="DATA_DIR", help="An empty directory, or one to be made.")
@click.option("--keys-to", metavar="DIR", help="Where files go that --with-keys took along.")
@click.option("--without-damaged", is_flag=True, help="Leave damaged bodies out, and restore all else.")
@as_json
def restore(
    directory: str,
    data_dir: str,
    keys_to: str | None,
    without_damaged: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> int:
    """Verify BACKUP while it is copied to DATA_DIR, and begin a new epoch there, so that no number is used twice.

    What was written after the backup is asked of the remote from then on. Interrupted, call it again: it goes on, and
    no daemon starts on DATA_DIR before it has finished. Exit code 1 also when --without-damaged has left something out.
    """
    from journal.disk import RealDisk
    from s3d.app.restoring import restore as restore_backup
    from s3d.clock import SystemClock

    restored = restore_backup(
        os.path.abspath(directory),
        os.path.abspath(data_dir),
        RealDisk(),
        SystemClock(),
        _bar,
        keys_to=os.path.abspath(keys_to) if keys_to else "",
        without_damaged=without_damaged,
    )
    if as_json:
        show_json(restored)
    else:
        _show_restored(restored, data_dir, keys_to)
    return FAILED if restored.damaged else OK


def _bar(name: str) -> AbstractContextManager[Callable[[int], Advance]]:
    return progress(name, in_bytes=True)


class _Holder:
    """The daemon, which holds back what it would let go of for as long as it hears from here."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        self._name = f"backup-{os.getpid()}"
        self._due = 0.0
        self.data_dir = self._hold(HOLD_SECONDS)

    def keep(self) -> None:
        """See `backing_up.Holder`."""
        if time.monotonic() >= self._due:
            self._hold(HOLD_SECONDS)

    def release(self) -> None:
        """That was all."""
        self._hold(0)

    def _hold(self, seconds: float) -> str:
        from s3d.telemetry.journal_pages import HeldReport

        held = self._client.post("/v1/journal/hold", {"name": self._name, "seconds": seconds}, HeldReport)
        self._due = time.monotonic() + RENEW_SECONDS
        return held.data_dir


@contextmanager
def _held(client: AdminClient) -> Iterator[_Holder]:
    from s3d.errors import S3dError

    holder = _Holder(client)
    try:
        yield holder
    finally:
        try:
            holder.release()
        except S3dError:
            pass  # it ends by itself, soon


def _of_running(wanted: "Wanted", data_dir: str) -> "Wanted":
    import msgspec

    from s3d.errors import DataDirectoryError

    if not os.access(f"{data_dir}/journal/mark", os.R_OK):
        raise DataDirectoryError(
            f"{data_dir}, which the daemon names, cannot be read here",
            hint="run this on its machine, in its container, and as its user or as root",
        )
    os.nice(BESIDE_NICENESS)
    return msgspec.structs.replace(wanted, data_dir=data_dir)


def _of_stopped(wanted: "Wanted", data_dir: str) -> "Wanted":
    import msgspec

    from s3d.cli.directory import journal_directory
    from s3d.errors import DataDirectoryError

    if os.path.basename(journal_directory(data_dir)) != "journal" or not os.path.isdir(f"{data_dir}/journal"):
        raise DataDirectoryError(f"{data_dir} is no data directory", hint="name what the directory `journal` is in")
    return msgspec.structs.replace(wanted, data_dir=os.path.abspath(data_dir))


def _show_taken(target: str, manifest: "Manifest", seconds: float, *, as_json: bool) -> None:
    if as_json:
        show_json({"backup": target, "seconds": round(seconds, 3), "manifest": manifest})
        return
    rate = f", {size_text(manifest.bytes / seconds)}/s" if seconds > 0 else ""
    show_facts(
        [
            ("backup", target, ""),
            ("records", f"up to {manifest.epoch}-{manifest.sequence}", ""),
            ("files", f"{manifest.files:,}, {size_text(manifest.bytes)}, verified", ""),
            ("took", f"{seconds:.1f} s{rate}", ""),
        ]
    )
    _show_lost(manifest)


def _show_lost(manifest: "Manifest") -> None:
    if manifest.lost:
        click.echo(f"{count_text(len(manifest.lost), 'body')} was damaged or gone before it was copied:", err=True)
        for blob in manifest.lost[:20]:
            click.echo(f"  blobs/{blob[:2]}/{blob}", err=True)


def _show_damages(damages: "list[Damage]") -> None:
    for one in damages:
        click.echo(f"{one.path} {one.what}{'; it has ' if one.holds else ''}{', '.join(one.holds)}")
    click.echo(f"{count_text(len(damages), 'file')} damaged: use another backup, if there is one.")


def _show_restored(restored: "Restored", data_dir: str, keys_to: str | None) -> None:
    click.echo(f"Restored to {data_dir} up to record {restored.manifest.epoch}-{restored.manifest.sequence}.")
    click.echo(f"Epoch {restored.identity.epoch} begins; {count_text(restored.pending, 'record')} wait for the remote.")
    if restored.let_go:
        click.echo(f"The bytes of {count_text(restored.let_go, 'object')} are at the remote, and not here.")
    click.echo("What was written after the backup is asked of the remote.")
    if restored.keys:
        where = f"are in {keys_to}" if keys_to else "are in the backup: --keys-to DIR takes them out"
        click.echo(f"Files that were taken along ({', '.join(restored.keys)}) {where}.")
    if restored.damaged:
        click.echo(f"{count_text(len(restored.damaged), 'damaged file')} left out; `s3d backup verify` says whose.")
