"""Our own container: a form of options and audio, and the whole result."""

import msgspec

from services.contracts.inference import AUDIO_PART, OPTIONS_PART, InferenceResult
from services.transcriber.contract import Adapter, Asked, Call, Carried
from services.transcriber.form import Part, multipart


def _call(asked: Asked) -> Call:
    body, content_type = multipart(
        (
            Part(OPTIONS_PART, msgspec.json.encode(asked.options), "application/json"),
            Part(AUDIO_PART, asked.flac, "audio/flac", "chunk.flac"),
        )
    )
    return Call(body=body, content_type=content_type)


def _result(raw: bytes, _asked: Asked) -> InferenceResult:
    return msgspec.json.decode(raw, type=InferenceResult)


NATIVE = Adapter(carries=frozenset(Carried), names_jobs=True, call=_call, result=_result)
