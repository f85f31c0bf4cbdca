"""SageMaker Runtime on one machine: passes InvokeEndpoint on to our container, with AWS's error shapes.

usage: python -m services.dev.sagemaker_runtime CONTAINER_URL PORT    (on all addresses, for other containers)

Shapes: the sagemaker-runtime service model in botocore. A refusal is JSON with a `Message` and the
error's name in the header `x-amzn-ErrorType`; a container's own refusal becomes a ModelError (424).
"""

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from services.common.service import site

MODEL_SECONDS = 60.0
"""How long SageMaker waits for a container."""
MAX_BODY_BYTES = 6 * 1024 * 1024
PASSED_ON = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")

CONTAINER = web.AppKey("container", str)
SESSION = web.AppKey("session", aiohttp.ClientSession)


@contextlib.asynccontextmanager
async def sagemaker_runtime(container_url: str, port: int, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve the runtime in front of one container; yields its URL."""
    app = web.Application(client_max_size=2 * MAX_BODY_BYTES)
    app[CONTAINER] = container_url
    app.cleanup_ctx.append(_session)
    app.add_routes([web.post("/endpoints/{name}/invocations", _invoke)])
    async with site(app, host, port, shutdown_seconds=0.1):
        yield f"http://127.0.0.1:{port}"


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256)) as session:
        app[SESSION] = session
        yield


async def _invoke(request: web.Request) -> web.Response:
    body = await request.read()
    if len(body) > MAX_BODY_BYTES:
        return refusal("ValidationError", 400, "Request body is too large")
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            return await _passed_on(request.app, body, headers)
    except TimeoutError:
        return refusal("ModelError", 424, "The container timed out", original=0)
    except aiohttp.ClientError as error:
        return refusal("ServiceUnavailable", 503, f"The container cannot be reached: {error}")


async def _passed_on(app: web.Application, body: bytes, headers: dict[str, str]) -> web.Response:
    url = f"{app[CONTAINER]}/invocations"
    async with app[SESSION].post(url, data=body, headers=headers) as answer:
        said = await answer.read()
        if answer.status == 503:
            return refusal("ModelNotReadyException", 429, "The model is not ready for inference requests")
        if answer.status >= 400:
            return refusal(
                "ModelError", 424, _received(answer.status, said), original=answer.status, said=said
            )
        return web.Response(
            body=said,
            headers={
                "Content-Type": answer.headers.get("Content-Type", "application/octet-stream"),
                "x-Amzn-Invoked-Production-Variant": "AllTraffic",
                "x-amzn-RequestId": str(uuid.uuid4()),
            },
        )


def _received(status: int, said: bytes) -> str:
    side = "client" if status < 500 else "server"
    return (
        f'Received {side} error ({status}) from primary with message "{said[:512].decode(errors="replace")}"'
    )


def refusal(
    error: str, status: int, message: str, *, original: int | None = None, said: bytes = b""
) -> web.Response:
    """An answer that boto raises as the modelled exception `error`."""
    body: dict[str, object] = {"Message": message}
    if error == "ModelError":
        body |= {
            "OriginalStatusCode": original or 0,
            "OriginalMessage": said[:1024].decode(errors="replace"),
            "LogStreamArn": "arn:aws-cn:logs:local:000000000000:log-group:/aws/sagemaker/Endpoints/local",
        }
    headers = {"x-amzn-ErrorType": error, "x-amzn-RequestId": str(uuid.uuid4())}
    return web.json_response(body, status=status, headers=headers)


async def _serve(container_url: str, port: str) -> None:
    async with sagemaker_runtime(container_url, int(port), "0.0.0.0"):  # noqa: S104  # other containers call it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
