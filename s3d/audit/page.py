"""A report of completeness as one page that can be printed: no script, nothing from the network.

Keys and messages come from clients and from the remote. All text passes `escape`, and the page's own policy forbids it
to load or to run anything, should something have got through.
"""

from collections.abc import Iterable, Sequence
from html import escape

from s3d.audit.report import Completeness, Counted, Lacking
from s3d.events import DEFAULT_REMOTE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
body { font: 10pt/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #111 }
h1 { font-size: 1.6em; margin-bottom: 0 } h2 { font-size: 1.1em; margin: 1.6em 0 .3em }
p.verdict { border: 2px solid; padding: .6em 1em; font-weight: bold }
p.complete { border-color: #2a7d2a } p.other { border-color: #b02020 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .15em .6em .15em 0; vertical-align: top }
th { border-bottom: 1px solid #888 } td { border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
.number { text-align: right; white-space: nowrap } .facts td:first-child { width: 12em; color: #555 }
@page { margin: 15mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif } }
@media print { body { margin: 0; max-width: none } tr { break-inside: avoid } }
"""
_COUNTS = ("records", "bytes", "confirmed", "superseded", "pending", "parked", "dropped", "gave_way")
_HEADS = ("Writes", "Bytes", "Confirmed", "Superseded", "Pending", "Parked", "Dropped", "Gave way")


def page(report: Completeness) -> str:
    """HTML, in UTF-8."""
    about = f"bucket {report.bucket}" if report.bucket else "all buckets"
    title = f"Completeness of {report.period}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(about)}, as of {escape(report.made)}</p>",
        _verdict(report),
        _facts(report),
        "<h2>Writes by operation and identity</h2>",
        _counts(report),
        *_lacking("Parked: a person has to act", report.parked, report.total.parked),
        *_lacking("Pending: not confirmed yet", report.pending, report.total.pending),
        *_lacking("Dropped: given up by a person", report.dropped, report.total.dropped),
        *_lacking("Gave way to somebody else's write", report.gave_way, report.total.gave_way),
        *_gaps(report),
        *_looks(report),
        *_decided(report),
        _legend(),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _verdict(report: Completeness) -> str:
    is_complete = report.verdict == "complete"
    so_far = "" if report.is_over else " so far"
    if is_complete:
        said = [f"Every write that was acknowledged in this period is at the remote{so_far}."]
    elif report.verdict == "unknown":
        said = ["It cannot be said whether everything has arrived:", *report.why]
    else:
        said = [f"Not complete{so_far}:", *report.why]
    if is_complete and not report.total.records:
        said = [f"Nothing was written in this period{' that goes to the remote' if report.local else ''}."]
    if not report.is_over:
        said.append(f"The period was not over as of {report.made}.")
    lines = "<br>".join(escape(one) for one in said)
    return f'<p class="verdict {"complete" if is_complete else "other"}">{lines}</p>'


def _facts(report: Completeness) -> str:
    rows = [
        ("From", report.since),
        ("To before", report.until),
        ("Journal", f"{report.instance}, epoch {report.epoch}"),
        *([("Told by", report.told_by)] if report.told_by else []),
        ("Records", f"{report.first} to {report.last}" if report.first else "none"),
    ]
    if report.delays is not None:
        delays = report.delays
        said = f"half in {delays.median:,.3f} s, 99 % in {delays.p99:,.3f} s, the last in {delays.worst:,.3f} s"
        rows.append(("From acknowledgement to confirmation", said))
    if report.by_bundle:
        rows.append(("By carried disk", f"{report.by_bundle:,} writes"))
    if set(report.by_remote) - {DEFAULT_REMOTE}:
        told = ", ".join(f"{count:,} at {name}" for name, count in report.by_remote.items())
        rows.append(("Confirmed by remote", told))
    if report.local:
        rows.append(
            ("In buckets that stay local", f"{report.local:,} writes, {report.local_bytes:,} bytes: not counted")
        )
    if report.conflicts:
        told = ", ".join(f"{count:,} decided {decided}" for decided, count in report.conflicts.items())
        rows.append(("Conflicts", told))
    if report.sent_again:
        rows.append(("Sent again by the gap audit", f"{report.sent_again:,}, of which {report.healed:,} arrived"))
    if report.strays:
        rows.append(("Not counted", f"{report.strays:,} writes in between whose time is outside: a clock was set"))
    rows.append(("Oldest record retained", report.retained_first or "none"))
    if report.read_last:
        rows.append(("Chain verified", f"{report.read_first} to {report.read_last}, {report.head_hash}"))
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{body}</table>'


def _counts(report: Completeness) -> str:
    rows = [[one.operation, one.identity or "anonymous", *_numbers(one)] for one in report.counted]
    return _table(("Operation", "Identity", *_HEADS), [*rows, ["All", "", *_numbers(report.total)]], texts=2)


def _numbers(counted: Counted) -> list[str]:
    return [f"{getattr(counted, name):,}" for name in _COUNTS]


def _lacking(title: str, lacking: Sequence[Lacking], count: int) -> Iterable[str]:
    if not count:
        return
    yield f"<h2>{escape(title)}</h2>"
    if count > len(lacking):
        yield f"<p>The oldest {len(lacking):,} of {count:,}.</p>"
    heads = ("Record", "Written", "Operation", "Key", "Bytes", "Identity", "Why", "By", "Since")
    yield _table(
        heads,
        [
            [
                one.seq,
                one.at,
                one.operation,
                f"{one.bucket}/{one.key}" if one.key else one.bucket,
                f"{one.bytes:,}",
                one.identity or "anonymous",
                one.why,
                one.by,
                one.since,
            ]
            for one in lacking
        ],
        texts=len(heads),
    )


def _gaps(report: Completeness) -> Iterable[str]:
    if report.gaps is None:
        yield "<h2>Gaps</h2><p>No daemon was asked what the remote has lost since.</p>"
    elif report.gaps:
        yield "<h2>Gaps: lost or changed at the remote since it confirmed them</h2>"
        rows = [[one.seq, f"{one.bucket}/{one.key}", one.kind, one.confirmed, one.seen] for one in report.gaps]
        yield _table(("Record", "Key", "What", "Confirmed", "Seen so"), rows, texts=5)


def _looks(report: Completeness) -> Iterable[str]:
    yield "<h2>What the gap audit verified in this period</h2>"
    if not report.looks:
        latest = report.latest_look
        before = f"; the last one known ended {escape(latest.ended)}" if latest is not None else ""
        yield f"<p>No look ended in this period{before}.</p>"
        return
    if report.looks_count > len(report.looks):
        yield f"<p>The last {len(report.looks):,} of {report.looks_count:,} looks.</p>"
    rows = [[one.began, one.ended, f"{one.keys:,}", f"{one.gaps:,}", f"{one.mended:,}"] for one in report.looks]
    yield _table(("Began", "Ended", "Keys", "Different", "Sent again"), rows, texts=2)


def _decided(report: Completeness) -> Iterable[str]:
    yield "<h2>Decided by people in this period</h2>"
    if not report.decided:
        yield "<p>Nothing.</p>"
        return
    if report.decided_count > len(report.decided):
        yield f"<p>The oldest {len(report.decided):,} of {report.decided_count:,}.</p>"
    heads = ("Record", "When", "What", "Who", "Claimed", "About", "Said")
    rows = [[one.seq, one.at, one.event, one.who, one.claimed, one.about, one.says] for one in report.decided]
    yield _table(heads, rows, texts=len(heads))


def _legend() -> str:
    return (
        "<h2>Words</h2><p><b>Confirmed</b>: the remote answered that it has it. <b>Superseded</b>: a later write of "
        "the same key went in its place, and is confirmed. <b>Pending</b>: durable at the edge, on its way. "
        "<b>Parked</b>: refused by the remote. <b>Who</b>: proved by an operator's token; <i>admin</i> is anybody at "
        "the machine. <b>Claimed</b>: what the command said of itself. <b>Chain verified</b>: each of these records "
        "carries the hash of the one before it; the last hash stands for all of them. Times are UTC.</p>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int) -> str:
    def cell(tag: str, at: int, value: str) -> str:
        kind = ' class="number"' if at >= texts else ""
        return f"<{tag}{kind}>{escape(value)}</{tag}>"

    head = "".join(cell("th", at, value) for at, value in enumerate(heads))
    body = "".join(f"<tr>{''.join(cell('td', at, value) for at, value in enumerate(row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
