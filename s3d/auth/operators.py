"""Who decides something at the admin listener: proved by a token, or only said.

The configuration has the SHA-256 of each operator's token, so that whoever can read it cannot act as one of them. A
token has 256 random bits (`s3d audit operator` makes one), so that a plain hash is enough: there is nothing to guess.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256

import msgspec

UNPROVED = "admin"
CLAIM_CHARACTERS_MAX = 200
_SCHEME = "bearer "


class Operator(msgspec.Struct, frozen=True):
    """Who it was. `caller` is what is certain: `operator:NAME` for whoever had NAME's token, `admin` for anybody who
    reached the listener while there are no operators. `claimed` is what the command said of itself, `login@host`:
    nobody verifies that.
    """

    caller: str = UNPROVED
    claimed: str = ""


NOBODY_IN_PARTICULAR = Operator()


class Operators:
    """The operators that there are, by name, with the SHA-256 of their tokens in hexadecimal."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        self._digests = {name: bytes.fromhex(digest) for name, digest in digests.items()}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def prove(self, authorization: str) -> str | None:
        """The name of the operator whose token a request carries (`Authorization: Bearer TOKEN`); None: nobody's.

        It takes as long whoever it is, and whether or not it is anybody.
        """
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        given = sha256(authorization[len(_SCHEME) :].strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found


def claim_of(text: str) -> str:
    """What a command says of itself, as it is kept: printable, and not without end."""
    return "".join(one for one in text if one.isprintable())[:CLAIM_CHARACTERS_MAX]
