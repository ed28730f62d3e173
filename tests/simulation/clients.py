"""What clients do, and what they hold against the answers."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping

from s3d.errors import S3Error
from s3d.operations.calls import Reply
from s3d.remote.failures import RemoteFailure
from s3d.values import Order

from .lives import BUCKETS, CLIENTS, SHARED, chosen
from .model import Value
from .site import Broken, Site
from .uploading import upload
from .witness import MANIFEST

PATIENCE_SECONDS = 300
SIZES = (0, 1, 30, 30, 200)  # the last goes through a file
REFUSED = frozenset({"SlowDown", "ServiceUnavailable", "RemoteUnreachable"})  # nothing of it was kept


class Client:
    """One of a few; nobody else writes its keys."""

    def __init__(self, site: Site, number: int) -> None:
        self.site = site
        self.number = number
        self._steps: Mapping[str, Callable[[str, str], Awaitable[None]]] = {
            "put": self._put_something,
            "put_guarded": self._put_guarded,
            "delete": self.delete,
            "copy": self._copy,
            "read": self.read,
            "list": self._list,
            "look_at_strangers": self._look_at_strangers,
            "upload": lambda bucket, key: upload(self, bucket, key),
            "batch": self._batch,
            "bucket_life": self._bucket_life,
        }

    async def live(self) -> None:
        """Step after step, as fast as the time goes."""
        site = self.site
        for _ in range(site.life.steps):
            await asyncio.sleep(site.random.expovariate(1 / self._pace_seconds()))
            await site.up.wait()
            site.check()
            site.step()
            await self._step()

    def _pace_seconds(self) -> float:
        site = self.site
        if site.random.random() < 0.05:
            site.pace = site.random.choice(site.life.paces)
        return site.pace

    async def _step(self) -> None:
        site = self.site
        bucket, name = site.random.choice(site.life.buckets), chosen(site.random, CLIENTS, site.life.clients)
        if bucket not in site.model:
            await self.create(bucket)
            return
        site.run.done[name] += 1
        await self._steps[name](bucket, self._key())

    def _key(self) -> str:
        return f"c{self.number}-{self.site.random.randrange(self.site.life.keys)}"

    # writing

    async def create(self, bucket: str) -> None:
        """Repeated until it is there: online and offline that takes as long as the daemon is away."""
        while bucket not in self.site.model:
            await self.site.up.wait()
            with contextlib.suppress(S3Error):
                await self.site.edge.perform("CreateBucket", bucket)
                self.site.model.add(bucket)
            await asyncio.sleep(1)

    async def put(self, bucket: str, key: str, body: bytes, order: Order | None = None, **conditions: str) -> bool:
        """Whether it was acknowledged."""
        edge = self.site.edge
        return await self.write(
            bucket, key, body, lambda: edge.perform("PutObject", bucket, key, body, order, **conditions)
        )

    async def delete(self, bucket: str, key: str) -> None:
        """Whatever is there."""
        await self.write(bucket, key, None, lambda: self.site.edge.perform("DeleteObject", bucket, key))

    async def write(self, bucket: str, key: str, value: Value, send: Callable[[], Awaitable[Reply]]) -> bool:
        """Acknowledged: it is what there is. Not acknowledged: it may be. Whether it was."""
        site = self.site
        written = site.model.begin(bucket, key, value)
        life = site.edge.starts
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reply = await send()
        except (S3Error, TimeoutError) as error:
            lives = site.up.is_set() and life == site.edge.starts
            if isinstance(error, S3Error) and error.code in REFUSED and lives and bucket in site.model:
                site.model.refuse(bucket, key, written)
            site.tell(f"write {bucket}/{key} not acknowledged: {error}")
            return False
        if life != site.edge.starts or not site.up.is_set():
            return False
        written.sequence = reply.sequence
        site.run.acknowledged += 1
        return True

    async def _put_something(self, bucket: str, key: str) -> None:
        random = self.site.random
        await self.put(bucket, key, random.randbytes(random.choice(SIZES)))

    async def _put_guarded(self, bucket: str, key: str) -> None:
        """On the condition that it is what we know it is, where we do."""
        held = self.site.model.possible(bucket, key)
        if len(held) != 1 or bucket in self.site.model.shared:
            return
        (known,) = held
        body = self.site.random.randbytes(8)
        if known is None:
            await self.put(bucket, key, body, IfNoneMatch="*")
        elif not self.site.was_uploaded(known):  # the ETag of its object is none that we could name
            await self.put(bucket, key, body, IfMatch=f'"{hashlib.md5(known).hexdigest()}"')

    async def _copy(self, bucket: str, target: str) -> None:
        origin, source = self.site.random.choice(self.site.life.buckets), self._key()
        if origin not in self.site.model:
            return
        held = self.site.model.allowed(origin, source)
        if (origin, source) == (bucket, target) or len(held) != 1 or None in held:
            return
        (value,) = held
        given = {"CopySource": f"{origin}/{source}"}
        await self.write(bucket, target, value, lambda: self.site.edge.perform("CopyObject", bucket, target, **given))

    async def _batch(self, _bucket: str, _key: str) -> None:
        """Parts in any order, then a manifest that must not leave before them."""
        random, bucket, group = self.site.random, BUCKETS[0], f"batches of {self.number}"
        if bucket not in self.site.model:
            return
        named: dict[str, str] = {}
        for number in range(random.randrange(1, 4)):
            key, body, where = f"g{self.number}-{number}", random.randbytes(8), random.choice(self._for_parts())
            if not await self.put(where, key, body, Order(group, False)):
                return
            named[f"{where}/{key}"] = body.hex()
            await asyncio.sleep(random.random() * self.site.pace)
            await self.site.up.wait()
        manifest = json.dumps(named).encode()
        await self.put(bucket, f"g{self.number}-{MANIFEST}", manifest, Order(group, True))

    def _for_parts(self) -> list[str]:
        return [bucket for bucket in self.site.life.batch_buckets if bucket in self.site.model]

    async def _bucket_life(self, _bucket: str, _key: str) -> None:
        """A bucket of our own: made, written to, emptied, removed."""
        site, bucket = self.site, f"brief-{self.number}"
        if bucket not in site.model:
            await self.create(bucket)
            return
        keys = site.model.keys(bucket)
        if not keys or site.random.random() < 0.5:
            await self.put(bucket, f"b-{site.random.randrange(2)}", site.random.randbytes(8))
            return
        for key in keys:
            await self.delete(bucket, key)
        if bucket in site.model and all(site.model.possible(bucket, key) == {None} for key in keys):
            await self._remove_bucket(bucket)

    async def _remove_bucket(self, bucket: str) -> None:
        """Not acknowledged: nobody knows whether it is there, so it is left alone for ever."""
        site = self.site
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await site.edge.perform("DeleteBucket", bucket)
            site.removed.add(bucket)
        except (S3Error, TimeoutError) as error:
            if isinstance(error, S3Error) and error.code == "BucketNotEmpty" and bucket not in site.model.shared:
                raise Broken(f"{bucket} is said not to be empty") from error
            site.tell(f"{bucket} may have been removed: {error}")
        site.model.remove(bucket)

    # reading

    async def read(self, bucket: str, key: str) -> None:
        """Read your writes, always; what is not confirmed from here, whatever the link does."""
        site = self.site
        allowed = site.model.allowed(bucket, key)
        life = site.edge.starts
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                found: Value = await site.edge.read(bucket, key)
        except (S3Error, RemoteFailure, TimeoutError) as error:
            if not isinstance(error, S3Error) or error.code != "NoSuchKey":
                await self._excuse(bucket, key, life, error)
                return
            found = None
        if found not in allowed | site.model.allowed(bucket, key) and life == site.edge.starts:
            raise Broken(f"{bucket}/{key} is {found!r}, and was {allowed}")

    async def _excuse(self, bucket: str, key: str, life: int, error: Exception) -> None:
        """A daemon that was killed answers nothing; where others write the remote has to be asked, and may be away.

        In a bucket of our own the bytes alone may be away, and only once the remote has confirmed them.
        """
        site = self.site
        if bucket in site.model.shared or not site.up.is_set() or life != site.edge.starts:
            return
        if isinstance(error, S3Error) and error.code == "InternalError":
            raise Broken(f"{bucket}/{key} could not be read: {error!r}") from error
        try:
            status = (await site.edge.perform("HeadObject", bucket, key)).output.get("ReplicationStatus")
        except S3Error as unknown:
            status = unknown.code
        if status != "COMPLETED" and site.up.is_set() and life == site.edge.starts:
            raise Broken(f"{bucket}/{key} is {status}, and could not be read: {error!r}") from error

    async def _list(self, bucket: str, _key: str) -> None:
        """A client's own keys, exactly."""
        site, prefix = self.site, f"c{self.number}-"
        expected = {key: site.model.possible(bucket, key) for key in site.model.keys(bucket, prefix)}
        life = site.edge.starts
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reply = await site.edge.perform("ListObjectsV2", bucket, Prefix=prefix)
        except (S3Error, TimeoutError) as error:
            if bucket not in site.model.shared and site.up.is_set() and life == site.edge.starts:
                raise Broken(f"{bucket} could not be listed: {error!r}") from error
            return
        listed = {str(one["Key"]) for one in reply.output.get("Contents") or ()}
        for key, held in expected.items():
            certain = len(held) == 1 and site.model.is_ours(bucket, key) and life == site.edge.starts
            if certain and held == site.model.possible(bucket, key) and (key in listed) != (held != {None}):
                raise Broken(f"{bucket}/{key} is {'' if key in listed else 'not '}listed, and was {held}")

    async def _look_at_strangers(self, _bucket: str, _key: str) -> None:
        """Never "absent" from somebody who cannot know."""
        site = self.site
        key = f"s-{site.random.randrange(site.life.keys)}"
        down, life = site.remote.down, site.edge.starts
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await site.edge.read(SHARED, key)
        except S3Error as error:
            if error.code == "NoSuchKey" and down and site.remote.down and life == site.edge.starts:
                raise Broken(f"{SHARED}/{key} was said to be absent while nobody could know") from error
        except (RemoteFailure, TimeoutError):
            pass
