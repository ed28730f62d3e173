"""What sort of life a seed has: all of them have everything in them, each has more of something.

Each sort has a long form, days to months of virtual time, and a short one, an hour or two with some two dozen requests
of clients and as much weather: of those a second has dozens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from s3d.config.settings import CapacitySettings, JournalSettings
from s3d.policy.rules import ConflictPolicy as Policy
from s3d.policy.rules import Rule

from .edge import NOW_AND_THEN, RECORDS_IN_FILE, Setting
from .layout import Layout, layouts
from .service import Nature

DAY = 86_400.0
HOUR = 3600.0
PACES = (0.05, 1.0, 60.0, HOUR, DAY / 4)  # seconds between two requests of a client
SHORT_PACES = (0.05, 1.0, 20.0, 300.0, 900.0)
SHORT_LOOK_SECONDS = 2400.0
SHORT_STEPS = 5
SHARED = "shared"
OWN = "own-1"
BUCKETS = ("own-0", OWN, SHARED)
POLICIES: tuple[Policy, ...] = ("local", "remote", "keep-both", "hold")
RULES = (Rule(match=SHARED, shared=True),)
URGENT = (Rule(match=OWN, priority="urgent"), Rule(match=SHARED, priority="bulk"))


@dataclass(frozen=True)
class Life:
    """How often what happens, where that is not as usual; `keys` of each client, `steps` that each takes.

    `events`: how much more often something happens at all. `versioned`: None: as it comes. `guarded`: buckets for which
    a rule says what becomes of conflicts. Strangers write after every so many steps of clients, and so often
    (`meddling`) over what is ours.
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
    records_in_file: int = RECORDS_IN_FILE
    batch_buckets: tuple[str, ...] = BUCKETS[:1]
    guarded: tuple[str, ...] = ()
    several_remotes: bool = False
    stranger_steps: float = 7.0
    meddling: float = 0.2


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
    Life(
        "conflicts",
        {"put": 60, "read": 30, "upload": 6},
        {"outage": 20, "removal": 0},
        {"kill": 8, "drop": 0.5},
        paces=(1.0, 60.0, HOUR),
        keys=2,
        events=1.5,
        buckets=BUCKETS[1:],
        guarded=BUCKETS[1:],
        stranger_steps=3.0,
        meddling=0.9,
    ),
    Life(
        "remotes",
        {"batch": 12, "copy": 15},
        {"outage": 20, "trouble": 9, "removal": 0},
        events=1.5,
        batch_buckets=BUCKETS,
        guarded=BUCKETS[1:],
        several_remotes=True,
        stranger_steps=4.0,
        meddling=0.5,
    ),
)


def shortened(life: Life) -> Life:
    """An hour or two of it."""
    return replace(
        life,
        name=f"short {life.name}",
        paces=SHORT_PACES,
        keys=min(life.keys, 2),
        steps=SHORT_STEPS * life.steps // 45,
        look_seconds=SHORT_LOOK_SECONDS,
        events=1.5 * life.events,
        records_in_file=8,
    )


SHORT_LIVES = tuple(shortened(life) for life in LIVES)


def life_of(seed: int) -> Life:
    """A long one; in turn."""
    return LIVES[seed % len(LIVES)]


def short_life_of(seed: int) -> Life:
    """A short one; in turn."""
    return SHORT_LIVES[seed % len(SHORT_LIVES)]


def life_called(name: str) -> Life:
    """One of them."""
    return next(life for life in (*LIVES, *SHORT_LIVES) if life.name == name)


def chosen(random: Random, usual: Mapping[str, float], more: Mapping[str, float]) -> str:
    """One of a table, by its weights."""
    names = list(usual)
    return random.choices(names, [more.get(name, usual[name]) for name in names])[0]


def layout_of(random: Random, life: Life) -> Layout:
    """Where the buckets of a life are."""
    return random.choice(layouts(OWN, SHARED)) if life.several_remotes else Layout()


def policies_of(random: Random, life: Life) -> Mapping[str, Policy]:
    """What becomes of conflicts, by buckets."""
    return {bucket: random.choice(POLICIES) for bucket in life.guarded}


def setting_of(random: Random, life: Life, layout: Layout, policies: Mapping[str, Policy]) -> Setting:
    """How the daemon of a life is set up: sometimes little may wait, or some of it is urgent."""
    guarding = tuple(Rule(match=bucket, conflict=policy) for bucket, policy in policies.items())
    more: dict[str, Any] = {
        "buckets": layout.tables,
        "other_remotes": layout.further,
        "rules": RULES + guarding + (URGENT if random.random() < 0.3 else ()),
        "journal": JournalSettings(keep_unsealed_bytes=random.choice((0, 0, 4000)), retain_files=random.choice((1, 3))),
    }
    if random.random() < 0.15:
        more["capacity"] = CapacitySettings(pending_records_max=30)
    return Setting(more, lanes_max=random.choice((2, 32)), records_in_file=life.records_in_file)


def nature_of(random: Random, life: Life) -> Nature:
    """What a remote of a life is like."""
    opaque = random.random() < (0.5 if life.guarded else 0.2)
    return Nature(copies=random.random() < 0.8, opaque=opaque, tells_versioning=random.random() < 0.9)
