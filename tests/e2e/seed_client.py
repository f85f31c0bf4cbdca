"""A script as people wrote them for the application that this one replaces; it knows that one's API only.

usage: python tests/e2e/seed_client.py [RECORDING]   (settings: the WHISPER_* variables)

Exits 0 with `<name>_transcript.txt` written, 1 with a sentence on stderr. What it insists on is what old
scripts insist on: 302 exactly after a login, 200 exactly after an upload, `/stream` readable twice.
"""
# ruff: noqa: T201  # a script prints

import json
import os
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

LOGIN_SECONDS = 30.0
UPLOAD_SECONDS = 600.0
READ_SECONDS = 30.0
"""Old clients give the stream up after 30 silent seconds."""
TASTE_BYTES = 100
FORM = "application/x-www-form-urlencoded"


class Failed(Exception):
    """The script cannot go on; the message says why."""


class OldClient:
    """One cookie session, as a browser or a `requests.Session` holds it."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._cookies: dict[str, str] = {}

    def login(self, username: str, password: str) -> None:
        """Only a redirect, not followed, means that the password was right."""
        form = urlencode({"username": username, "password": password}).encode()
        with self._request(
            "POST", "/login", form, "application/x-www-form-urlencoded", LOGIN_SECONDS
        ) as answer:
            if answer.status != 302:
                raise Failed(f"login failed with {answer.status}")
            for header in answer.headers.get_all("Set-Cookie") or ():
                self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        if not self._cookies:
            raise Failed("the login set no cookie")

    def upload(self, audio: Path, hotwords: list[str], method: str) -> None:
        """The file comes first and the hotwords after it: nothing told old scripts to order them."""
        boundary = uuid4().hex
        fields = {"hotwords": json.dumps(hotwords), "hotword_method": method} if hotwords else {}
        disposition = f'name="audio_file"; filename="{audio.name}"'
        body = _part(boundary, disposition, audio.read_bytes(), "Content-Type: audio/mpeg\r\n")
        for name, value in fields.items():
            body += _part(boundary, f'name="{name}"', value.encode())
        body += f"--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        with self._request("POST", "/transcribe", body, kind, UPLOAD_SECONDS) as answer:
            if answer.status != 200:
                raise Failed(
                    f"upload failed with {answer.status}: {answer.read(200).decode(errors='replace')}"
                )

    def follow(self) -> str:
        """Taste the stream, drop it, open it again and read it to its end; returns the whole text."""
        with self._stream() as tasted:
            tasted.read1(TASTE_BYTES)
        total, progress, segment = 0, 0, 0
        with self._stream() as stream:
            for event in _events(stream):
                match event["type"]:
                    case "init":
                        total = int(event["total_segments"])
                        print(f"{total} segments, hotwords: {json.dumps(event['hotwords_config'])}")
                    case "progress":
                        if event["progress"] < progress or event["current_segment"] < 1:
                            raise Failed(f"progress went from {progress} to {event}")
                        progress, segment = int(event["progress"]), int(event["current_segment"])
                        print(f"{progress} % (segment {segment} of {total}): {event['transcript'][-60:]}")
                    case "complete":
                        return str(event["transcript"])
                    case "error":
                        raise Failed(f"the server says: {event['message']}")
        raise Failed("the stream ended without complete or error")

    def _stream(self) -> "_Answer":
        answer = self._request("GET", "/stream", None, None, READ_SECONDS)
        if answer.response.status != 200:
            answer.close()
            raise Failed(f"the stream was answered {answer.response.status}")
        return answer

    def _request(
        self, method: str, path: str, body: bytes | None, kind: str | None, seconds: float
    ) -> "_Answer":
        connect = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = connect(self._url.netloc, timeout=seconds)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if kind:
            headers["Content-Type"] = kind
        connection.request(method, self._url.path.rstrip("/") + path, body, headers)
        return _Answer(connection)


class _Answer:
    """A response that closes its connection when the context ends, read or not."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self.response = connection.getresponse()

    def __enter__(self) -> HTTPResponse:
        return self.response

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def _part(boundary: str, disposition: str, content: bytes, headers: str = "") -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n"
    return head.encode() + content + b"\r\n"


def _events(stream: HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in stream:
        if line.startswith(b"data:"):
            yield json.loads(line.removeprefix(b"data:"))


def main() -> None:
    """Log in, upload, follow, save."""
    environ = os.environ
    audio = Path(sys.argv[1] if len(sys.argv) > 1 else environ["WHISPER_AUDIO_FILE"])
    hotwords = [word.strip() for word in environ.get("WHISPER_HOTWORDS", "").split(",") if word.strip()]
    client = OldClient(environ.get("WHISPER_API_URL", "http://localhost:8080"))
    try:
        client.login(environ["WHISPER_USERNAME"], environ["WHISPER_PASSWORD"])
        client.upload(audio, hotwords, environ.get("WHISPER_HOTWORD_METHOD", "prompt_injection"))
        transcript = client.follow()
    except (Failed, OSError) as error:
        sys.exit(f"seed client: {error}")
    audio.with_name(f"{audio.stem}_transcript.txt").write_text(transcript)


if __name__ == "__main__":
    main()
