"""`s3d restore`: keys become again what they were, as new records."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK
from s3d.cli.identity import login
from s3d.cli.options import admin, as_json
from s3d.cli.progress import progress
from s3d.cli.showing import count_text, printable, show_json, show_table, size_text
from s3d.errors import S3dError

if TYPE_CHECKING:
    from s3d.cli.past import Told
    from s3d.cli.past_sources import Past
    from s3d.history.past import Place
    from s3d.history.plan import Step

SHOWN_MAX = 100


class Plan(NamedTuple):
    """What is to be done, and what cannot be; `kept` keys are as they were."""

    steps: Sequence["Step"]
    lost: Sequence["Step"]
    unknown: Sequence[str]
    kept: int

    @property
    def is_whole(self) -> bool:
        """Whether everything will be as it was."""
        return not (self.lost or self.unknown)


@click.command(short_help="Make a key, or a prefix, what it was before.")
@click.argument("place", metavar="BUCKET/KEY")
@click.option("--at", required=True, metavar="SEQ|TIME", help="As it was right after this record, or at this time.")
@click.option("--prefix", "is_prefix", is_flag=True, help="Every key that begins with KEY (or BUCKET alone: all).")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.option("--yes", is_flag=True, help="With --prefix: do not ask.")
@admin
@as_json
def restore(
    client: AdminClient,
    place: str,
    at: str,
    is_prefix: bool,  # noqa: FBT001 - click's way of passing a flag
    dry_run: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> int:
    """Write back what was under a key: the old bytes with their headers, metadata and tags, or a deletion where there
    was nothing. It is a write like any other: durable, sent to the remote, and in the journal with who had it done.

    What was there until now stays in the journal, and can be restored in its turn.
    """
    from s3d.cli.past import told_past
    from s3d.history.past import Place

    bucket, _, key = place.partition("/")
    if not bucket or not (key or is_prefix):
        raise click.UsageError(f"{place!r} is not BUCKET/KEY: a whole bucket goes with --prefix")
    with told_past(client, None, at, Place(bucket, key), with_now=True) as told:
        plan = _plan(told, Place(bucket, key), is_prefix=is_prefix)
        if not as_json and (is_prefix or dry_run):
            _show(told, bucket, plan)
        done: list[str] = []
        if plan.steps and not dry_run:
            if is_prefix and not yes:
                _ask(plan)
            done = _carry_out(client, told, bucket, plan.steps)
        _tell(told, bucket, plan, done, as_json=as_json)
    return OK if plan.is_whole else FAILED


def _plan(told: "Told[Past]", place: "Place", *, is_prefix: bool) -> Plan:
    """Raises S3dError where the bucket was not there, or the one key is unknown or its bytes are gone."""
    from s3d.cli.past import not_here, object_then
    from s3d.cli.past_sources import PastObject
    from s3d.history.namespace import check_bucket, keys_of_both, state_of
    from s3d.history.plan import step_for
    from s3d.view.rows import ObjectRow

    then, now = told.questions, told.now
    assert now is not None, "both were folded"
    check_bucket(then, place.bucket)
    steps: list[Step] = []
    lost: list[Step] = []
    unknown: list[str] = []
    kept = 0
    keys: Iterable[str] = keys_of_both(then, now, place) if is_prefix else [place.prefix]
    for key in keys:
        state = state_of(then, place.bucket, key)
        step = step_for(key, state, now.object(place.bucket, key))
        if step.action == "unknown":
            if not is_prefix:
                object_then(told, place.bucket, key)  # says why
            unknown.append(key)
        elif step.action == "keep":
            kept += 1
        elif isinstance(state, ObjectRow) and not told.source.has_body(
            wanted := PastObject(place.bucket, key, state, then.relocated)
        ):
            if not is_prefix:
                raise not_here(told, wanted)
            lost.append(step)
        else:
            steps.append(step)
    return Plan(steps, lost, unknown, kept)


def _ask(plan: Plan) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("this changes many keys: look at it with --dry-run, then say --yes")
    click.confirm(f"Write {count_text(len(plan.steps), 'key')}?", abort=True, err=True)


def _carry_out(client: AdminClient, told: "Told[Past]", bucket: str, steps: Sequence["Step"]) -> list[str]:
    """The new records, in order. Raises S3dError for the first that cannot be; what was done until then stays."""
    from s3d.telemetry.journal_pages import RestoredReport, RestoreRequest
    from s3d.telemetry.report import format_sequence

    epoch, by = told.source.epoch, login(os.environ)
    done: list[str] = []
    with progress("restoring", in_bytes=False) as bar:
        advance = bar(len(steps))
        for step in steps:
            wanted = RestoreRequest(
                bucket,
                step.key,
                format_sequence(epoch, told.sequence),
                format_sequence(epoch, step.made),
                step.tagging,
                format_sequence(epoch, step.seen),
                by,
            )
            try:
                done.append(client.post("/v1/restore", wanted.as_document(), RestoredReport).seq)
            except S3dError as error:
                before = f"; {count_text(len(done), 'key')} before it had been written back" if done else ""
                raise S3dError(f"{bucket}/{step.key}: {error.message.rstrip('.')}{before}", hint=error.hint) from None
            advance(1)
    return done


def _show(told: "Told[Past]", bucket: str, plan: Plan) -> None:
    rows: list[Sequence[str]] = [
        (step.action, size_text(step.size) if step.made else "", step.key, "") for step in plan.steps
    ]
    rows += [("cannot", size_text(step.size), step.key, "its bytes are not here any more") for step in plan.lost]
    rows += [("cannot", "", key, "others may have written it: not known here") for key in plan.unknown]
    if rows:
        show_table(("ACTION", "SIZE", "KEY", "WHY NOT"), rows[:SHOWN_MAX])
    if len(rows) > SHOWN_MAX:
        click.echo(f"… and {count_text(len(rows) - SHOWN_MAX, 'key')} more; --json names all.", err=True)
    click.echo(
        f"{printable(bucket)} as of record {told.moment}: {count_text(plan.kept, 'key')} need nothing.", err=True
    )


def _tell(told: "Told[Past]", bucket: str, plan: Plan, done: Sequence[str], *, as_json: bool) -> None:
    from s3d.telemetry.report import format_sequence

    if as_json:
        epoch = told.source.epoch
        document = {
            "as_of": format_sequence(epoch, told.sequence),
            "bucket": bucket,
            "steps": [
                {
                    "key": step.key,
                    "action": step.action,
                    "made_by": format_sequence(epoch, step.made) if step.made else "",
                    "size": step.size,
                    "seq": seq,
                }
                for step, seq in zip(plan.steps, done or [""] * len(plan.steps), strict=True)
            ],
            "not_here": [step.key for step in plan.lost],
            "unknown": list(plan.unknown),
            "kept": plan.kept,
        }
        show_json(document)
    elif len(done) == 1 == len(plan.steps):
        what = "deleted" if plan.steps[0].action == "delete" else "written back"
        click.echo(f"{printable(bucket)}/{printable(plan.steps[0].key)} is {what}: record {done[0]}.")
    elif done:
        click.echo(f"{count_text(len(done), 'key')} written back: records {done[0]} to {done[-1]}.")
    elif not plan.steps and plan.is_whole:
        click.echo("Nothing to do: it is as it was.")
