"""What sort of life a seed has: all of them have everything in them, each has more of something."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from s3d.config.settings import CapacitySettings, JournalSettings
from s3d.policy.rules import Rule

from .edge import NOW_AND_THEN, Setting
from .service import Nature

DAY = 86_400.0
HOUR = 3600.0
PACES = (0.05, 1.0, 60.0, HOUR, DAY / 4)  # seconds between two requests of a client
SHARED = "shared"
BUCKETS = ("own-0", "own-1", SHARED)
RULES = (Rule(match=SHARED, shared=True),)
URGENT = (Rule(match="own-1", priority="urgent"), Rule(match=SHARED, priority="bulk"))


@dataclass(frozen=True)
class Life:
    """How often what happens, where that is not as usual; `keys` of each client, `steps` that each takes.

    `events`: how much more often something happens at all. `versioned`: None: as it comes.
    """

    name: str
    clients: Mapping[str, float] = field(default_factory=dict)
    sky: Mapping[str, float] = field(default_factory=dict)
    fate: Mapping[str, float] = field(default_factory=dict)
    paces: tuple[float, ...] = PACES
    keys: int = 4
    steps: int = 45
    look_seconds: float = NOW_AND_THEN
    events: float = 1.0
    buckets: tuple[str, ...] = BUCKETS
    versioned: bool | None = None


CLIENTS: Mapping[str, float] = {
    "put": 30,
    "put_guarded": 8,
    "delete": 14,
    "copy": 9,
    "read": 14,
    "list": 8,
    "look_at_strangers": 6,
    "upload": 4,
    "batch": 4,
    "bucket_life": 2,
}
SKY: Mapping[str, float] = {
    "outage": 6,
    "trouble": 6,
    "sickness": 3,
    "flapping": 3,
    "slowness": 2,
    "lock_out": 1,
    "forgotten_uploads": 2,
    "versioning": 1,
    "removal": 0.5,
}
FATE: Mapping[str, float] = {"kill": 6, "clock": 2, "retry": 2, "drop": 2, "pause": 1, "narrowness": 1}
LIVES = (
    Life("everything"),
    Life(
        "overwrites",
        {"put": 100},
        {"sickness": 12, "outage": 20, "trouble": 2},
        {"drop": 12, "kill": 3},
        paces=(60.0, HOUR),
        keys=1,
        look_seconds=HOUR,
        events=2,
        buckets=BUCKETS[:1],
        versioned=False,
    ),
    Life(
        "uploads",
        {"upload": 60},
        {"forgotten_uploads": 20, "trouble": 9},
        paces=(60.0, HOUR),
        steps=25,
        look_seconds=HOUR,
        events=2,
    ),
    Life("batches", {"batch": 50}, {"sickness": 9, "outage": 9}, {"drop": 8, "pause": 5}, steps=25, events=2),
    Life(
        "ageing",
        {"read": 30},
        {"outage": 12},
        {"narrowness": 12, "drop": 4},
        paces=(HOUR, DAY / 4),
        look_seconds=HOUR,
    ),
)


def life_of(seed: int) -> Life:
    """In turn."""
    return LIVES[seed % len(LIVES)]


def life_called(name: str) -> Life:
    """One of them."""
    return next(life for life in LIVES if life.name == name)


def chosen(random: Random, usual: Mapping[str, float], more: Mapping[str, float]) -> str:
    """One of a table, by its weights."""
    names = list(usual)
    return random.choices(names, [more.get(name, usual[name]) for name in names])[0]


def setting_of(random: Random) -> Setting:
    """How the daemon of a life is set up: sometimes little may wait, or some of it is urgent."""
    more: dict[str, Any] = {
        "rules": RULES + (URGENT if random.random() < 0.3 else ()),
        "journal": JournalSettings(keep_unsealed_bytes=random.choice((0, 0, 4000)), retain_files=random.choice((1, 3))),
    }
    if random.random() < 0.15:
        more["capacity"] = CapacitySettings(pending_records_max=30)
    return Setting(more, lanes_max=random.choice((2, 32)))


def nature_of(random: Random) -> Nature:
    """What the remote of a life is like."""
    return Nature(copies=random.random() < 0.8, opaque=random.random() < 0.2, tells_versioning=random.random() < 0.9)
