"""One drill: a site writes, its link is cut, it is killed, its disk flips bits; somebody follows the pages elsewhere.

What has to come of it: the remote has every acknowledged byte that is whole on the disk, nothing that nobody wrote, and
the report names the rest. A second replay changes nothing. An honest export is verified, a forged one refused.
"""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from live import LiveDaemon, wait_until
from peers.fault_proxy import FaultProxy

from . import page
from .auditing import Auditor
from .flipping import flip
from .judging import Judgement, judge
from .ledger import Client, Ledger, door, merged, read_remote, together
from .shells import Ran, Shell
from .touched import Touched, touched

ANCHORS = "audit-anchors"  # as docs/audit.md calls it
COPY, REPORT = "rescued", "site.json"  # as docs/recovery.md calls them
THE_PART = "The machine is dead, and its disk is damaged"
SITE = """
[remote]
endpoint = "{remote}"
access_key = "any"
secret_key = "any-secret"
backoff_seconds_max = 1
sender = "{sender}"
[audit]
anchor_bucket = "{anchors}"
[journal]
file_bytes_max = 262144
keep_unsealed_bytes = 262144
ballast_bytes = 0
"""
ShellAt = Callable[[Path, str], Shell]  # in a directory, on the machine of a daemon with this admin listener


@dataclass
class Drilled:
    """What came of one drill: counts of writes, flips, keys, forgeries; what was wrong, and what was typed."""

    seed: int
    writes: int = 0
    flips: int = 0
    records_hit: int = 0
    bodies_hit: int = 0
    told: Judgement = field(default_factory=Judgement)
    forgeries: int = 0
    wrong: list[str] = field(default_factory=list)
    typed: list[Ran] = field(default_factory=list)

    @property
    def everything_wrong(self) -> list[str]:
        """All that should not be."""
        return [*self.wrong, *self.told.wrong]


@dataclass(frozen=True)
class Killed:
    """What is left of a site, and what its clients know."""

    directory: Path
    ledger: Ledger
    buckets: tuple[str, ...]


def drill(
    place: Path,
    far: LiveDaemon,
    seed: int,
    shell_at: ShellAt,
    *,
    writers: int = 3,
    writes: int = 90,
    sender: str = "process",
    upload: bool = True,
) -> Drilled:
    """Do it once, with `far` as the remote; `writes` are acknowledged before the kill, half of them before the cut.

    `upload`: there is one in two parts, of 5 MiB.
    """
    result, desk, elsewhere = Drilled(seed), place / "desk", place / "elsewhere"
    desk.mkdir()
    elsewhere.mkdir()
    auditor = Auditor(desk, far.url, seed, result)
    with _site(place, far, sender) as (site, proxy):
        shell = shell_at(desk, site.admin)
        plan = Plan(seed, writers, writes, upload)
        killed = _written_and_killed(site, proxy, far, plan, lambda: auditor.follow_page(site, shell), result)
    shutil.copytree(killed.directory, elsewhere / "disk")  # nothing else of the site is left
    flips = flip(elsewhere / "disk", Random(f"{seed}-flips"))
    hit = touched(killed.directory, flips, place / "scratch")
    result.flips = sum(map(len, flips.values()))
    result.records_hit, result.bodies_hit = len(hit.records), len(hit.bodies)
    shell, evidence = shell_at(elsewhere, ""), _digest_of(elsewhere / "disk")
    if _follow_recovery(elsewhere, far, killed, hit, shell, result):
        auditor.look_at_what_is_left(elsewhere, COPY, hit, shell)
    if _digest_of(elsewhere / "disk") != evidence:
        result.wrong.append("what is evidence was changed")
    return result


def _digest_of(directory: Path) -> str:
    """Every name and byte below it."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        digest.update(f"{path.relative_to(directory)}".encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


@dataclass(frozen=True)
class Plan:
    """What is written: so many writes by so many clients, and perhaps large uploads."""

    seed: int
    writers: int
    writes: int
    upload: bool


@contextmanager
def _site(place: Path, far: LiveDaemon, sender: str) -> Iterator[tuple[LiveDaemon, FaultProxy]]:
    proxy = FaultProxy("127.0.0.1", far.port)
    site = LiveDaemon(place / "site", auth=False, config=SITE.format(remote=proxy.url, sender=sender, anchors=ANCHORS))
    try:
        yield site.start(), proxy
    finally:
        with suppress(AssertionError):  # it may never have been started
            site.kill()
        proxy.close()


def _written_and_killed(
    site: LiveDaemon,
    proxy: FaultProxy,
    far: LiveDaemon,
    plan: Plan,
    audit: Callable[[], None],
    result: Drilled,
) -> Killed:
    clients = [Client(site.url, number, plan.seed) for number in range(plan.writers)]
    early, late = [f"drill-{plan.seed}-a", f"drill-{plan.seed}-b"], f"drill-{plan.seed}-offline"

    def acknowledged(part: float) -> bool:
        return sum(one.acknowledged for one in clients) >= plan.writes * part

    def until(part: float, threads: Sequence[threading.Thread]) -> None:
        wait_until(lambda: acknowledged(part) or not any(one.is_alive() for one in threads))

    _make(far, ANCHORS)
    for bucket in early:
        _make(site, bucket)
    if plan.upload:
        clients[0].upload(early[0])
    _joined(together(clients, early, lambda: acknowledged(0.25)))
    audit()
    threads = together(clients, early, lambda: acknowledged(0.6))
    until(0.5, threads)
    proxy.refuse()
    _joined(threads)
    _make(site, late)
    if plan.upload:
        clients[-1].upload(late)
    threads = together(clients, [*early, late], lambda: False)
    until(1, threads)
    site.kill()
    _joined(threads)
    result.writes = sum(one.acknowledged for one in clients)
    result.wrong += [one.refused for one in clients if one.refused]
    return Killed(site.directory, merged(clients), (*early, late))


def _make(daemon: LiveDaemon, bucket: str) -> None:
    with door(daemon.url) as opened:
        assert opened.ask("PUT", f"/{bucket}")[0] in {200, 409}  # it may be of the drill before


def _joined(threads: Sequence[threading.Thread]) -> None:
    for one in threads:
        one.join(120)
        assert not one.is_alive(), "a client waits for ever"


def _follow_recovery(
    elsewhere: Path, far: LiveDaemon, killed: Killed, hit: Touched, shell: Shell, result: Drilled
) -> bool:
    """Every command of that part of the page; whether there is a journal at that end."""
    text = (page.DOCS / "recovery.md").read_text(encoding="utf-8")
    examples = {"/mnt/site": str(elsewhere / "disk"), "https://s3.example.com": far.url}
    sending, sent = [""], None
    for words in page.commands(text, examples, THE_PART):
        ran = shell(words)
        result.typed.append(ran)
        if words[1] == "recover" and ran.code:
            result.wrong.append(f"nothing was recovered: {ran}")
            return False
        if "--report" in words:
            sending, sent = words, ran
    if sent is None or not (elsewhere / REPORT).exists():
        result.wrong.append(f"there is no report: {result.typed[-1]}")
        return False
    report = json.loads((elsewhere / REPORT).read_text())
    after = read_remote(far.url, killed.buckets)
    result.told = judge(killed.ledger, after, report, sent.code, hit)
    again = shell(sending)
    result.typed.append(again)
    if again.code != sent.code:
        result.wrong.append(f"called again it ended with exit code {again.code}, and before with {sent.code}")
    if read_remote(far.url, killed.buckets) != after:
        result.wrong.append("called again it changed the remote")
    return True
