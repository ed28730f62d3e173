"""Documents as answers of the admin listener."""

import msgspec
from aiohttp import web


def json_answer(value: object, status: int = 200) -> web.Response:
    """A document that nobody keeps a copy of."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=msgspec.json.encode(value) + b"\n", status=status, headers=headers)
