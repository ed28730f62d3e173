"""The limit of the stack: aiohttp's low-level server with a handler that reads the body and answers, nothing else.

Started as a program of its own, `python bare.py`; prints its port.
"""

import asyncio

from aiohttp import web
from aiohttp.web_request import BaseRequest

SMALL, PIECE, PIECES = b"x" * 4096, memoryview(b"x" * (1024 * 1024)), 64


async def answer(request: BaseRequest) -> web.StreamResponse:
    """Read whatever comes; give 64 MiB under a path that ends in `large`, else 4 KiB, and nothing to a PUT."""
    if request.method == "PUT":
        if (request.content_length or 0) <= 65536:
            await request.read()
        else:
            while await request.content.readany():
                pass
        return web.Response()
    if not request.raw_path.endswith("large"):
        return web.Response(body=SMALL)
    response = web.StreamResponse(headers={"Content-Length": str(PIECES * len(PIECE))})
    await response.prepare(request)
    for _ in range(PIECES):
        await response.write(PIECE)
    return response


async def main() -> None:
    """Serve until killed."""
    server = web.Server(answer, access_log=None, auto_decompress=False)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


asyncio.run(main())
