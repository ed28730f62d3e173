"""What was acknowledged: clients that write through plain HTTP, and write down what they were told.

Each client has keys of its own, so the last write of a key is known. A write is in the ledger before it is sent: what
was not answered may be there, or not.
"""

import hashlib
import http.client
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import urlsplit

KEYS = 9  # of each client, in each bucket
SMALL, MIDDLE, LARGE = (1, 3000), (4000, 40_000), (70_000, 250_000)  # bytes: in a page, in several, in a file
PART_BYTES_MIN = 5 * 1024 * 1024
ANSWER_SECONDS = 60
Name = tuple[str, str]  # bucket, key


@dataclass(frozen=True)
class Write:
    """A write: the SHA-256 of what is there afterwards (empty: nothing), and of each body that was sent for it.

    `places` are the sequence numbers of the answers; `answered` says that it was acknowledged.
    """

    sha256: str
    bodies: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    answered: bool = False


Ledger = Mapping[Name, Sequence[Write]]


class Door:
    """Requests to one S3 server that asks for no signatures, over one connection."""

    def __init__(self, url: str) -> None:
        host = urlsplit(url)
        self._connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=ANSWER_SECONDS)

    def ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers in lower case, body. Raises OSError or HTTPException."""
        self._connection.request(method, target, body or None)
        answer = self._connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextmanager
def door(url: str) -> Iterator[Door]:
    """One for as long as the block runs."""
    opened = Door(url)
    try:
        yield opened
    finally:
        opened.close()


class Refused(Exception):
    """A write that should have been acknowledged was answered otherwise."""


class Client:
    """Writes small and large bodies, overwrites and deletes them, and uploads in parts."""

    def __init__(self, url: str, number: int, seed: int) -> None:
        self._url = url
        self._number = number
        self._random = Random(f"{seed}-{number}")
        self._version = 0
        self.ledger: defaultdict[Name, list[Write]] = defaultdict(list)
        self.acknowledged = 0
        self.refused = ""

    def write(self, buckets: Sequence[str], is_over: Callable[[], bool]) -> None:
        """Until it is over, or nobody answers any more."""
        with suppress(OSError, http.client.HTTPException), door(self._url) as opened:
            while not is_over():
                try:
                    self._write(opened, self._random.choice(buckets))
                except Refused as refused:
                    self.refused = str(refused)
                    return

    def upload(self, bucket: str) -> None:
        """Two parts, of which the first is as large as such a part has to be."""
        with door(self._url) as opened:
            self._upload(opened, (bucket, f"c{self._number}/parts"), [PART_BYTES_MIN, LARGE[0]])

    def _write(self, opened: Door, bucket: str) -> None:
        name = bucket, f"c{self._number}/k{self._random.randrange(KEYS)}"
        kind = self._random.choices(("small", "middle", "large", "parts", "delete"), (10, 3, 2, 1, 3))[0]
        exists = bool(self.ledger[name] and self.ledger[name][-1].sha256)
        if kind == "delete" and exists:
            self._note(name, Write(""), lambda: [self._asked(opened, "DELETE", name)])
        elif kind == "parts":
            self._upload(opened, name, [self._random.randint(*LARGE)])
        else:
            size = self._random.randint(*{"middle": MIDDLE, "large": LARGE}.get(kind, SMALL))
            body = self._random.randbytes(size)
            self._note(name, _write_of(body), lambda: [self._asked(opened, "PUT", name, body=body)])

    def _upload(self, opened: Door, name: Name, sizes: Sequence[int]) -> None:
        bodies = [self._random.randbytes(size) for size in sizes]

        def send() -> list[tuple[int, bytes, str]]:
            begun = self._asked(opened, "POST", name, "?uploads")
            upload = re.findall(rb"<UploadId>(.*?)</UploadId>", begun[1])[0].decode()
            parts = [
                self._asked(opened, "PUT", name, f"?partNumber={number}&uploadId={upload}", body=body)
                for number, body in enumerate(bodies, 1)
            ]
            listed = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
                for number, (_, _, etag) in enumerate(parts, 1)
            )
            whole = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
            return [begun, *parts, self._asked(opened, "POST", name, f"?uploadId={upload}", body=whole)]

        self._note(name, _write_of(*bodies), send)

    def _note(self, name: Name, write: Write, send: Callable[[], list[tuple[int, bytes, str]]]) -> None:
        self.ledger[name].append(write)
        places = tuple(place for place, _, _ in send())
        self.ledger[name][-1] = replace(write, places=places, answered=True)
        self.acknowledged += 1

    def _asked(
        self, opened: Door, method: str, name: Name, query: str = "", body: bytes = b""
    ) -> tuple[int, bytes, str]:
        """The place in the journal, the answer, and the ETag."""
        status, headers, answer = opened.ask(method, f"/{name[0]}/{name[1]}{query}", body)
        if status // 100 != 2:
            raise Refused(f"{method} {name[0]}/{name[1]}{query}: {status} {answer.decode(errors='replace')}")
        return place_of(headers), answer, headers.get("etag", "")


def place_of(headers: Mapping[str, str]) -> int:
    """The sequence number in an answer."""
    return int(headers["x-s3d-seq"].rpartition("-")[2])


def _write_of(*bodies: bytes) -> Write:
    digests = tuple(hashlib.sha256(body).hexdigest() for body in bodies)
    return Write(hashlib.sha256(b"".join(bodies)).hexdigest(), digests)


def together(clients: Sequence[Client], buckets: Sequence[str], is_over: Callable[[], bool]) -> list[threading.Thread]:
    """All of them at once; the threads have to be joined."""
    threads = [threading.Thread(target=one.write, args=(buckets, is_over), daemon=True) for one in clients]
    for thread in threads:
        thread.start()
    return threads


def merged(clients: Sequence[Client]) -> Ledger:
    """What all of them were told."""
    return {name: writes for one in clients for name, writes in one.ledger.items() if writes}


@dataclass(frozen=True)
class Found:
    """A key at the remote. `stamp` is what changes when it is written again."""

    sha256: str
    stamp: str


def read_remote(url: str, buckets: Sequence[str]) -> dict[Name, Found]:
    """Every object in these buckets, by reading S3; a bucket that is not there has none."""
    found: dict[Name, Found] = {}
    with door(url) as opened:
        for bucket in buckets:
            status, _, listed = opened.ask("GET", f"/{bucket}?list-type=2")
            if status == 404:
                continue
            assert b"<IsTruncated>false" in listed, "one page has all of a drill"
            for entry in re.findall("<Contents>(.*?)</Contents>", listed.decode(), re.DOTALL):
                key = re.findall("<Key>(.*?)</Key>", entry)[0]
                stamp = "".join(re.findall("<(?:LastModified|ETag)>.*?<", entry))
                status, _, body = opened.ask("GET", f"/{bucket}/{key}")
                assert status == 200, f"GET {bucket}/{key}: {status}"
                found[bucket, key] = Found(hashlib.sha256(body).hexdigest(), stamp)
    return found
