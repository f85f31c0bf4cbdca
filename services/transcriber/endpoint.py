"""The SageMaker endpoint: one call a chunk, no hidden retries."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from prometheus_client import Counter

from services.common.stages import STAGE_SECONDS
from services.contracts.inference import MAX_BODY_BYTES, InferenceOptions, InferenceResult, Task, Timestamps
from services.transcriber.adapters import ADAPTERS
from services.transcriber.contract import Asked, Call, Carried, Contract
from services.transcriber.errors import CALL_CODES, AudioRejected, ModelFailed
from services.transcriber.hotwords import report, steering
from services.transcriber.refusals import CALL_ERRORS, MODEL_RETRY_SECONDS, translated
from services.transcriber.settings import Settings

log = structlog.get_logger()

CALLS = Counter("whisper_endpoint_calls_total", "Calls of the endpoint", ["outcome"])
for outcome in ("ok", "nonsense", *CALL_CODES):
    CALLS.labels(outcome)
INVOKE_SECONDS = STAGE_SECONDS.labels("invoke")


class Endpoint:
    """Transcribes chunks by InvokeEndpoint, under the contract that the endpoint's container follows."""

    def __init__(
        self, client: Any, name: str, contract: Contract = Contract.NATIVE, component: str = ""
    ) -> None:
        """`component` names an inference component of the endpoint, where it has any."""
        self._client = client
        self._address = {"EndpointName": name} | ({"InferenceComponentName": component} if component else {})
        self._contract = contract
        self._adapter = ADAPTERS[contract]

    async def transcribe(
        self, flac: bytes, options: InferenceOptions, seconds: float, *, attributes: str = ""
    ) -> InferenceResult:
        """Text of `seconds` of audio, at most 30; times from its start.

        `attributes` (`contracts.traces`) tell our own container whose chunk it is. Raises the errors of
        `services.transcriber.errors`.
        """
        self._check(options)
        steered = steering(options.hotwords, self._contract, self._adapter.carries)
        prompt = f"{options.prompt} {steered.prompt}".strip()  # the model keeps the end of a long one
        asked = Asked(flac=flac, seconds=seconds, options=options, prompt=prompt)
        call = await asyncio.to_thread(self._adapter.call, asked)
        if len(call.body) > MAX_BODY_BYTES:
            raise AudioRejected(
                f"the request has {len(call.body)} bytes, the endpoint takes {MAX_BODY_BYTES}"
            )
        if self._adapter.names_jobs:
            call = msgspec.structs.replace(call, attributes=attributes)
        began = time.monotonic()
        answer = await self._invoked(call)
        seconds_taken = time.monotonic() - began
        result = self._read(answer, asked)
        INVOKE_SECONDS.observe(seconds_taken)
        if Carried.BIAS in self._adapter.carries or options.hotwords is None:
            return result
        told = report(options.hotwords, steered, result.segments)
        return msgspec.structs.replace(result, hotwords=told)

    def notices(self, options: InferenceOptions, result: InferenceResult) -> tuple[str, ...]:
        """What of the options had no effect, in sentences; hotwords have a report of their own."""
        lost = []
        if options.language and Carried.LANGUAGE not in self._adapter.carries:
            lost.append(
                f"The endpoint's contract {self._contract} cannot carry a language: the model chose it."
            )
        if options.languages and Carried.LANGUAGES not in self._adapter.carries:
            lost.append(
                f"The endpoint's contract {self._contract} cannot limit the languages: the model chose one."
            )
        if options.prompt and Carried.PROMPT not in self._adapter.carries:
            lost.append(f"The endpoint's contract {self._contract} cannot carry a prompt.")
        if options.temperature and Carried.TEMPERATURE not in self._adapter.carries:
            lost.append(f"The endpoint's contract {self._contract} cannot carry a temperature.")
        if options.timestamps is Timestamps.WORD and result.words is None:
            lost.append("The endpoint gave no times of words.")
        return tuple(lost)

    def _check(self, options: InferenceOptions) -> None:
        """Text in the language spoken is no translation: better none."""
        if options.task is Task.TRANSLATE and Carried.TRANSLATION not in self._adapter.carries:
            raise AudioRejected(
                f"the endpoint's contract {self._contract} cannot ask for a translation",
                code="cannot_translate",
            )

    async def _invoked(self, call: Call) -> bytes:
        attributes = {"CustomAttributes": call.attributes} if call.attributes else {}
        try:
            answer = await self._client.invoke_endpoint(
                **self._address,
                ContentType=call.content_type,
                Accept=call.accept,
                Body=call.body,
                **attributes,
            )
            async with answer["Body"] as body:  # an answer that breaks off gives its connection back
                return bytes(await body.read())
        except CALL_ERRORS as error:
            problem = translated(error)
            CALLS.labels(problem.code).inc()
            raise problem from error

    def _read(self, raw: bytes, asked: Asked) -> InferenceResult:
        try:
            result = self._adapter.result(raw, asked)
        except (msgspec.DecodeError, ValueError) as error:
            CALLS.labels("nonsense").inc()
            raise ModelFailed(
                f"the endpoint answered something else than a transcript: {raw[:100]!r}; "
                f"is ENDPOINT_CONTRACT={self._contract} right?",
                retry_after=MODEL_RETRY_SECONDS,
            ) from error
        CALLS.labels("ok").inc()
        return result


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Endpoint]:
    """The endpoint of the settings, with a connection for each slot and no retries of botocore's own."""
    _warn(settings.endpoint_contract)
    config = AioConfig(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=settings.transcriber_slots,
    )
    session = get_session()
    async with session.create_client(
        "sagemaker-runtime", region_name=settings.aws_region, config=config
    ) as client:
        yield Endpoint(
            client,
            settings.sagemaker_endpoint,
            settings.endpoint_contract,
            settings.sagemaker_inference_component,
        )


def _warn(contract: Contract) -> None:
    """Jobs that ask for what the contract has no field for do not get it: say so before the first."""
    lacking = sorted(set(Carried) - ADAPTERS[contract].carries)
    if lacking:
        log.warning("contract_limited", contract=contract, cannot_carry=", ".join(lacking))
