"""Which operation a request asks for.

S3 tells operations apart by method, by whether there is a bucket and a key, by *sub-resources* (`?acl`, `?uploads`),
and among what is left by parameters and headers that only one of them requires (`uploadId`, `x-amz-copy-source`). All
of it comes from the model. Two rules keep a request that we do not understand from doing harm:

- a sub-resource that no operation knows is never dropped from a PUT, POST or DELETE: `PUT /bucket?inventoryReport`
  must not create a bucket;
- half of an upload's address (`uploadId` without `partNumber`) is refused, not stored as an object.

Everything else in the query is ignored, as S3 does: SDKs add `x-id`, proxies add parameters of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from s3d.errors import S3Error
from s3d.protocol import patches
from s3d.protocol.errors import MESSAGE
from s3d.protocol.model import Level, Operation, Service

POST_OBJECT: Final = "PostObject"  # a form upload: a request of S3 that the model does not describe
COPY_SOURCE: Final = "x-amz-copy-source"
CHANGING_METHODS: Final = frozenset({"PUT", "POST", "DELETE"})
IGNORED_PREFIXES: Final = ("x-amz-", "response-")
IGNORED: Final = frozenset({"x-id", "awsaccesskeyid", "signature", "expires"})


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An operation and what only its requests have."""

    operation: str
    parameters: tuple[tuple[str, str], ...]  # name and the value it must have, "" for any
    headers: tuple[str, ...]

    def matches(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        return all(name in query and (not value or query[name] == value) for name, value in self.parameters) and all(
            name in headers for name in self.headers
        )


class Router:
    """Compiled once; `route` is pure."""

    def __init__(self, service: Service) -> None:
        operations = [o for o in service.operations.values() if o.name not in patches.UNROUTED]
        self._paths = {(o.method, o.path): o.name for o in operations if o.path}
        self._table = _table(o for o in operations if not o.path)
        self._levels: dict[tuple[str, str], set[Level]] = {}
        for method, level, subresource in self._table:
            self._levels.setdefault((method, subresource), set()).add(level)
        self._subresources = {subresource for _, _, subresource in self._table if subresource}
        self._known = self._subresources | _parameters(operations)
        self._addresses = _addresses(self._table)
        self._selectors = self._subresources | {
            name
            for (_, level, subresource), candidates in self._table.items()
            if level == "object" and not subresource
            for candidate in candidates
            for name, _ in candidate.parameters
        }

    def route(
        self,
        method: str,
        bucket: str | None,
        key: str | None,
        query: list[tuple[str, str | None]],
        headers: Mapping[str, str],
    ) -> str:
        """The operation's name, or "PostObject".

        `query` is percent-decoded, `headers` case-insensitive. Raises S3Error: MethodNotAllowed, NotImplemented,
        InvalidArgument or InvalidRequest, as S3 does.
        """
        if bucket and key and not self._selects(method, query):
            if method == "GET":
                return "GetObject"
            if method == "PUT":
                return "CopyObject" if COPY_SOURCE in headers else "PutObject"
            if method == "HEAD":
                return "HeadObject"
            if method == "DELETE":
                return "DeleteObject"
        return self._choose(method, bucket, key, query, headers)

    def _selects(self, method: str, query: list[tuple[str, str | None]]) -> bool:
        """Whether anything in the query could decide, or must be refused."""
        for name, value in query:  # noqa: SIM110  (a generator costs more than the loop does)
            if name in self._selectors or (not value and method in CHANGING_METHODS):
                return True
        return False

    def _choose(
        self,
        method: str,
        bucket: str | None,
        key: str | None,
        query: list[tuple[str, str | None]],
        headers: Mapping[str, str],
    ) -> str:
        level: Level = "service" if not bucket else "object" if key else "bucket"
        if level == "bucket" and (method, bucket) in self._paths:
            return self._paths[method, str(bucket)]
        values = {name: value or "" for name, value in query}
        subresource = self._subresource(method, query)
        candidates = self._table.get((method, level, subresource), ())
        for candidate in candidates:
            if candidate.matches(values, headers):
                self._refuse_half_an_address(method, candidate, values)
                return candidate.operation
        if method == "POST" and level == "bucket" and not subresource:
            self._refuse_half_an_address(method, None, values)
            return POST_OBJECT
        raise self._refusal(method, level, subresource, candidates)

    def _subresource(self, method: str, query: list[tuple[str, str | None]]) -> str:
        found = ""
        for name, value in query:
            if name in self._subresources:
                if found and name != found:
                    raise _conflicting(found, name)
                found = name
            elif not value and method in CHANGING_METHODS and not self._ignorable(name):
                raise S3Error(
                    "NotImplemented",
                    "A parameter you provided implies functionality that is not implemented.",
                    details={"ResourceType": name},
                )
        return found

    def _ignorable(self, name: str) -> bool:
        lower = name.lower()
        return name in self._known or lower in IGNORED or lower.startswith(IGNORED_PREFIXES)

    def _refuse_half_an_address(self, method: str, chosen: _Candidate | None, values: Mapping[str, str]) -> None:
        used = {name for name, _ in chosen.parameters} if chosen else set()
        for name in self._addresses.get(method, ()):
            if name in values and name not in used:
                raise S3Error(
                    "InvalidArgument",
                    f"This operation does not accept a query-string parameter '{name}' alone.",
                    details={"ArgumentName": name, "ArgumentValue": values[name]},
                )

    def _refusal(self, method: str, level: Level, subresource: str, candidates: tuple[_Candidate, ...]) -> S3Error:
        if candidates and subresource:  # the sub-resource is right, a parameter that goes with it is not
            name = next((name for name, _ in candidates[-1].parameters), "")
            return S3Error(
                "InvalidArgument",
                f"Missing or wrong value for the parameter '{name}'.",
                details={"ArgumentName": name, "ArgumentValue": ""},
            )
        elsewhere = self._levels.get((method, subresource), set()) if subresource else set()
        if level == "object" and "bucket" in elsewhere:
            return S3Error("InvalidRequest", f"Key is not expected for the {method} method ?{subresource} subresource")
        if level == "bucket" and "object" in elsewhere:
            return S3Error("InvalidRequest", "A key must be specified")
        resource = subresource or level
        return S3Error(
            "MethodNotAllowed",
            MESSAGE["MethodNotAllowed"],
            details={"Method": method, "ResourceType": resource.upper()},
        )


_Table = dict[tuple[str, Level, str], tuple[_Candidate, ...]]


def _table(operations: Iterable[Operation]) -> _Table:
    """(method, level, sub-resource) -> candidates, the most demanding first."""
    groups: dict[tuple[str, Level, str], list[_Candidate]] = {}
    for operation in operations:
        subresource = next((name for name, value in operation.literals if not value), "")
        groups.setdefault((operation.method, operation.level, subresource), []).append(_candidate(operation))
    return {place: _told_apart(candidates, place[2]) for place, candidates in groups.items()}


def _candidate(operation: Operation) -> _Candidate:
    required = [member for member in operation.input.head if member.required]
    parameters = [(member.wire, "") for member in required if member.location == "querystring"]
    return _Candidate(
        operation=operation.name,
        parameters=(*((name, value) for name, value in operation.literals if value), *parameters),
        headers=tuple(member.wire for member in required if member.location == "header"),
    )


def _told_apart(candidates: list[_Candidate], subresource: str) -> tuple[_Candidate, ...]:
    """In order of demand. A sub-resource's only operation needs nothing else: what it misses, the parser says."""
    if subresource and len(candidates) == 1:
        lone = candidates[0]
        return (_Candidate(lone.operation, tuple((name, value) for name, value in lone.parameters if value), ()),)
    ordered = sorted(candidates, key=lambda c: len(c.parameters) + len(c.headers), reverse=True)
    demands = [(c.parameters, c.headers) for c in ordered]
    assert len(set(demands)) == len(demands), f"the model cannot tell apart {[c.operation for c in ordered]}"
    return tuple(ordered)


def _addresses(table: _Table) -> dict[str, frozenset[str]]:
    """Per changing method, the parameters that select without a sub-resource: they address an upload."""
    found: dict[str, frozenset[str]] = {}
    for (method, _, subresource), candidates in table.items():
        if method in CHANGING_METHODS and not subresource:
            names = frozenset(name for c in candidates for name, _ in c.parameters)
            found[method] = found.get(method, frozenset()) | names
    return found


def _parameters(operations: Iterable[Operation]) -> set[str]:
    return {member.wire for o in operations for member in o.input.head if member.location == "querystring"}


def _conflicting(first: str, second: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        f"Conflicting query string parameters: {first}, {second}",
        details={"ArgumentName": "ResourceType", "ArgumentValue": first},
    )
