"""From an HTTP body to audio and checked options; every refusal names the field at fault."""

import asyncio
import re

import msgspec
from aiohttp import BodyPartReader, web

from endpoint.audio import Samples, decoded
from endpoint.errors import BadInput, TooLarge, UnknownType
from services.contracts.hotwords import InvalidHotwords, validated
from services.contracts.inference import AUDIO_PART, MAX_BODY_BYTES, OPTIONS_PART, InferenceOptions

MAX_TEMPERATURE = 1.0
PIECE_BYTES = 64 * 1024


class Chunk(msgspec.Struct, frozen=True):
    """What one request asks for."""

    audio: Samples
    options: InferenceOptions


async def read(request: web.Request) -> Chunk:
    """Read and check a whole request. Raises `Refused`."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {request.content_length} bytes: send at most {MAX_BODY_BYTES}")
    if request.content_type == "multipart/form-data":
        parts = await _parts(request)
    elif request.content_type.startswith("audio/"):
        parts = {AUDIO_PART: await _bare(request)}
    else:
        raise UnknownType(f"{request.content_type} is not read here: send multipart/form-data or audio/*")
    if AUDIO_PART not in parts:
        raise BadInput("the part `audio` is missing: send a FLAC or WAV file in it", AUDIO_PART)
    options = parsed(parts.get(OPTIONS_PART, b"{}"))
    return Chunk(await asyncio.to_thread(decoded, parts[AUDIO_PART]), options)


async def _parts(request: web.Request) -> dict[str, bytes]:
    """The two parts we know, by name; others are skipped."""
    parts: dict[str, bytes] = {}
    room = MAX_BODY_BYTES
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name in (AUDIO_PART, OPTIONS_PART):
                parts[part.name] = await _part(part, room)
                room -= len(parts[part.name])
    except ValueError as error:  # aiohttp's word for a malformed multipart body
        raise BadInput(f"the multipart body cannot be read: {error}") from error
    return parts


async def _part(part: BodyPartReader, room: int) -> bytes:
    body = bytearray()
    while piece := await part.read_chunk(PIECE_BYTES):
        body += piece
        if len(body) > room:
            raise TooLarge(f"the body has over {MAX_BODY_BYTES} bytes: send at most that")
    return bytes(body)


async def _bare(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge(f"the body has over {MAX_BODY_BYTES} bytes: send at most that") from error


def parsed(raw: bytes) -> InferenceOptions:
    """Options from their JSON, checked as far as no model is needed. Raises `BadInput`."""
    try:
        options = msgspec.json.decode(raw, type=InferenceOptions)
    except msgspec.ValidationError as error:
        raise BadInput(f"option not usable: {error}", _field(str(error))) from error
    except msgspec.DecodeError as error:
        raise BadInput(f"the options are not JSON: {error}", OPTIONS_PART) from error
    if not 0 <= options.temperature <= MAX_TEMPERATURE:
        raise BadInput(
            f"temperature {options.temperature} is outside 0 to {MAX_TEMPERATURE:g}", "temperature"
        )
    return _with_checked_hotwords(options)


def _with_checked_hotwords(options: InferenceOptions) -> InferenceOptions:
    if options.hotwords is None:
        return options
    try:
        hotwords = validated(
            method=options.hotwords.method,
            words=options.hotwords.words,
            boost_factor=options.hotwords.boost_factor,
        )
    except InvalidHotwords as error:
        raise BadInput(str(error), f"hotwords.{error.field}") from error
    return msgspec.structs.replace(options, hotwords=hotwords)


def _field(message: str) -> str:
    """`hotwords.words` from msgspec's "... - at `$.hotwords.words[0]`"."""
    found = re.search(r"`\$\.([\w.]+)", message)
    return found[1] if found else OPTIONS_PART
