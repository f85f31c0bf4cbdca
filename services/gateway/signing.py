"""The secrets that webhooks are signed with: one for each user, who may read it and change it."""

import hashlib
import hmac
import secrets

from aiohttp import web

from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.topology import DAY_SECONDS, Stream
from services.contracts.webhooks import SigningSecret

OVERLAP_SECONDS = DAY_SECONDS
"""So long deliveries are signed with the secret before, too."""
SECRET_BYTES = 32


class SigningSecrets:
    """Made when they are first needed."""

    def __init__(self, bus: Bus) -> None:
        self._secrets = Documents(bus, Stream.HOOKS, SigningSecret)

    async def get(self, owner: str, now: float) -> SigningSecret:
        """The user's secret."""
        subject = topology.signing_secret(owner)
        found = await self._secrets.get(subject)
        if found is not None:
            return found
        made = SigningSecret(text=_new(), made_at=now)
        if await self._secrets.create(subject, made):
            return made
        return await self._secrets.newest(subject) or made

    async def rotate(self, owner: str, now: float) -> SigningSecret:
        """A new secret; the one before stays good for a while, an older one does not."""
        made = SigningSecret(text=_new(), made_at=now)

        def rotated(old: SigningSecret) -> SigningSecret:
            if old.text == made.text:  # stored by a try whose answer got lost
                return old
            return SigningSecret(
                text=made.text,
                made_at=now,
                previous=old.text,
                previous_until=now + OVERLAP_SECONDS,
            )

        return await self._secrets.change(topology.signing_secret(owner), rotated) or await self.get(
            owner, now
        )


SIGNING_SECRETS = web.AppKey("signing_secrets", SigningSecrets)


def signatures(secret: SigningSecret, timestamp: str, body: bytes, now: float) -> str:
    """The value of `Whisper-Webhook-Signature`: one signature, or two where the secret is new."""
    texts = [secret.text]
    if secret.previous is not None and now < secret.previous_until:
        texts.append(secret.previous)
    signed = timestamp.encode() + b"." + body
    return ",".join(f"v1={hmac.new(text.encode(), signed, hashlib.sha256).hexdigest()}" for text in texts)


def _new() -> str:
    return f"whsec_{secrets.token_urlsafe(SECRET_BYTES)}"
