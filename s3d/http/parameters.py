"""The parameters of a request to the admin listener: those that it takes, and none besides."""

from aiohttp import web

from s3d.errors import S3dError


def only(request: web.Request, *names: str) -> None:
    """Refuse what is mistyped: a parameter without effect would look as if it had one. Raises S3dError."""
    for name in request.query:
        if name not in names:
            raise S3dError(
                f"{name!r} is not a parameter of {request.path}", hint=f"it takes {', '.join(names) or 'none'}"
            )


def limit_of(request: web.Request, usual: int, most: int) -> int:
    """How many are asked for in one page. Raises S3dError."""
    text = request.query.get("limit", str(usual))
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
    if not 1 <= limit <= most:
        raise S3dError(f"limit is a number from 1 to {most}")
    return limit
