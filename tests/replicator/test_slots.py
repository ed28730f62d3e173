"""Turns, oldest record first."""

import asyncio

from s3d.replicator.slots import Slots


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_oldest_waits_least() -> None:
    """Whatever the order in which they asked."""
    slots = Slots(1, lambda: None)
    slots.take_now()
    turns: list[int] = []

    async def turn(sequence: int) -> None:
        await slots.take(sequence)
        turns.append(sequence)
        slots.give()

    async with asyncio.TaskGroup() as group:
        for sequence in (5, 3, 4):
            group.create_task(turn(sequence))
        await _settle()
        slots.give()
    assert turns == [3, 4, 5]
    assert slots.in_use == 0


async def test_a_cancelled_wait_loses_no_slot() -> None:
    """Neither while it waits nor in the moment when the slot was handed to it."""
    freed: list[bool] = []
    slots = Slots(1, lambda: freed.append(True))
    slots.take_now()
    waiting = asyncio.create_task(slots.take(1))
    await _settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    handed = asyncio.create_task(slots.take(2))
    await _settle()
    slots.give()
    handed.cancel()
    await asyncio.gather(handed, return_exceptions=True)
    assert (slots.in_use, freed) == (0, [True])
