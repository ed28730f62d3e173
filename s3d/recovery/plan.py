"""What a recovery does, decided from a look before any of it is done: the least that makes the directory sound. Pure.

A plan is a file that people read, and the memory of a recovery that was interrupted: its steps are done in order, each
can be done twice, and `done` counts those that are behind it.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from s3d.errors import DataDirectoryError
from s3d.recovery.findings import Named, lost_records
from s3d.recovery.look import Look

SET_ASIDE = "set-aside"
UNPROVEN = "unproven"  # below it: what can still be read of lost records
Action = Literal["set-aside-view", "write-journal", "write-mark", "fold", "set-aside-bodies"]


class Step(msgspec.Struct, frozen=True):
    """One step: what is done, and why."""

    action: Action
    what: str
    why: str


class Loss(msgspec.Struct, frozen=True, omit_defaults=True):
    """Records that cannot be saved, and what is known of them."""

    first: int
    last: int
    named: tuple[Named, ...] = ()


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """What is done about a data directory. `made_at` also names the directory below `set-aside` for the old files.

    `head` is the journal's last record when it is done, before the record that says so. `base_of_view`: the view's
    state becomes the base, because records that it has seen are lost. `caller` is who had it made.
    """

    version: int = 1
    made_at: str = ""
    data_dir: str = ""
    caller: str = ""
    instance: str = ""
    epoch: int = 1
    new_epoch: bool = False
    head: int = 0
    base_of_view: bool = False
    steps: tuple[Step, ...] = ()
    losses: tuple[Loss, ...] = ()
    damaged_bodies: tuple[Named, ...] = ()
    done: int = 0

    @property
    def set_aside(self) -> str:
        """Where what is replaced is moved to, below the data directory."""
        return f"{SET_ASIDE}/{self.made_at}"


def make_plan(look: Look, made_at: str, caller: str) -> Plan:
    """The plan; without steps where nothing has to be done. Raises DataDirectoryError where nothing can be."""
    journal = look.journal
    if journal.hopeless:
        raise DataDirectoryError(journal.hopeless, hint=journal.hint)
    assert journal.identity is not None, "who it is can be read, or it is hopeless"
    assert journal.catalogue is not None, "and what its files are"
    losses = tuple(
        Loss(hole.first, hole.last, lost_records(look, (hole,)))
        for file in journal.files
        for hole in (file.chosen.holes if file.chosen is not None else ())
    )
    base_is_needed = bool(journal.base_trouble and journal.catalogue.oldest.sequence)
    base_of_view = look.view.state == "sound" and (base_is_needed or bool(losses)) and _is_base_able(look)
    if base_is_needed and not base_of_view:
        raise DataDirectoryError(
            f"{journal.base_trouble}, and records 1 to {journal.catalogue.oldest.sequence} were dropped",
            hint="restore a backup; `s3d replay` needs the base as well",
        )
    plan = Plan(
        made_at=made_at,
        data_dir=look.data_dir,
        caller=caller,
        instance=journal.identity.instance,
        epoch=journal.identity.epoch,
        new_epoch=bool(losses or journal.mark_trouble),
        head=journal.head.sequence,
        base_of_view=base_of_view,
        losses=losses,
    )
    return msgspec.structs.replace(plan, steps=tuple(_steps(look, plan, base_is_needed=base_is_needed)))


def _is_base_able(look: Look) -> bool:
    """Whether the view can be bound to a record of the active file as it will be written."""
    active = look.journal.files[-1]
    return active.origin.sequence <= look.view.position <= look.journal.head.sequence


def _steps(look: Look, plan: Plan, *, base_is_needed: bool) -> Iterator[Step]:
    journal = look.journal
    write = journal.damaged or base_is_needed
    if not (write or journal.mark_trouble or look.view.state == "damaged"):
        return
    if write:
        names = ", ".join(file.name for file in journal.files if file.trouble)
        what = f"write {names} anew with every record that is whole" if names else "make a base of the view"
        yield Step("write-journal", what, _why(plan))
    elif journal.mark_trouble:
        yield Step("write-mark", "write a new mark, and begin a new epoch", f"the mark is {journal.mark_trouble}")
    if look.view.state == "damaged" or plan.new_epoch:
        why = f"it is damaged: {look.view.why}" if look.view.state == "damaged" else "it is of the epoch before"
        yield Step("set-aside-view", "put view.db aside", why)
    yield Step(
        "fold", "open the journal, fold the view, and record this recovery", "so that the next start has nothing to do"
    )
    if plan.losses:
        yield Step(
            "set-aside-bodies", "put bodies aside that nothing names any more", "they may be those of lost records"
        )


def _why(plan: Plan) -> str:
    if not plan.losses:
        return "no record is lost"
    count = sum(loss.last - loss.first + 1 for loss in plan.losses)
    lost = "1 record" if count == 1 else f"{count} records"
    return (
        f"{lost} cannot be saved, and the journal says so; what can be read of it goes to {plan.set_aside}/{UNPROVEN}"
    )
