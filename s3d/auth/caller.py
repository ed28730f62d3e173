"""The one result of authentication: everything behind the door sees a `Caller` and never a header.

A handler that wanted to look at the access key of a request by itself could trust one that nobody verified; so the
only way to one is through `sigv4.Verifier` (or another surface's own verification, such as the owner of a mount).
"""

from typing import Literal

import msgspec


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks. `access_key` is empty for the anonymous; `source` is the peer's address as the surface saw it.

    A drop folder asks for the device that writes into it: then it is `drop:` and the folder's name.
    """

    access_key: str
    kind: Literal["key", "anonymous", "drop"]
    source: str = ""


ANONYMOUS = Caller(access_key="", kind="anonymous")
