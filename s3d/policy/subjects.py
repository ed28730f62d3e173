"""What filters look at when an object is written: its name, and what the request says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

_HEADERS = {
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "Expires": "expires",
}


@dataclass(frozen=True, slots=True)
class Written:
    """Implements `filters.Subject`. `given` is the input that is kept, under botocore's names, checked before.

    `size_bytes` is None where the object's size is not known: of an upload in parts.
    """

    bucket: str
    key: str
    given: Mapping[str, Any]
    size_bytes: int | None

    @property
    def tags(self) -> Mapping[str, str]:
        return dict(parse_qsl(self.given.get("Tagging", ""), keep_blank_values=True))

    @property
    def headers(self) -> Mapping[str, str]:
        found = {name: str(self.given[given]) for given, name in _HEADERS.items() if given in self.given}
        return found if self.size_bytes is None else found | {"content-length": str(self.size_bytes)}

    @property
    def metadata(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.given.get("Metadata", {}).items()}
