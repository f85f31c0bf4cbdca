"""A transcript as JSON lines while it is made, for SageMaker's InvokeEndpointWithResponseStream.

`{"partial": "text so far"}` any number of times, each taking the place of the one before;
`{"segment": {...}}` for every segment; `{"done": true, "result": {...}}`. A failure after the first
line is `{"error": {...}}` in place of what is missing; one before it is an ordinary error response.
"""

import asyncio

import msgspec
from aiohttp import web
from prometheus_client import Gauge

from endpoint.hearing import Hearing

READERS = Gauge("whisper_endpoint_stream_readers", "Clients that read a transcript while it is made.")
STREAM = web.RequestKey("stream", web.StreamResponse)
CONTENT_TYPE = "application/jsonlines"
LAST_WORD_SECONDS = 1.0
"""A reader that does not take its error within this time has stopped reading: its connection is cut."""


async def streamed(request: web.Request, hearing: Hearing) -> web.StreamResponse:
    """Write lines as they come; the headers go out with the first one."""
    with READERS.track_inprogress():
        async for text in hearing.texts():
            await _write(request, {"partial": text.strip()})
        result = await hearing.result()
        for segment in result.segments:
            await _write(request, {"segment": segment})
        response = await _write(request, {"done": True, "result": result})
        await response.write_eof()
    return response


async def broken_off(request: web.Request, error: dict[str, str]) -> web.StreamResponse:
    """End a stream that has begun."""
    try:
        async with asyncio.timeout(LAST_WORD_SECONDS):
            response = await _write(request, {"error": error})
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport:
            request.transport.abort()
    return request[STREAM]


async def _write(request: web.Request, line: dict[str, object]) -> web.StreamResponse:
    response = request.get(STREAM)
    if response is None:
        response = request[STREAM] = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await response.prepare(request)
    await response.write(msgspec.json.encode(line) + b"\n")
    return response
