"""`s3d cache status`, `pin`, `unpin`, `evict`: what is here of the remote, what stays, and what goes now."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import OK
from s3d.cli.objects import endpoint, keys
from s3d.cli.options import admin, as_json
from s3d.cli.showing import age_text, count_text, printable, show_facts, show_json, show_table, size_text
from s3d.cli.warming import parse_place, show_warmed, warm_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3d.cli.store import Store
    from s3d.telemetry.caching import CacheReport, EvictedPage, Kept, PinChanged, PlaceReport

COUNT_SECONDS = 60.0  # a million objects on a slow disk
_KEPT = {
    "unsent": "the remote does not have it yet",
    "local": "its bucket stays here",
    "pinned": "pinned, see `s3d cache unpin`",
    "journal": "small, in the journal's own files, which go by themselves",
}


@click.command(short_help="Show what is here of what the remote has.")
@click.argument("place", metavar="[BUCKET[/PREFIX]]", default="")
@admin
@as_json
def status(client: AdminClient, place: str, as_json: bool) -> None:  # noqa: FBT001 - click's way of passing a flag
    """Show the cache by bucket, or of one bucket or prefix, and what is pinned.

    WRITTEN HERE are files of objects that went through this daemon and that the remote has by now: they are let go of
    when the volume becomes narrow, after everything that is cached. PINNED of both stays.
    """
    from s3d.telemetry.caching import CacheReport

    found = client.get("/cache", CacheReport, {"place": place} if place else {}, patience_seconds=COUNT_SECONDS)
    if as_json:
        show_json(found)
        return
    show_facts(_facts(found))
    if found.places:
        click.echo()
        columns = ["PLACE", "OBJECTS", "CACHED", "PIECES", "WRITTEN HERE", "PINNED", "UNUSED FOR"]
        show_table(columns, [_place(one) for one in found.places])
    if found.pins:
        click.echo()
        rows = [[pin.place, size_text(pin.bytes), pin.since, pin.caller, pin.reason] for pin in found.pins]
        show_table(["PIN", "HERE", "SINCE", "BY", "REASON"], rows)


@click.command(short_help="Keep what is here of a prefix.")
@click.argument("place", metavar="BUCKET[/PREFIX]")
@click.option("--warm", "is_warmed", is_flag=True, help="Read everything under it once, too, so that it is here.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever asks later; kept in the journal.")
@admin
@endpoint
@as_json
def pin(client: AdminClient, store: "Store", place: str, is_warmed: bool, reason: str, as_json: bool) -> int:  # noqa: FBT001
    """Keep what is here of a bucket, or of the keys that begin with a prefix, and what comes to be here of it later.

    Pins may hold a share of the cache's capacity (cache.pinned_share_max): one that would need more is refused.
    """
    from s3d.telemetry.caching import PinChanged

    bucket, prefix = parse_place(place)
    if not is_warmed:
        changed = client.post("/cache/pin", {"place": place, "reason": reason}, PinChanged)
        if as_json:
            show_json(changed)
        else:
            _show_pinned(changed)
        return OK
    with store:
        rows, notes = keys(store, bucket, prefix, "")
        size = sum(size for size, _, _ in rows)
        changed = client.post("/cache/pin", {"place": place, "reason": reason, "bytes": size}, PinChanged)
        if not as_json:
            click.echo(f"Pinned {printable(changed.place)}.")
        return show_warmed(warm_up(store, place, bucket, rows, notes), as_json=as_json)


@click.command(short_help="Let a prefix be recycled again.")
@click.argument("place", metavar="BUCKET[/PREFIX]")
@admin
@as_json
def unpin(client: AdminClient, place: str, as_json: bool) -> None:  # noqa: FBT001
    """Take back a pin of exactly this bucket or prefix. Nothing goes at once: that is `s3d cache evict`."""
    from s3d.telemetry.caching import PinChanged

    parse_place(place)
    changed = client.post("/cache/unpin", {"place": place}, PinChanged)
    if as_json:
        show_json(changed)
        return
    click.echo(f"{printable(changed.place)} is not pinned any more." if changed.changed else "It was not pinned.")
    for other in changed.held_by:
        click.echo(f"It is held by the pin of {printable(other)} all the same.")


@click.command(short_help="Let go of what is here of a prefix now.")
@click.argument("place", metavar="BUCKET[/PREFIX]")
@admin
@as_json
def evict(client: AdminClient, place: str, as_json: bool) -> None:  # noqa: FBT001
    """Let go of what is here of a bucket or prefix, as far as the remote has it too and it is not pinned.

    Objects stay listed, and are fetched again when they are read.
    """
    from s3d.telemetry.caching import EvictedPage

    parse_place(place)
    found = _evict(lambda after: client.post("/cache/evict", {"place": place, "after": after}, EvictedPage))
    if as_json:
        show_json(found)
        return
    click.echo(f"Let go of {count_text(found.objects, 'object')}, {size_text(found.bytes)}.")
    for kept in found.kept:
        what = f"{count_text(kept.objects, 'object')}, {size_text(kept.bytes)}"
        click.echo(f"Kept {what}: {_KEPT[kept.why]}.")


def _evict(ask: "Callable[[str], EvictedPage]") -> "EvictedPage":
    """All pages in one."""
    from s3d.telemetry.caching import EvictedPage

    objects = size = 0
    kept: dict[str, Kept] = {}
    page = ask("")
    while True:
        objects, size = objects + page.objects, size + page.bytes
        for one in page.kept:
            kept[one.why] = _sum(kept.get(one.why), one)
        if not page.next:
            return EvictedPage(objects, size, tuple(kept.values()))
        page = ask(page.next)


def _sum(before: "Kept | None", more: "Kept") -> "Kept":
    from s3d.telemetry.caching import Kept

    return more if before is None else Kept(more.why, before.objects + more.objects, before.bytes + more.bytes)


def _show_pinned(changed: "PinChanged") -> None:
    if not changed.changed:
        click.echo(f"{printable(changed.place)} was pinned already.")
    elif not changed.objects:
        click.echo(f"Pinned {printable(changed.place)}. Nothing of it could be let go of now; what comes stays.")
    else:
        what = f"{count_text(changed.objects, 'object')}, {size_text(changed.bytes)}"
        click.echo(f"Pinned {printable(changed.place)}: {what}, are here and stay.")


def _facts(found: "CacheReport") -> list[tuple[str, str, str]]:
    counts = found.counts
    reads = counts.hits + counts.misses
    hits = f"{count_text(reads, 'read')} since {found.counted_since}"
    if reads:
        hits = f"{100 * counts.hits / reads:.0f} % of {hits} needed nothing from the remote"
    facts = [("cached", f"{size_text(found.bytes)} of {size_text(found.capacity_bytes)}", ""), _pinned(found)]
    if found.tagged:
        facts.append(("", f"{count_text(found.tagged, 'object')} by the tag s3d.cache=pin", ""))
    facts.append(("reads", hits, ""))
    if counts.mismatches:
        what = f"{count_text(counts.mismatches, 'object')} arrived with other bytes than announced, and were not kept"
        facts.append(("damaged", what, "red"))
    return facts


def _pinned(found: "CacheReport") -> tuple[str, str, str]:
    text = f"{size_text(found.pinned_bytes)} of at most {size_text(found.pinned_max_bytes)} that are kept"
    if found.pinned_bytes > found.pinned_max_bytes:
        return "pinned", f"{text}: what is beyond goes when room is needed", "red"
    return "pinned", text, ""


def _place(one: "PlaceReport") -> list[str]:
    return [
        one.place,
        f"{one.cached_objects + one.written_objects:,}",
        size_text(one.cached_bytes),
        f"{one.pieces:,}",
        size_text(one.written_bytes),
        size_text(one.pinned_bytes),
        age_text(one.unused_seconds) if one.unused_seconds is not None else "",
    ]
