"""The accounts' secret in a stand-in for Secrets Manager; as a command it stores one account.

usage: python -m services.dev.credentials    (with AWS_ENDPOINT_URL_SECRETS_MANAGER, SECRET_NAME, AWS_REGION,
WHISPER_USERNAME and WHISPER_PASSWORD set)
"""

import asyncio
import os
from collections.abc import Mapping

import msgspec
from aiobotocore.session import get_session
from botocore.exceptions import EndpointConnectionError

from services.auth.passwords import HASHER
from services.auth.settings import Settings
from services.common.settings import load
from services.contracts.claims import ADMIN_ROLE

START_SECONDS = 60.0
"""How long the stand-in may take to start."""
RETRY_SECONDS = 0.5


async def store_credentials(url: str, settings: Settings, accounts: Mapping[str, object]) -> None:
    """Make the secret, or give it a new value, with any credentials: a stand-in takes all."""
    async with get_session().create_client(
        "secretsmanager",
        region_name=settings.aws_region,
        endpoint_url=url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    ) as client:
        value = msgspec.json.encode(accounts).decode()
        try:
            await client.create_secret(Name=settings.secret_name, SecretString=value)
        except client.exceptions.ResourceExistsException:
            await client.put_secret_value(SecretId=settings.secret_name, SecretString=value)


def administrator(password: str) -> dict[str, object]:
    """The value of an account with every right."""
    return {"password_hash": HASHER.hash(password), "roles": [ADMIN_ROLE]}


def main() -> None:
    """Store the account that the environment names."""
    password = os.environ.get("WHISPER_PASSWORD", "")
    if not password:
        raise SystemExit("WHISPER_PASSWORD is empty: set the password to log in with")
    accounts = {os.environ.get("WHISPER_USERNAME") or "admin": administrator(password)}
    asyncio.run(_store(os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"], load(Settings, os.environ), accounts))


async def _store(url: str, settings: Settings, accounts: Mapping[str, object]) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                return await store_credentials(url, settings, accounts)
            except EndpointConnectionError:
                await asyncio.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main()
