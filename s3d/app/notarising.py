"""Who signs the audit's checkpoints and lays them at the remote, put together: part of the composition root."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from importlib.util import find_spec
from typing import Any

import structlog

from s3d.app.ground import Ground
from s3d.app.remotes import Replications
from s3d.app.replication import Replication
from s3d.bundle.signing import SigningKey, read_signing_key, write_signing_key
from s3d.clock import Clock
from s3d.config.settings import AuditSettings, Settings
from s3d.errors import DataDirectoryError
from s3d.events import AuditCheckpoint
from s3d.notary.anchoring import Anchoring
from s3d.notary.notary import Notary
from s3d.notary.placing import Lock
from s3d.notary.refusals import Refusals
from s3d.telemetry.notary import NotaryReport

MINUTE_SECONDS = 60
LAST_ANCHOR_SECONDS = 5.0  # how long a stop waits for the last checkpoint to be at the remote
KEY_NAME = "audit-signing.key"
_log = structlog.get_logger("s3d")


class Notarising:
    """Implements `http.audit_routes.CheckpointSource`. `notary` is None where nothing is signed, `anchoring` where
    nothing is laid elsewhere.
    """

    def __init__(self, notary: Notary | None, anchoring: Anchoring | None, refusals: Refusals) -> None:
        self._notary = notary
        self._anchoring = anchoring
        self._refusals = refusals
        self.refused = refusals.note
        if notary is not None and anchoring is not None:
            notary.signed = anchoring.wake

    def loops(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What goes on by itself, by names for people."""
        yield "the counting of refused requests", self._refusals.run_for_ever()
        if self._notary is not None:
            yield "the signing of checkpoints", self._notary.run_for_ever()
        if self._anchoring is not None:
            yield "the anchoring of checkpoints", self._anchoring.run_for_ever()

    async def sign(self) -> AuditCheckpoint | None:
        """See `Notary.sign`."""
        return await self._notary.sign() if self._notary is not None else None

    async def report(self) -> NotaryReport:
        """With the key. Raises S3dError."""
        standing = self.standing()
        if standing is None or self._notary is None:
            return NotaryReport()
        return NotaryReport(key=await self._notary.public_key(), last=standing.last, anchors=standing.anchors)

    def standing(self) -> NotaryReport | None:
        """How far it is signed, and anchored; None: the site does not sign."""
        if self._notary is None:
            return None
        return NotaryReport(
            last=self._notary.last, anchors=self._anchoring.report() if self._anchoring is not None else None
        )

    async def finish(self) -> None:
        """Sign what is not yet, and lay it at the remote if that is quick."""
        await self._refusals.finish()
        if self._notary is not None:
            await self._notary.sign_quietly()
        if self._anchoring is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._anchoring.go_on_quietly(), LAST_ANCHOR_SECONDS)


def build_notarising(
    settings: Settings, ground: Ground, replication: Replication | Replications | None, clock: Clock
) -> Notarising:
    """Everything of it that the settings want. Raises S3dError for a key that cannot be used."""
    audit, submit = settings.audit, ground.journal.submit
    refusals = Refusals(settings.data_dir, submit, clock, file_bytes_max=audit.refused_bytes_max)
    notary = _notary(settings, ground, clock)
    anchoring = _anchoring(audit, ground, notary, replication, clock) if notary is not None else None
    return Notarising(notary, anchoring, refusals)


def _notary(settings: Settings, ground: Ground, clock: Clock) -> Notary | None:
    """None: the settings do not want it, or it cannot be."""
    audit = settings.audit
    if not audit.checkpoint_minutes:
        return None
    if find_spec("cryptography") is None:
        _log.warning(
            "the audit is not signed: the library `cryptography` is not here",
            fix='pip install "s3d-edge[bundle]", or audit.checkpoint_minutes = 0',
        )
        return None
    return Notary(
        ground.journal,
        ground.journal.submit,
        ground.view.reader,
        _key(audit.key_file or f"{settings.data_dir}/{KEY_NAME}"),
        clock,
        every_seconds=audit.checkpoint_minutes * MINUTE_SECONDS,
    )


def _anchoring(
    audit: AuditSettings,
    ground: Ground,
    notary: Notary,
    replication: Replication | Replications | None,
    clock: Clock,
) -> Anchoring | None:
    if audit.anchor_bucket is None or replication is None:
        return None
    first = replication.first
    return Anchoring(
        first.unmapped,
        lambda: first.sends,
        ground.journal.submit,
        ground.view.reader,
        clock,
        notary.recorded,
        bucket=audit.anchor_bucket,
        prefix=audit.anchor_prefix,
        lock=Lock(audit.anchor_retain_days, audit.anchor_lock) if audit.anchor_retain_days else None,
    )


def _key(path: str) -> SigningKey:
    key = read_signing_key(path)
    if key is not None:
        return key
    try:
        key = write_signing_key(path)
    except OSError as error:
        raise DataDirectoryError(
            f"no key for the audit could be made in {path}: {error.strerror}",
            hint="make room, name another place with audit.key_file, or set audit.checkpoint_minutes = 0",
        ) from None
    _log.info("made the key that the audit is signed with", file=path, hint="`s3d audit key` shows its public half")
    return key
