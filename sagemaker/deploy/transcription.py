"""`test`: one file through the endpoint, as the transcriber would send it."""

import shutil
import subprocess
import time
import uuid
from typing import Any

import msgspec

from deploy import plan
from deploy.arguments import Test
from deploy.aws import Aws
from deploy.errors import DeployError
from services.contracts.hotwords import InvalidHotwords, validated
from services.contracts.inference import (
    AUDIO_PART,
    MAX_AUDIO_SECONDS,
    MAX_BODY_BYTES,
    OPTIONS_PART,
    SAMPLE_RATE,
    InferenceOptions,
    InferenceResult,
)

WAKING = ("no capacity", "ModelNotReady", "not ready for inference")
"""What AWS says while a scaled-to-zero endpoint starts; the request itself is what wakes it."""


def test(aws: Aws, wanted: Test) -> None:
    """Print the text, the hotwords' report, and the seconds it took."""
    body, content_type = _multipart(_audio(aws, wanted), msgspec.json.encode(_options(wanted)))
    if len(body) > MAX_BODY_BYTES:
        raise DeployError(f"the request has {len(body)} bytes, the endpoint takes {MAX_BODY_BYTES}")
    call: dict[str, Any] = {"EndpointName": wanted.name, "ContentType": content_type, "Body": body}
    component = plan.component_name(wanted.name)
    if aws.find("sagemaker", "describe_inference_component", InferenceComponentName=component):
        call["InferenceComponentName"] = component
    raw, seconds = _answer(aws, wanted, call | {"Accept": "application/json"})
    try:
        result = msgspec.json.decode(raw, type=InferenceResult)
    except msgspec.DecodeError as error:
        raise DeployError(f"the endpoint is no Whisper of ours, it answers {raw[:200]!r}") from error
    aws.console.result(result.text)
    if result.hotwords:
        aws.console.say(f"hotwords: {msgspec.json.encode(result.hotwords).decode()}")
    aws.console.say(f"{result.language}, {seconds:.2f} s")


def _answer(aws: Aws, wanted: Test, call: dict[str, Any]) -> tuple[bytes, float]:
    """The first answer that is one, and its seconds; an endpoint that starts from zero is waited for."""
    began = time.monotonic()
    while True:
        sent = time.monotonic()
        try:
            raw = aws.read("sagemaker-runtime", "invoke_endpoint", **call)["Body"].read()
            return raw, time.monotonic() - sent
        except DeployError as error:
            waking = any(text in str(error) for text in WAKING)
            if not waking or time.monotonic() - began > wanted.wait_minutes * 60:
                raise
        aws.console.progress(wanted.name, "starts an instance", time.monotonic() - began)
        time.sleep(wanted.poll_seconds)


def _options(wanted: Test) -> InferenceOptions:
    if not wanted.hotwords:
        return InferenceOptions(language=wanted.language)
    try:
        hotwords = validated(method=wanted.method, words=wanted.hotwords, boost_factor=wanted.boost)
    except InvalidHotwords as error:
        raise DeployError(str(error)) from error
    return InferenceOptions(language=wanted.language, hotwords=hotwords)


def _audio(aws: Aws, wanted: Test) -> bytes:
    """The first 30 s as FLAC; without ffmpeg the file as it is."""
    if not shutil.which("ffmpeg"):
        aws.console.say("ffmpeg is not on PATH: the file is sent as it is (FLAC or WAV, 16 kHz mono, 30 s)")
        return wanted.file.read_bytes()
    limits = ["-t", str(MAX_AUDIO_SECONDS), "-ac", "1", "-ar", str(SAMPLE_RATE)]
    command = ["ffmpeg", "-v", "error", "-i", str(wanted.file), *limits, "-f", "flac", "pipe:1"]
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DeployError(f"ffmpeg cannot read {wanted.file}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _multipart(audio: bytes, options: bytes) -> tuple[bytes, str]:
    """Body and content type of form data with the two parts of the contract."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, kind, content in (
        (OPTIONS_PART, "application/json", options),
        (AUDIO_PART, "audio/flac", audio),
    ):
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n'
        )
        parts.append(head.encode() + content + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
