"""The signing keys as Secrets Manager keeps them: the next, the current, and the retired ones.

Each version of the secret holds one private key. The version labelled AWSPENDING is published long
before it signs, AWSCURRENT signs, AWSPREVIOUS signed until the last rotation. Labels remember three
keys only, so each version also lists the public halves of older ones whose tokens may still live.
"""

import secrets as random
import time

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from prometheus_client import Gauge

from services.auth.secrets import CURRENT, PENDING, PREVIOUS, SecretConflict, SecretMissing, Secrets
from services.common.errors import Misconfigured
from services.common.tokens import key_bytes, key_text, public_key
from services.contracts.claims import PublicKey

log = structlog.get_logger()

CREATED = Gauge(
    "whisper_auth_signing_key_created_timestamp_seconds",
    "When the key that signs was made, 0 before it was read; it waited for one rotation before it signed",
)
DESCRIPTION = "Keys that sign the tokens of Whisper Web UI; kept by its auth service"


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """The public half of a key that signs no more."""

    kid: str
    x: str
    retired_at: float
    """Unix time, seconds."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What one version of the secret says."""

    kid: str
    private_key: str
    retired: tuple[Retired, ...] = ()

    def private(self) -> Ed25519PrivateKey:
        """The key itself."""
        return Ed25519PrivateKey.from_private_bytes(key_bytes(self.private_key))

    def x(self) -> str:
        """The public half, as a JWK spells it."""
        return key_text(self.private().public_key().public_bytes_raw())


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """A version and what it says."""

    id: str
    document: Document
    created_at: float = 0.0
    """Unix time, seconds."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The versions under their labels."""

    current: Labelled
    pending: Labelled | None
    previous: Labelled | None

    def documents(self) -> list[Document]:
        """Every document there is, the current one first."""
        return [one.document for one in (self.current, self.pending, self.previous) if one is not None]


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """The key that signs, and every key that verifies."""

    kid: str
    private: Ed25519PrivateKey
    public: dict[str, Ed25519PublicKey]
    listed: tuple[PublicKey, ...]


class KeyStore:
    """The signing secret. `keep_seconds` is how long a retired key goes on verifying."""

    def __init__(self, secrets: Secrets, name: str, *, keep_seconds: float) -> None:
        self._secrets = secrets
        self._name = name
        self._keep_seconds = keep_seconds

    async def load(self) -> KeySet:
        """Read every key; raises `SecretMissing`, `SecretsUnavailable` or `Misconfigured`."""
        state = await self._read()
        CREATED.set(state.current.created_at)
        return key_set(state, now=time.time(), keep_seconds=self._keep_seconds)

    async def prepare(self) -> None:
        """Create on first start what is missing; several processes may do so at once."""
        try:
            state = await self._read()
        except SecretMissing:
            await self._create()
            state = await self._read()
        if needs_successor(state):
            await self._add_pending(state)

    async def rotate(self) -> str:
        """Let the pending key sign and put a new one in its place; the id of the key that signs now."""
        await self.prepare()
        state = await self._read()
        if state.pending is None:
            raise SecretMissing(f"secret {self._name} has no pending version yet; try again")
        await self._secrets.promote(self._name, to=state.pending.id, instead_of=state.current.id)
        # Built here and not read: right after the move Secrets Manager may still show the labels as before.
        await self._add_pending(State(current=state.pending, pending=None, previous=state.current))
        return state.pending.document.kid

    async def _create(self) -> None:
        try:
            await self._secrets.create(self._name, _written(new_document(())), DESCRIPTION)
        except SecretConflict:
            log.info("signing_key_created_elsewhere", secret=self._name)
        else:
            log.info("signing_key_created", secret=self._name)

    async def _add_pending(self, state: State) -> None:
        retired = retired_keys(state, now=time.time(), keep_seconds=self._keep_seconds)
        await self._secrets.put(self._name, _written(new_document(retired)), PENDING)

    async def _read(self) -> State:
        current = await self._labelled(CURRENT)
        return State(
            current=current, pending=await self._if_any(PENDING), previous=await self._if_any(PREVIOUS)
        )

    async def _if_any(self, label: str) -> Labelled | None:
        try:
            return await self._labelled(label)
        except SecretMissing:
            return None

    async def _labelled(self, label: str) -> Labelled:
        version = await self._secrets.read(self._name, label)
        return Labelled(id=version.id, document=self._parsed(version.text), created_at=version.created_at)

    def _parsed(self, text: str) -> Document:
        try:
            document = msgspec.json.decode(text, type=Document)
            document.private()
        except (msgspec.DecodeError, ValueError):
            raise Misconfigured(
                f"secret {self._name} holds no signing key of ours: name another with SIGNING_SECRET_NAME"
            ) from None
        return document


def new_document(retired: tuple[Retired, ...]) -> Document:
    """A new key that remembers the retired ones."""
    private = key_text(Ed25519PrivateKey.generate().private_bytes_raw())
    return Document(kid=random.token_hex(8), private_key=private, retired=retired)


def needs_successor(state: State) -> bool:
    """Whether no key is published to follow: at first start, or after a rotation that was cut short."""
    return state.pending is None or state.pending.id == state.current.id


def retired_keys(state: State, *, now: float, keep_seconds: float) -> tuple[Retired, ...]:
    """The retired keys whose tokens may still live; the previous key counts from now if it is new here."""
    known = {key.kid: key for document in state.documents() for key in document.retired}
    if state.previous is not None and state.previous.document.kid not in known:
        document = state.previous.document
        known[document.kid] = Retired(kid=document.kid, x=document.x(), retired_at=now)
    return tuple(key for key in known.values() if key.retired_at + keep_seconds > now)


def key_set(state: State, *, now: float, keep_seconds: float) -> KeySet:
    """What a process signs and verifies with."""
    current = state.current.document
    texts = {key.kid: key.x for key in retired_keys(state, now=now, keep_seconds=keep_seconds)}
    if state.pending is not None:
        texts[state.pending.document.kid] = state.pending.document.x()
    texts[current.kid] = current.x()
    return KeySet(
        kid=current.kid,
        private=current.private(),
        public={kid: public_key(x) for kid, x in texts.items()},
        listed=tuple(PublicKey(kid=kid, x=x) for kid, x in texts.items()),
    )


def _written(document: Document) -> str:
    return msgspec.json.encode(document).decode()
