"""The limit of the stack: aiohttp's low-level server with a handler that reads the body and answers, nothing else.

Started as a program of its own, `python bare.py`; prints its port.
"""

import asyncio
import tempfile

from aiohttp import web
from aiohttp.web_request import BaseRequest

SMALL, LARGE_BYTES = b"x" * 4096, 64 * 1024 * 1024
_file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the program runs
_file.write(b"x" * LARGE_BYTES)
_file.flush()


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
    return await _send_file(request)


async def _send_file(request: BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(LARGE_BYTES)})
    writer = await response.prepare(request)
    assert writer is not None
    assert request.transport is not None
    writer.send_headers()
    await asyncio.get_running_loop().sendfile(request.transport, _file, 0, LARGE_BYTES)
    await response.write_eof()
    return response


async def main() -> None:
    """Serve until killed."""
    server = web.Server(answer, access_log=None, auto_decompress=False)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


asyncio.run(main())
