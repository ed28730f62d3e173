"""What a remote answers besides the truth: every failure of the groups N, R and A that one call can meet.

Each is an answer as the wire has it (S3's code and the status, or none), judged by `classify` like any other, and a
likelihood that the request has taken effect although it was answered so. What can go wrong for longer than a call (an
outage, a lock-out, a bucket that somebody removes) is a switch of the remote in service.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from s3d.remote.failures import RemoteFailure, classify

HANG_SECONDS = 60.0
HALF_OPEN_SECONDS = 900.0  # no end of the connection ever comes: only a time-out of the system's own
AT_ONCE = 1.0


@dataclass(frozen=True)
class Trouble:
    """An answer, how likely the request took effect, how long it takes at most, whether anything went out."""

    code: str
    status: int = 0
    effect: float = 0.0
    seconds: float = AT_ONCE
    sent: bool = True

    def failure(self) -> RemoteFailure:
        """As the client of the remote raises it."""
        kind = classify(self.code, self.status, sent=self.sent)
        return RemoteFailure(kind, code=self.code, status=self.status, message=f"{self.code} in the simulation")


TROUBLES: Mapping[str, Trouble] = {
    # N: the network, and what stands in it
    "refused": Trouble("EndpointConnectionError", sent=False),
    "no name": Trouble("gaierror", sent=False),
    "another's certificate": Trouble("SSLError", sent=False),
    "reset": Trouble("ConnectionClosedError", effect=0.5),
    "timeout": Trouble("ReadTimeoutError", effect=0.5, seconds=HANG_SECONDS),
    "half-open": Trouble("ReadTimeoutError", effect=0.5, seconds=HALF_OPEN_SECONDS),
    "truncated": Trouble("IncompleteRead", effect=1.0),
    "proxy asks who": Trouble("407", 407),
    "proxy 502": Trouble("502", 502, effect=0.5),
    "proxy 504": Trouble("504", 504, effect=0.5, seconds=HANG_SECONDS),
    "portal": Trouble("MalformedAnswer", 200),
    "portal moves": Trouble("302", 302),
    # R: answers of the remote
    "500": Trouble("InternalError", 500, effect=0.5),
    "503": Trouble("ServiceUnavailable", 503),
    "SlowDown": Trouble("SlowDown", 503),
    "429": Trouble("TooManyRequests", 429),
    "200 with an error": Trouble("InternalError", 200),
    "408": Trouble("RequestTimeout", 400),
    "conflict": Trouble("ConditionalRequestConflict", 409),
    "aborted": Trouble("OperationAborted", 409),
    "another region": Trouble("PermanentRedirect", 301),
    "teapot": Trouble("SomethingNew", 418),
    # A: credentials, clocks, keys
    "expired": Trouble("ExpiredToken", 400),
    "revoked": Trouble("InvalidAccessKeyId", 403),
    "signature": Trouble("SignatureDoesNotMatch", 403),
    "region": Trouble("AuthorizationHeaderMalformed", 400),
    "skewed": Trouble("RequestTimeTooSkewed", 403),
    "kms": Trouble("KMS.DisabledException", 400),
    "suspended": Trouble("AccountProblem", 403),
}
LOST = ("reset", "timeout", "half-open", "truncated", "500")  # nobody knows what became of the request
# R4, R5, B8, B10: refused to one object for good, until somebody mends it there.
SICKNESSES: Mapping[str, int] = {
    "AccessDenied": 403,
    "InvalidArgument": 400,
    "MethodNotAllowed": 405,
    "InvalidObjectState": 403,
    "EntityTooLarge": 400,
    "NotImplemented": 501,
}


@dataclass
class Weather:
    """How likely a call goes wrong, and how; `sick` keys are refused for good, by these codes, until they are healed.

    `may_park` has every code for which a record may by now be waiting for a person. Both are those of all remotes.
    """

    random: Random
    trouble: float = 0.0
    kinds: tuple[str, ...] = tuple(TROUBLES)
    sick: dict[str, str] = field(default_factory=dict)
    may_park: set[str] = field(default_factory=set)

    def strikes(self) -> str | None:
        """What becomes of the next call; None: nothing unusual."""
        return self.random.choice(self.kinds) if self.random.random() < self.trouble else None

    def sicken(self, key: str) -> None:
        """From now on this key is refused."""
        code = self.random.choice(sorted(SICKNESSES))
        self.sick[key] = code
        self.may_park.add(code)

    def refusal(self, key: object) -> RemoteFailure | None:
        """What a change of this key is answered; None: it is well."""
        code = self.sick.get(str(key))
        if code is None:
            return None
        return Trouble(code, SICKNESSES[code]).failure()
