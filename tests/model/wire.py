"""The smallest client that can say what the model wants said: unsigned requests on one connection, XML taken apart.

boto3 would cost more than the daemon does, and hide what does not fit its shapes.
"""

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from model.values import Attributes

ANSWER_SECONDS_MAX = 60.0
NAMESPACE = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
TOKEN_KEY = "s3d-token"  # the daemon's own entry at the remote; docs/semantics.md


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def code(self) -> str:
        """S3's code of an error; empty for a success. Answers without a document are named by their status."""
        if self.ok:
            return ""
        return (self.body and self.xml.findtext("Code")) or f"HTTP {self.status}"

    @property
    def xml(self) -> ET.Element:
        return ET.fromstring(self.body.replace(NAMESPACE, b""))

    @property
    def etag(self) -> str:
        return self.headers["etag"].strip('"')

    @property
    def attributes(self) -> Attributes:
        """What the object was given, as GET and HEAD show it."""
        prefix = "x-amz-meta-"
        metadata = {
            name.removeprefix(prefix): value
            for name, value in self.headers.items()
            if name.startswith(prefix) and name != prefix + TOKEN_KEY
        }
        return Attributes(self.headers.get("content-type", ""), metadata)

    def all(self, path: str) -> list[str]:
        """The texts of the elements at a path."""
        return [element.text or "" for element in self.xml.findall(path)]


class Wire:
    """Requests to one daemon; a connection that has ended is made anew."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)

    def close(self) -> None:
        self._connection.close()

    def ask(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """One request and its answer."""
        target = f"/{bucket}" + (f"/{quote(key, safe='/~')}" if key else "")
        if query:
            target += "?" + urlencode(query, quote_via=quote)
        self._connection.request(method, target, body=body, headers=dict(headers or {}))
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())

    def json(self, path: str) -> Any:
        """A document of the admin listener."""
        self._connection.request("GET", path)
        return json.loads(self._connection.getresponse().read())


def put_headers(attributes: Attributes, tags: Mapping[str, str], condition: Mapping[str, str]) -> dict[str, str]:
    """What PutObject and CreateMultipartUpload say about the object."""
    headers = {f"x-amz-meta-{name}": value for name, value in attributes.metadata.items()} | dict(condition)
    if attributes.content_type:
        headers["Content-Type"] = attributes.content_type
    if tags:
        headers["x-amz-tagging"] = urlencode(tags, quote_via=quote)
    return headers


def copy_source(bucket: str, key: str) -> dict[str, str]:
    return {"x-amz-copy-source": quote(f"{bucket}/{key}", safe="/~")}


def delete_document(keys: Iterable[str]) -> bytes:
    inner = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f"<Delete>{inner}</Delete>".encode()


def tagging_document(tags: Mapping[str, str]) -> bytes:
    inner = "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in tags.items())
    return f"<Tagging><TagSet>{inner}</TagSet></Tagging>".encode()


def complete_document(parts: Iterable[tuple[int, str]]) -> bytes:
    inner = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    return f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()


def tags_in(answer: Answer) -> dict[str, str]:
    """Of GetObjectTagging."""
    return {tag.findtext("Key", ""): tag.findtext("Value", "") for tag in answer.xml.findall("TagSet/Tag")}
