"""Other keys for one of several remotes while the daemon runs: that one gets another client, the others keep theirs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from journal import JournalError
from s3d.app.reloading import Reloading
from s3d.app.remotes import Replications
from s3d.app.replication import Replication
from s3d.clock import SystemClock
from s3d.config.source import Source
from s3d.errors import S3dError
from s3d.policy.bucket_map import BucketMap

CONFIG = """
data_dir = "/d"
{first}
[[other_remote]]
name = "city"
endpoint = "http://127.0.0.1:2"
access_key = "A"
secret_key = "{city}"
bytes_per_second_max = {rate}
[[other_remote]]
name = "chain"
endpoint = "http://127.0.0.1:3"
"""
FIRST = '[remote]\nendpoint = "http://127.0.0.1:1"\naccess_key = "A"\nsecret_key = "s"'


class Client:
    """What a sender would be."""

    def __init__(self, settings: Any) -> None:
        self.settings, self.started, self.closed = settings, False, False

    async def start(self) -> None:
        if self.settings.secret_key is not None and self.settings.secret_key.reveal() == "no start":
            raise S3dError("it does not start")
        self.started = True

    async def close(self) -> None:
        self.closed = True


class Edge:
    """What a reload meets of a daemon with three remotes."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "s3d.toml"
        self.write()
        self.clients: dict[str, list[Client]] = {"": [], "city": [], "chain": []}
        self.current: dict[str, Client] = {}
        self.plans: list[Any] = []
        self.refuses = False
        source = Source({}, {}, str(self.path))
        rooms = SimpleNamespace(
            replication=SimpleNamespace(of={name: self._replication(name) for name in self.clients}),
            ground=SimpleNamespace(
                journal=SimpleNamespace(submit=self._submit, identity=SimpleNamespace(epoch=1)),
            ),
            go_by=lambda after, changed: self.plans.append((after.settings, changed)),
        )
        metrics = SimpleNamespace(configuration_read=lambda **_: None)
        self.reloading = Reloading(source.read(), rooms, SystemClock(), metrics, lambda _: None)  # type: ignore[arg-type]

    def write(self, city: str = "s", rate: int = 5000) -> None:
        self.path.write_text(CONFIG.format(first=FIRST, city=city, rate=rate))

    def _replication(self, name: str) -> Any:
        def client(settings: Any) -> Client:
            self.clients[name].append(Client(settings))
            return self.clients[name][-1]

        return SimpleNamespace(
            sender=SimpleNamespace(client=client, replace=lambda one: self.current.__setitem__(name, one))
        )

    async def _submit(self, _command: Any, *, essential: bool) -> Any:
        if self.refuses:
            raise JournalError("no room")
        return SimpleNamespace(records=[SimpleNamespace(sequence=7)])


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    return Edge(tmp_path)


async def test_the_one_whose_keys_changed_gets_another_client(edge: Edge) -> None:
    """And each whose keys are those of the AWS chain, which is asked anew."""
    edge.write(city="t")
    reloaded = await edge.reloading.reload("admin")
    assert (reloaded.changed, reloaded.waiting) == (("other_remote.secret_key",), ())
    assert set(edge.current) == {"city", "chain"}
    assert edge.current["city"].settings.secret_key.reveal() == "t"
    assert all(one.started and not one.closed for one in edge.current.values())


async def test_another_pace_needs_no_other_client(edge: Edge) -> None:
    """It is told to those who keep it."""
    edge.write(rate=9000)
    assert (await edge.reloading.reload("admin")).changed == ("other_remote.bytes_per_second_max",)
    assert "city" not in edge.current
    ((settings, changed),) = edge.plans
    assert (settings.other_remotes[0].bytes_per_second_max, changed) == (
        9000,
        frozenset({"other_remote.bytes_per_second_max"}),
    )


@pytest.mark.parametrize("journal_refuses", [False, True])
async def test_what_is_refused_leaves_no_client_behind(edge: Edge, journal_refuses: bool) -> None:
    """Whichever of them was started before."""
    edge.write(city="t" if journal_refuses else "no start")
    edge.refuses = journal_refuses
    with pytest.raises((S3dError, JournalError)):
        await edge.reloading.reload("admin")
    made = [one for clients in edge.clients.values() for one in clients]
    assert made
    assert all(one.closed for one in made if one.started)
    assert edge.current == {}


def test_each_takes_its_own_pace() -> None:
    """Of the settings of all of them."""
    told: dict[str, Any] = {}

    def one(name: str) -> Any:
        own = SimpleNamespace(
            _name=name, _replicator=SimpleNamespace(replace_plan=lambda plan: told.update({name: plan}))
        )
        own.sender = SimpleNamespace(resident_bytes=0)
        own.link = own.flow = own.upstream = own.probing = None
        own.endpoint = ""
        own.replace_plan = lambda settings, windows: Replication.replace_plan(own, settings, windows)
        return own

    metrics: Any = SimpleNamespace(watch_sender=lambda _: None)
    none: Any = None
    all_of_them = Replications({"": one(""), "city": one("city")}, BucketMap(()), none, SystemClock(), metrics)
    pace = {"always": (), "bytes_per_month_max": None, "requests_per_second_max": None}
    settings: Any = {
        name: SimpleNamespace(bytes_per_second_max=rate, **pace) for name, rate in (("", 1000), ("city", 2000))
    }
    all_of_them.replace_plan(settings, ())
    assert {name: plan.bytes_per_second_max for name, plan in told.items()} == {"": 1000, "city": 2000}
