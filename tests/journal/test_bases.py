"""The base: what stands for files that were dropped."""

import os
from typing import Any

import pytest
from rotating_journals import BODY, base_of, drop_first, rotating

from journal import (
    BaseInfo,
    Entry,
    Journal,
    JournalDamaged,
    JournalError,
    StreamChanged,
)

# the base


async def test_decision_6_a_state_is_the_base_and_what_follows_it(
    directory: str, keys: Any, open_journal: Any, commands: Any
) -> None:
    """Dropped records are in the base; one base is kept; the state is restored at start and after a repair."""
    journal: Journal = await open_journal(backend=rotating(directory))
    for number in range(1, 21):
        await journal.submit(commands.put(f"b/{number}", b"%d" % number, body=BODY, body_size=len(BODY)))
    for position in (10, 20):
        state = type(keys)()
        state.values = {f"b/{n}": b"%d" % n for n in range(1, position + 1)}
        await journal.record_base(base_of(journal._backend, position, state.snapshot()))  # type: ignore[arg-type]
    assert journal.base() is not None
    assert "base-10" not in os.listdir(directory)
    await journal.drop(1)
    await journal.drop(2)
    await journal.submit(commands.put("b/21", b"21"))
    keys.raises["publish"] = OSError("the view is broken")
    with pytest.raises(JournalError):
        await journal.submit(commands.put("b/22", b"22"))
    await journal.submit(commands.put("b/23", b"23"))
    assert keys.calls.count("restore") == 1
    expected = {f"b/{n}": b"%d" % n for n in range(1, 24)}
    assert keys.values == expected
    await journal.close()
    fresh = type(keys)()
    await open_journal(state=fresh, backend=rotating(directory))
    assert fresh.values == expected
    assert fresh.calls[0] == "restore"


@pytest.mark.parametrize("damage", ["changed", "missing", "unreadable by the state"])
async def test_a_base_that_cannot_be_used_is_damage_only_to_a_state_that_needs_it(
    directory: str, keys: Any, open_journal: Any, commands: Any, damage: str
) -> None:
    """A state that is far enough opens; one that is not says what is wrong, and removes no other base."""
    await drop_first(await open_journal(backend=rotating(directory)), keys, commands)
    open(f"{directory}/base-other", "wb").close()
    fresh = type(keys)()
    match damage:
        case "changed":
            with open(f"{directory}/base-12", "ab") as file:
                file.write(b" ")
        case "missing":
            os.unlink(f"{directory}/base-12")
        case _:
            fresh.raises["restore"] = ValueError("another version's")
    with pytest.raises(JournalDamaged) as caught:
        await open_journal(state=fresh, backend=rotating(directory))
    assert "base" in str(caught.value)
    assert os.path.exists(f"{directory}/base-other") == (damage == "missing")
    assert (await open_journal(backend=rotating(directory))).head.sequence == 12


async def test_a_base_that_is_not_what_it_says_is_refused(directory: str, open_journal: Any, commands: Any) -> None:
    """Another hash, another file, no file, a name of somebody else's, a position that goes back or is not there."""
    journal: Journal = await open_journal(backend=rotating(directory))
    for number in range(1, 13):
        await journal.submit(commands.put(f"b/{number}", b"%d" % number, body=BODY, body_size=len(BODY)))
    good = base_of(journal._backend, 9)  # type: ignore[arg-type]
    early = base_of(journal._backend, 8)  # type: ignore[arg-type]
    for wrong in (
        BaseInfo(9, bytes(32), good.name, good.sha256),
        BaseInfo(10, good.hash, good.name, good.sha256),
        BaseInfo(99, good.hash, good.name, good.sha256),
        BaseInfo(9, good.hash, good.name, bytes(32)),
        BaseInfo(9, good.hash, "base-none", good.sha256),
        BaseInfo(9, good.hash, "mark", good.sha256),
        BaseInfo(9, good.hash, "base-/../mark", good.sha256),
    ):
        with pytest.raises(JournalError):
            await journal.record_base(wrong)
    assert journal.base() is None
    await journal.record_base(good)
    with pytest.raises(JournalError, match="older"):
        await journal.record_base(early)
    assert journal.base() == good


async def test_positions_before_the_first_record_are_refused(
    directory: str, keys: Any, open_journal: Any, commands: Any
) -> None:
    """Whoever has not seen what was dropped cannot be told whether a stream has changed, nor go on as if it had not."""
    await drop_first(await open_journal(backend=rotating(directory)), keys, commands)
    journal: Journal = await open_journal(backend=rotating(directory))
    first = journal.files()[0].first
    entry = Entry("b/new", "Put", b"{}")
    with pytest.raises(StreamChanged, match="gone"):
        await journal.append([entry], unless_changed_since=(["b/never"], first - 2))
    await journal.append([entry], unless_changed_since=(["b/never"], first - 1))
    with pytest.raises(JournalError, match="dropped"):
        await journal.follow("late").next()
