"""What the recorded lives do: each way to write, with the link and without, and all that happens to old bytes.

Values and pauses follow from the seed, so that each life cuts another way through the same story.
"""

import asyncio

from replicator.doubles import Stored

from s3d.errors import S3Error

from .ledger import Upload
from .life import OWN, SHARED, Life, md5

ROW, FILE = (1, 30), (65, 300)  # bytes: bodies up to 64 are kept in the journal's row
STRANGERS = "strangers"
HOUR = 3600.0


async def everything(life: Life) -> None:
    """The whole story, and a proper stop at the end."""
    await online(life)
    await offline(life)
    await ageing(life)
    await life.stop()


async def online(life: Life) -> None:
    """Writes of all sorts, several in one commit, while the replicator sends."""
    await life.make_bucket(OWN)
    await asyncio.gather(*(life.put(f"k{number}", _bytes(life, *ROW)) for number in range(4)))
    await asyncio.gather(
        life.put("large", _bytes(life, *FILE)), life.put(f"once{life.start.number}", b"first", IfNoneMatch="*")
    )
    await _pause(life)
    await life.copy("k0", "copied")
    await life.put("k0", _bytes(life, *ROW))
    await asyncio.gather(life.delete("k1"), life.put("k2", _bytes(life, *FILE)))
    await _uploads(life)
    await _pause(life)


async def offline(life: Life) -> None:
    """The same while nothing can be sent; then all of it goes."""
    life.remote.down = True
    await life.make_bucket("brief")
    await life.put("one", _bytes(life, *ROW), bucket="brief")
    await life.delete("k3")
    await asyncio.gather(*(life.put(f"k{number}", _bytes(life, *ROW)) for number in range(3, 7)))
    await life.copy("large", "copied")
    await life.put("large", _bytes(life, *FILE))
    await _uploads(life)
    await _delete_objects(life, "k4", "k5")
    life.edge.disk.narrow = True
    await asyncio.sleep(HOUR)
    life.edge.disk.narrow = False
    await _pause(life)
    life.remote.down = False
    await asyncio.sleep(120 + life.random.random() * 60)


async def ageing(life: Life) -> None:
    """Files are sealed and dropped, bodies are let go of and read again, what others have put there is cached."""
    data = _bytes(life, *FILE)
    life.ledger.note(lambda known: known.foreign.update({(SHARED, STRANGERS): data}))
    life.remote.buckets.setdefault(SHARED, {})[STRANGERS] = [Stored(data, {}, md5(data))]
    life.chronicle.note(life.volume.index)
    assert await life.edge.read(SHARED, STRANGERS) == data
    for round_number in range(3):
        await asyncio.gather(*(life.put(f"n{number}", _bytes(life, *ROW)) for number in range(8)))
        await life.put(f"kept{round_number}", _bytes(life, *FILE))
        await asyncio.sleep(HOUR * (1 + life.random.random()))
    life.edge.disk.narrow = True
    await asyncio.sleep(HOUR)
    life.edge.disk.narrow = False
    for name in ("kept0", "large"):
        assert {await life.edge.read(OWN, name)} == life.ledger.now.values[OWN, name]
    await asyncio.gather(life.put("last", _bytes(life, *ROW)), life.delete("one", bucket="brief"))
    await life.remove_bucket("brief")


async def a_little(life: Life) -> None:
    """What a life does that has only been begun to see whether it can."""
    await asyncio.gather(*(life.put(f"k{number}", _bytes(life, *ROW)) for number in range(3)))
    await life.put("large", _bytes(life, *FILE))


async def _uploads(life: Life) -> None:
    """One is completed, one is aborted, one is left open."""
    upload = await _begin(life, "whole")
    await asyncio.gather(_part(life, upload, 2, ROW), _part(life, upload, 1, FILE))
    await life.complete(upload)
    upload = await _begin(life, "gone")
    await _part(life, upload, 1, ROW)
    await _abort(life, upload)
    upload = await _begin(life, f"open{life.volume.index}")
    await _part(life, upload, 1, ROW)


async def _begin(life: Life, key: str) -> str:
    reply = await life.edge.perform("CreateMultipartUpload", OWN, key)
    name: str = reply.output["UploadId"]
    life.ledger.note(lambda known: known.uploads.update({name: Upload(OWN, key)}))
    return name


async def _part(life: Life, upload: str, number: int, size: tuple[int, int]) -> None:
    body, key = _bytes(life, *size), life.ledger.now.uploads[upload].key
    await life.edge.perform("UploadPart", OWN, key, body, UploadId=upload, PartNumber=number)
    life.ledger.note(lambda known: known.uploads[upload].parts.update({number: body}))


async def _abort(life: Life, upload: str) -> None:
    begun = life.ledger.now.uploads[upload]
    life.ledger.note(lambda known: known.uploads.pop(upload))
    await life.edge.perform("AbortMultipartUpload", begun.bucket, begun.key, UploadId=upload)


async def _delete_objects(life: Life, *names: str) -> None:
    for name in names:
        life.ledger.note(lambda known, name=name: known.begin((OWN, name), None))
    given = {"Delete": {"Objects": [{"Key": name} for name in names]}}
    reply = await life.edge.perform("DeleteObjects", OWN, **given)
    if reply.output.get("Errors"):
        raise S3Error("InternalError", str(reply.output["Errors"]))
    for name in names:
        life.ledger.note(lambda known, name=name: known.acknowledge((OWN, name), None))


async def _pause(life: Life) -> None:
    await asyncio.sleep(life.random.choice((0.0, 0.2, 1.0, 30.0)) * life.random.random())


def _bytes(life: Life, least: int, most: int) -> bytes:
    return life.random.randbytes(life.random.randint(least, most))
