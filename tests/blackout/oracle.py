"""What must be true of a daemon that was started after a power cut: the global oracle of docs/failures.md.

Nothing acknowledged is lost, what was under way is there whole or not at all, and each is listed as it is read. Uploads
that were begun can be gone on with. The link comes back: everything is confirmed, nothing waits for a person, the
remote holds what the site holds, no record made two versions, and no key went back to an earlier record. The chain
verifies, and the view that is folded anew, from base and journal, is the same.
"""

import asyncio
from collections.abc import Mapping
from itertools import pairwise

from s3d.errors import S3Error

from .ledger import Value
from .life import OWN, SHARED, Life
from .script import a_little

NOTICED_WITHIN = 300.0  # that the link is back: seconds
HEALED_WITHIN = 2 * 86_400.0


class Violation(AssertionError):
    """The promise was broken; the text says how."""


async def examine(life: Life) -> None:
    """Check everything, work a little, heal, and check again. Raises Violation."""
    life.remote.down = offline = life.random.random() < 0.3
    await _settle_buckets(life)
    await _settle_values(life, offline=offline)
    await _check_listing(life)
    await _go_on_with_uploads(life)
    if (True in life.ledger.now.buckets.get(OWN, ())) and life.random.random() < 0.5:
        await a_little(life)
    life.remote.down = False
    await asyncio.sleep(NOTICED_WITHIN)
    await _converge(life)
    await _settle_values(life, offline=False)
    _compare(life)
    await life.edge.verify()
    await _fold_anew(life)


async def _settle_buckets(life: Life) -> None:
    there = life.edge.buckets()
    for name, possible in life.ledger.now.buckets.items():
        exists = name in there
        if exists not in possible:
            raise Violation(f"the bucket {name} is {'' if exists else 'not '}there")
        life.ledger.note(lambda known, name=name, exists=exists: known.acknowledge_bucket(name, exists=exists))


async def _settle_values(life: Life, *, offline: bool) -> None:
    """Read every key: what is there now was told to a client, and must stay."""
    known = life.ledger.now
    for (bucket, name), possible in tuple(known.values.items()):
        if known.buckets.get(bucket) != {True}:
            continue
        try:
            found = await _read(life, bucket, name)
        except S3Error as error:
            await _excuse(life, bucket, name, error, offline=offline)
            continue
        if found not in possible:
            raise Violation(
                f"{bucket}/{name} is {_short(found)}, and must be one of {[_short(one) for one in possible]}"
            )
        key = (bucket, name)
        life.ledger.note(lambda known, key=key, found=found: known.acknowledge(key, found))
    if offline:
        return
    for (bucket, name), data in known.foreign.items():
        if life.remote.content().get(bucket, {}).get(name) == data and await _read(life, bucket, name) != data:
            raise Violation(f"what others have put under {bucket}/{name} is read as something else")


async def _read(life: Life, bucket: str, name: str) -> Value:
    try:
        return await life.edge.read(bucket, name)
    except S3Error as error:
        if error.code == "NoSuchKey":
            return None
        raise


async def _excuse(life: Life, bucket: str, name: str, error: S3Error, *, offline: bool) -> None:
    """Bytes that the remote has confirmed may be there alone."""
    status = (await life.edge.perform("HeadObject", bucket, name)).output.get("ReplicationStatus")
    if not offline or error.code != "RemoteUnreachable" or status != "COMPLETED":
        raise Violation(
            f"{bucket}/{name} ({status}) cannot be read: {error.code} {error}; offline: {offline}"
        ) from error


async def _check_listing(life: Life) -> None:
    known = life.ledger.now
    for bucket in [name for name, states in known.buckets.items() if states == {True}]:
        reply = await life.edge.perform("ListObjectsV2", bucket)
        listed = {str(one["Key"]) for one in reply.output.get("Contents") or ()}
        sure = {key: values for key, values in known.values.items() if key[0] == bucket and len(values) == 1}
        for (_, name), values in sure.items():
            if (name in listed) != (values != {None}):
                raise Violation(f"{bucket}/{name} is {'' if name in listed else 'not '}listed")


async def _go_on_with_uploads(life: Life) -> None:
    for name, upload in tuple(life.ledger.now.uploads.items()):
        try:
            reply = await life.edge.perform("ListParts", upload.bucket, upload.key, UploadId=name)
        except S3Error as error:
            raise Violation(f"the upload of {upload.key} is gone: {error.code}") from error
        sizes = {part["PartNumber"]: part["Size"] for part in reply.output.get("Parts") or ()}
        for number, body in upload.parts.items():
            if sizes.get(number) != len(body):
                raise Violation(f"part {number} of the upload of {upload.key} is {sizes.get(number)} bytes long")
        if upload.parts and life.random.random() < 0.5:
            await life.complete(name)


async def _converge(life: Life) -> None:
    deadline = life.clock.monotonic() + HEALED_WITHIN
    pause = 2.0
    while life.edge.pending:
        if life.edge.crashes:
            raise Violation(f"the daemon has given up: {life.edge.crashes}")
        if life.edge.statuses():
            raise Violation(f"waiting for a person: {life.edge.statuses()}")
        if life.clock.monotonic() > deadline:
            raise Violation(f"{life.edge.pending} records still wait")
        await asyncio.sleep(pause)
        pause = min(2 * pause, 600.0)


def _compare(life: Life) -> None:
    known, remote = life.ledger.now, life.remote.content()
    for bucket, states in known.buckets.items():
        there = remote.get(bucket)
        if (there is not None) != (states == {True}):
            raise Violation(f"the remote has {'a' if there is not None else 'no'} bucket {bucket}")
        for name, found in (there or {}).items():
            if found not in known.values.get((bucket, name), {None}) | {known.foreign.get((bucket, name))}:
                raise Violation(f"the remote has {_short(found)} under {bucket}/{name}")
        for (_, name), values in [one for one in known.values.items() if one[0][0] == bucket]:
            if states == {True} and (there or {}).get(name) not in values:
                raise Violation(f"the remote has {_short((there or {}).get(name))} under {bucket}/{name}")
    for bucket, objects in life.remote.buckets.items():
        for name, versions in objects.items() if bucket != SHARED else ():
            _check_order(f"{bucket}/{name}", [version.metadata for version in versions])


def _check_order(what: str, versions: list[Mapping[str, str]]) -> None:
    """Each version is of a later record than the one before: nothing came twice, and no key went back."""
    sequences = [int(metadata["s3d-token"].rpartition("-")[2]) for metadata in versions]
    for before, after in pairwise(sequences):
        if after <= before:
            raise Violation(f"{what} has versions of the records {sequences}, in this order")


async def _fold_anew(life: Life) -> None:
    """`view == fold(base, journal)`."""
    before = life.edge.folded()
    await life.restart(keep_view=False)
    after = life.edge.folded()
    if before != after:
        differing = [name for name in before if before[name] != after.get(name)]
        raise Violation(f"folded anew, the view has other rows in {differing}")


def _short(value: Value) -> str:
    return "absent" if value is None else f"{len(value)} bytes {value[:6].hex()}"
