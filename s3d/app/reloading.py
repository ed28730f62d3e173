"""The configuration read again by a running daemon: checked whole, recorded, and put in force between two requests.

Whatever is wrong with the file, the last good configuration stays in force. In this order: read and check; make ready
whatever can fail; the record, with which the writer takes over what decisions ask of the rules; then all rooms at once,
on the event loop, without waiting in between. A request that has begun is handled to its end as it began.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

from journal import JournalError
from s3d.app.rooms import InForce, Rooms, policies_of
from s3d.app.watching import Watched
from s3d.clock import Clock
from s3d.commands.configuring import ChangeConfiguration
from s3d.config.difference import Difference, difference
from s3d.config.load import exposes_secrets
from s3d.config.remotes import RemoteSettings, remotes_by_name
from s3d.config.settings import Settings
from s3d.config.source import Loaded
from s3d.errors import ConfigurationError, S3dError
from s3d.events import ConfigurationChanged
from s3d.policy.rules import Rules
from s3d.remote.client import AiobotocoreRemote
from s3d.remote.process import ProcessRemote
from s3d.telemetry.configuration import ConfigurationReport, Reloaded
from s3d.telemetry.metrics import Metrics
from s3d.telemetry.report import format_sequence, iso_time

WATCH_SECONDS = 2.0
_log = structlog.get_logger("s3d.configuration")
_OF_CLIENTS = (
    "access_key",
    "bucket_owner",
    "connect_timeout_seconds",
    "profile",
    "read_timeout_seconds",
    "secret_key",
)
Client = ProcessRemote | AiobotocoreRemote


class Reloading:
    """`adopt` is told what is in force from now on, before anybody else is."""

    def __init__(
        self,
        loaded: Loaded,
        rooms: Rooms,
        clock: Clock,
        metrics: Metrics,
        adopt: Callable[[InForce], None],
    ) -> None:
        self._source = source = loaded.source
        self._settings = loaded.settings
        self._rooms = rooms
        self._clock = clock
        self._metrics = metrics
        self._adopt = adopt
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._report = ConfigurationReport(source.path or "", loaded.digest, iso_time(clock.now()))
        self._watching: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to look at the file, if the settings say so."""
        if self._settings.watch_configuration and self._source.path is not None and self._watching is None:
            self._watching = self._spawn(self._watch(Watched(self._source.path)))

    def report(self) -> ConfigurationReport:
        """Which configuration is in force, and what became of the last attempt to change it."""
        return self._report

    def reload_soon(self, caller: str) -> None:
        """For whoever does not wait for an answer: what comes of it is in the log, the status and the metrics."""
        self._spawn(self._reload_quietly(caller))

    async def check(self) -> Reloaded:
        """What a reload would do now. Raises ConfigurationError."""
        loaded = await asyncio.to_thread(self._source.read)
        return self._told(loaded.digest, difference(self._settings, loaded.settings), "")

    async def reload(self, caller: str, claimed: str = "") -> Reloaded:
        """Put what the file says now in force, as far as a running daemon can.

        Raises ConfigurationError, JournalError or S3dError; then everything is as it was.
        """
        async with self._turn:
            if self._closed:
                raise S3dError("the daemon is stopping", hint="the next start reads the file")
            try:
                loaded = await asyncio.to_thread(self._source.read)
                found = difference(self._settings, loaded.settings)
                reloaded = await self._put_in_force((caller, claimed), loaded.digest, found)
            except (S3dError, JournalError) as error:
                self._refused(caller, error)
                raise
            self._accepted(caller, loaded.digest, reloaded)
            if self._source.path is not None:
                await asyncio.to_thread(warn_of_exposed_secrets, self._source.path)
            return reloaded

    async def close(self) -> None:
        """Read nothing more, and end what nobody waits for."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._turn:  # whoever is being answered is answered, and leaves no client behind
            return

    # one reload

    async def _put_in_force(self, who: tuple[str, str], digest: str, found: Difference) -> Reloaded:
        settings = found.in_force
        after = InForce(settings, await asyncio.to_thread(Rules, settings.rules))
        clients = await self._clients(settings)
        seq = ""
        try:
            if found.changed:
                seq = await self._record(who, digest, found, after)
        except BaseException:
            await _close(clients.values())
            raise
        self._settings = settings
        self._adopt(after)
        self._rooms.go_by(after, frozenset(found.changed))
        if self._rooms.replication is not None:
            for name, client in clients.items():
                self._rooms.replication.of[name].sender.replace(client)
        if "[[webhook]]" in found.changed:
            await self._rooms.webhooks.replace(settings.webhooks)
        self.start()
        return self._told(digest, found, seq)

    async def _record(self, who: tuple[str, str], digest: str, found: Difference, after: InForce) -> str:
        change = ConfigurationChanged(
            caller=who[0],
            claimed=who[1],
            file=self._source.path or "",
            digest=digest,
            changed=found.changed,
            waiting=found.waiting,
        )
        journal = self._rooms.ground.journal
        command = ChangeConfiguration(change, policies_of(after.settings, after.rules))
        appended = await journal.submit(command, essential=True)
        return format_sequence(journal.identity.epoch, appended.records[0].sequence)

    async def _clients(self, after: Settings) -> dict[str, Client]:
        """One for each remote whose settings changed, or whose keys come from what may have changed; all started."""
        replication, clients = self._rooms.replication, dict[str, Client]()
        if replication is None:
            return clients
        before = remotes_by_name(self._settings.remote, self._settings.other_remotes)
        try:
            for name, remote in remotes_by_name(after.remote, after.other_remotes).items():
                if remote.access_key is None or _values(remote) != _values(before[name]):
                    clients[name] = replication.of[name].sender.client(remote)
                    await clients[name].start()
        except BaseException:
            await _close(clients.values())
            raise
        return clients

    def _told(self, digest: str, found: Difference, seq: str) -> Reloaded:
        return Reloaded(self._source.path or "", digest, found.changed, found.waiting, seq)

    # what is said of it

    def _accepted(self, caller: str, digest: str, reloaded: Reloaded) -> None:
        self._report = ConfigurationReport(
            self._source.path or "", digest, iso_time(self._clock.now()), waiting=reloaded.waiting
        )
        self._metrics.configuration_read(ok=True)
        _log.info(
            "the configuration was read again",
            by=caller,
            changed=list(reloaded.changed),
            needs_restart=list(reloaded.waiting),
            seq=reloaded.seq,
        )

    def _refused(self, caller: str, error: S3dError | JournalError) -> None:
        before = self._report
        self._report = ConfigurationReport(
            before.file,
            before.digest,
            before.loaded,
            before.waiting,
            refused=iso_time(self._clock.now()),
            error=error.message,
            hint=error.hint,
        )
        self._metrics.configuration_read(ok=False)
        _log.warning(
            "the configuration was refused; the last good one stays in force",
            by=caller,
            error=error.message,
            hint=error.hint,
        )

    async def _reload_quietly(self, caller: str) -> None:
        try:
            await self.reload(caller)
        except (S3dError, JournalError):
            return  # it was said where it was found

    async def _watch(self, watched: Watched) -> None:
        """Until the settings that are in force do not want it any more."""
        await asyncio.to_thread(watched.begin, self._report.digest)
        while self._settings.watch_configuration:
            await self._clock.sleep(WATCH_SECONDS)
            if await asyncio.to_thread(watched.is_another):
                await self._reload_quietly("watch")
        self._watching = None

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _values(remote: RemoteSettings) -> list[Any]:
    return [getattr(remote, name) for name in _OF_CLIENTS]


async def _close(clients: Iterable[Client]) -> None:
    for client in clients:
        await client.close()


def warn_of_exposed_secrets(path: str) -> None:
    """Say so when others can read the keys in the file, which was read before."""
    with contextlib.suppress(ConfigurationError, OSError):  # it is another one by now, or gone
        if exposes_secrets(path):
            _log.warning(
                "every user of this machine can read the keys in the configuration file", file=path, fix="chmod o-r"
            )
