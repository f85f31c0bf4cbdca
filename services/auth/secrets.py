"""AWS Secrets Manager: named secrets whose versions carry staging labels."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from services.common.errors import Permanent, Transient

CURRENT = "AWSCURRENT"
PENDING = "AWSPENDING"
PREVIOUS = "AWSPREVIOUS"

CONNECT_SECONDS = 2.0
READ_SECONDS = 3.0
ATTEMPTS = 2
"""The second is for a kept connection that the other side closed at that moment."""
READING_SECONDS = 4.0
"""All attempts of a read together: a login waits for it."""
RETRY_SECONDS = 5.0


class SecretMissing(Permanent):
    """No such secret, or no version of it under this label."""

    code = "secret_missing"


class SecretConflict(Permanent):
    """Somebody else created the secret, or moved its label, first."""

    code = "secret_conflict"


class SecretsUnavailable(Transient):
    """Secrets Manager did not answer, or refused us."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a secret."""

    id: str
    text: str
    created_at: float
    """Unix time, seconds."""


class Secrets:
    """The secrets of one account and region; every call raises only our errors."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def read(self, name: str, label: str = CURRENT) -> Version:
        """The version under `label`; the label is always sent, for the default is not always the current."""
        with _translated(name):
            async with asyncio.timeout(READING_SECONDS):
                answer = await self._client.get_secret_value(SecretId=name, VersionStage=label)
        _check(name, answer)
        if "SecretString" not in answer:
            raise SecretMissing(f"secret {name} holds bytes instead of text")
        return Version(
            id=answer["VersionId"],
            text=answer["SecretString"],
            created_at=answer["CreatedDate"].timestamp(),
        )

    async def create(self, name: str, text: str, description: str) -> None:
        """Make a new secret; raises `SecretConflict` when there is one of this name."""
        with _translated(name):
            answer = await self._client.create_secret(Name=name, SecretString=text, Description=description)
        _check(name, answer)

    async def put(self, name: str, text: str, label: str) -> None:
        """Add a version and move `label` to it."""
        with _translated(name):
            answer = await self._client.put_secret_value(
                SecretId=name, SecretString=text, VersionStages=[label]
            )
        _check(name, answer)

    async def promote(self, name: str, *, to: str, instead_of: str) -> None:
        """Make version `to` the current one; Secrets Manager makes `instead_of` the previous one."""
        with _translated(name):
            await self._client.update_secret_version_stage(
                SecretId=name, VersionStage=CURRENT, MoveToVersionId=to, RemoveFromVersionId=instead_of
            )


@contextlib.asynccontextmanager
async def open_secrets(region: str, **overrides: Any) -> AsyncIterator[Secrets]:
    """A client with AWS's usual credentials chain and short time-outs; `overrides` go to botocore."""
    config = AioConfig(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    session = get_session()
    async with session.create_client("secretsmanager", region, config=config, **overrides) as client:
        yield Secrets(client)


def _check(name: str, answer: Mapping[str, Any]) -> None:
    """Every answer names a version; one that does not, be it a 200, comes from something in between."""
    if "VersionId" not in answer:
        raise SecretsUnavailable(
            f"secret {name}: Secrets Manager answered something else than a secret", retry_after=RETRY_SECONDS
        )


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        said = f"secret {name}: {code}: {error.response.get('Error', {}).get('Message', '')}"
        if code == "ResourceNotFoundException":
            raise SecretMissing(said) from error
        if code in ("ResourceExistsException", "InvalidParameterException"):
            raise SecretConflict(said) from error
        raise SecretsUnavailable(said, retry_after=RETRY_SECONDS) from error
    except (BotoCoreError, ResponseParserError, aiohttp.ClientError, TimeoutError, OSError) as error:
        said = f"secret {name}: {str(error) or 'no answer in time'}"
        raise SecretsUnavailable(said, retry_after=RETRY_SECONDS) from error
