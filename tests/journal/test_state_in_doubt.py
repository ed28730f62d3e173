"""A state that turned out to be damaged is rebuilt while the journal runs, and the last space is kept."""

import asyncio
from typing import Any

import pytest

from journal import DiskFull, JournalError, MemoryBackend, StateBehind, StateDamaged


async def test_decision_2_a_state_that_a_reader_found_damaged_is_rebuilt_without_a_command(
    open_journal: Any, commands: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """From that moment it is not current; soon it is again, with all that was acknowledged. Many may say so at once."""
    journal = await open_journal()
    await journal.submit(commands.put("b/1", b"1"))
    keys.values["b/1"] = b"damaged"
    for _ in range(10):
        journal.distrust_state()
    assert not journal.state_is_current
    async with asyncio.timeout(60):
        while not journal.state_is_current:
            await asyncio.sleep(0.01)
    assert keys.values == {"b/1": b"1"}
    assert keys.calls.count("discard") == 1
    assert caplog.text.count("the state is damaged") == 1


async def test_decision_2_damage_found_while_deciding_takes_its_whole_batch_back(
    open_journal: Any, commands: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no refusal of one command: nothing decided on that state is kept, and the next batch finds a true one."""
    journal = await open_journal()
    await journal.submit(commands.put("b/1", b"1"))

    def decide(_state: Any) -> Any:
        raise StateDamaged("a page is malformed")

    batch = [journal.submit(command) for command in (commands.put("b/2", b"2"), decide)]
    for outcome in await asyncio.gather(*batch, return_exceptions=True):
        assert isinstance(outcome, JournalError)
    await journal.submit(commands.put("b/3", b"3"))
    assert keys.values == {"b/1": b"1", "b/3": b"3"}
    assert keys.calls.count("discard") == 1
    assert "rolled back" in caplog.text


async def test_decision_2_who_is_told_that_the_state_is_behind_knows_whether_his_operation_was_kept(
    open_journal: Any, commands: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Kept, for the batch that could not be published; not kept, for what came before the state was back."""
    journal = await open_journal()
    keys.raises["publish"] = OSError("broken")
    keys.raises["discard"] = OSError("still broken")
    with pytest.raises(StateBehind) as kept:
        await journal.submit(commands.put("b/1", b"1"))
    with pytest.raises(StateBehind) as refused:
        await journal.submit(commands.put("b/2", b"2"))
    assert (kept.value.kept, refused.value.kept) == (True, False)
    assert "could not be" in caplog.text


class Narrow(MemoryBackend):
    """A backend with nothing left but its reserve."""

    room = True

    def has_room(self) -> bool:
        return self.room


async def test_decision_16_the_last_space_is_for_essential_commands(open_journal: Any, commands: Any) -> None:
    """Others are refused before they take any of it, and are taken again as soon as there is room."""
    backend = Narrow("instance")
    journal = await open_journal(backend=backend)
    backend.room = False
    batch = [journal.submit(commands.put("b/1", b"1")), journal.submit(commands.put("b/2", b"2"), essential=True)]
    refused, kept = await asyncio.gather(*batch, return_exceptions=True)
    assert isinstance(refused, DiskFull)
    assert [record.stream for record in kept.records] == ["b/2"]  # type: ignore[union-attr]
    backend.room = True
    await journal.submit(commands.put("b/3", b"3"))
