"""What is let go of when the volume is narrow: in order, as much as is missing, and never what is pending."""

from hypothesis import given
from hypothesis import strategies as st

from s3d.capacity.volume import Bounds, LetGo, Usage, decide, left_free_bytes, reserve_bytes, spare_bytes, units_for

sizes = st.integers(0, 10**6)
usages = st.builds(Usage, sizes, sizes, sizes)
bounds = st.builds(Bounds, sizes, sizes)


@given(usages, bounds)
def test_as_much_as_is_missing_and_the_cache_first(usage: Usage, bounds: Bounds) -> None:
    """By what the directory takes, or by what others have left: whichever misses more."""
    wanted = decide(usage, bounds)
    missing = max(0, usage.used - bounds.volume, bounds.reserve - usage.free)
    assert wanted.cached_bytes + wanted.body_bytes == missing
    assert wanted.cached_bytes <= usage.cached
    assert wanted.body_bytes == 0 or wanted.cached_bytes == usage.cached, "bodies go when nothing cached is left"


@given(usages, bounds)
def test_what_was_let_go_of_is_enough(usage: Usage, bounds: Bounds) -> None:
    """Once it is gone nothing more is asked for: it does not go on by itself."""
    wanted = decide(usage, bounds)
    gone = wanted.cached_bytes + wanted.body_bytes
    after = Usage(usage.used - gone, usage.free + gone, usage.cached - wanted.cached_bytes)
    assert decide(after, bounds) == LetGo()


@given(st.lists(st.integers(1, 100), max_size=50), st.integers(0, 3000))
def test_the_last_unit_is_the_only_one_beyond_what_is_needed(found: list[int], needed: int) -> None:
    """Enough, if there is enough, and without the last one it would not be."""
    number = units_for(found, needed)
    assert sum(found[:number]) >= needed or number == len(found)
    assert number == 0 or sum(found[: number - 1]) < needed


@given(usages, bounds)
def test_there_is_room_where_nothing_has_to_go_but_cached_reads(usage: Usage, bounds: Bounds) -> None:
    """What may still be written is what is left when the cache gives way."""
    spare = spare_bytes(usage, bounds)
    after = Usage(usage.used + spare, usage.free - spare, usage.cached)
    if spare:
        assert decide(after, bounds).body_bytes == 0
        assert decide(Usage(after.used + 1, after.free - 1, after.cached), bounds).body_bytes == 1


def test_the_reserve_of_a_small_volume_is_a_twentieth() -> None:
    """256 MiB of a large one; twice the ballast is left free where that is more, and never more than a half."""
    mib = 2**20
    assert [reserve_bytes(size * mib) // mib for size in (2**20, 2000, 100)] == [256, 100, 5]
    assert [left_free_bytes(size * mib, 32 * mib) // mib for size in (2**20, 2000, 1000, 100)] == [256, 100, 64, 50]
