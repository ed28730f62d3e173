"""Who asks the admin listener to change something.

Everything that changes something is a POST. While there are no operators, whoever reaches the listener may; where there
are, a POST needs the token of one of them (`Authorization: Bearer TOKEN`), and the journal says whose it was. What a
command says of itself in `X-S3d-Claimed-By` is kept beside that, and proves nothing.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Middleware

from s3d.auth.operators import Operator, Operators, claim_of
from s3d.http.answers import json_answer
from s3d.telemetry.report import Problem

CLAIMED_BY = "X-S3d-Claimed-By"
_OPERATOR = web.RequestKey("operator", Operator)
_HINT = "an operator has a token: name its file with S3D_TOKEN_FILE (`s3d audit operator` makes one)"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refused = Callable[[str, str, str, str, str, str], object]
"""Who counts what was refused: see `notary.refusals.Refusals.note`."""


class OperatorGate:
    """A middleware; `replace` puts other operators in force."""

    def __init__(self, operators: Operators, refused: Refused) -> None:
        self._operators = operators
        self._refused = refused

    def replace(self, operators: Operators) -> None:
        """From the next request on."""
        self._operators = operators

    def middleware(self) -> Middleware:
        """For the application."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            claimed = claim_of(unquote(request.headers.get(CLAIMED_BY, "")))
            operator = Operator(claimed=claimed)
            if self._operators and request.method == "POST":
                name = self._operators.prove(request.headers.get("Authorization", ""))
                if name is None:
                    return self._turn_away(request)
                operator = Operator(f"operator:{name}", claimed)
            request[_OPERATOR] = operator
            return await handler(request)

        return check

    def _turn_away(self, request: web.Request) -> web.Response:
        given = "Authorization" in request.headers
        self._refused("UnknownOperator", request.remote or "", request.method, f"admin:{request.path}", "", "")
        error = "this is no operator's token" if given else "this needs an operator's token"
        answer = json_answer(Problem(error, _HINT), status=401)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="s3d"'
        return answer


def operator_of(request: web.Request) -> Operator:
    """Who asks."""
    return request[_OPERATOR]
