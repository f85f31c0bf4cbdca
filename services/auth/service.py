"""What the auth service answers to each request."""

import math
import time
from typing import get_args

import structlog
from prometheus_client import Counter, Histogram

from services.auth.accounts import MAX_USER_CHARACTERS, Account, Accounts, AccountsUnavailable
from services.auth.keys import KeySet
from services.auth.passwords import Passwords
from services.auth.personal_tokens import PersonalTokens, TokenRefused
from services.auth.sessions import Sessions
from services.auth.throttle import Throttle, network
from services.auth.tokens import Issuer
from services.common.cached import Cached
from services.common.errors import Transient
from services.common.tokens import BadToken
from services.contracts.claims import (
    AuthReply,
    AuthRequest,
    Claims,
    GetKeys,
    Keys,
    ListTokens,
    Login,
    MakeToken,
    NoteUses,
    Refresh,
    Refused,
    Revoke,
    Revoked,
    RevokeTokens,
    TokenMade,
    Tokens,
    TokensRevoked,
    TokenType,
    UsesNoted,
)
from services.contracts.identifiers import owner_token

log = structlog.get_logger()

REQUESTS = Counter("whisper_auth_requests_total", "Requests answered", ["request", "outcome"])
SECONDS = Histogram("whisper_auth_request_seconds", "Time to answer a request", ["request"])
for request in get_args(AuthRequest):
    REQUESTS.labels(request.__name__.lower(), "done")
    SECONDS.labels(request.__name__.lower())
for outcome in ("bad_credentials", "slow_down", "unavailable"):
    REQUESTS.labels("login", outcome)


class AuthService:
    """Logs in, renews, revokes, lists the public keys, and keeps the personal access tokens."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        passwords: Passwords,
        issuer: Issuer,
        keys: Cached[KeySet],
        sessions: Sessions,
        throttle: Throttle,
        personal: PersonalTokens,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._issuer = issuer
        self._keys = keys
        self._sessions = sessions
        self._throttle = throttle
        self._personal = personal

    async def answer(self, request: AuthRequest) -> AuthReply:
        """Serve one request; a refusal is an answer too."""
        name = type(request).__name__.lower()
        with SECONDS.labels(name).time():
            try:
                reply = await self._served(request)
            except BadToken as error:
                reply = Refused(code="bad_token", message=str(error))
            except TokenRefused as error:
                reply = Refused(code=error.code, message=str(error), field=error.field)
            except Transient as error:
                log.warning("request_not_served", request=name, error=str(error), code=error.code)
                reply = Refused(code="unavailable", message=str(error), retry_after=error.retry_after or 5.0)
        REQUESTS.labels(name, reply.code if isinstance(reply, Refused) else "done").inc()
        return reply

    async def _served(self, request: AuthRequest) -> AuthReply:
        match request:
            case Login():
                return await self._log_in(request)
            case Refresh():
                return await self._refresh(request.refresh_token)
            case Revoke():
                return await self._revoke(request)
            case GetKeys():
                return await self._list_keys(request.kid)
            case MakeToken():
                return TokenMade(token=await self._personal.make(await self._user(request.proof), request))
            case ListTokens():
                return await self._personal.listed(await self._user(request.proof))
            case RevokeTokens():
                return await self._revoke_tokens(await self._user(request.proof), request.id)
            case NoteUses():
                await self._personal.note(request.uses)
                return UsesNoted()

    async def _log_in(self, login: Login) -> Tokens | Refused:
        user = login.username[: MAX_USER_CHARACTERS + 1]
        address = network(login.address)
        wait = self._throttle.wait(user, address, time.monotonic())
        if wait > 0:
            return _slow_down(wait)
        self._throttle.begun(user, address)
        try:
            account = await self._matching(user, login.password)
            if account is not None:
                self._throttle.succeeded(user)
                begins = await self._sessions.now()
                tokens = await self._issuer.log_in(account.user, account.roles, begins)
                log.info("logged_in", user=account.user, address=login.address)
                return tokens
            self._throttle.failed(user, address, time.monotonic())
        finally:
            self._throttle.ended(user, address)
        log.info("login_refused", address=login.address)  # a name nobody has may be a password misplaced
        return Refused(code="bad_credentials", message="wrong user name or password")

    async def _matching(self, user: str, password: str) -> Account | None:
        """The account whose password this is; a mismatch may mean that the secret has just changed."""
        account = await self._accounts.find(user)
        if await self._passwords.match(account, password):
            return account
        newer = await self._accounts.find(user, newest=True)
        if newer is not None and newer != account and await self._passwords.match(newer, password):
            return newer
        return None

    async def _refresh(self, token: str) -> Tokens:
        claims = await self._of_session(token, TokenType.REFRESH)
        return await self._issuer.renew(token, claims, await self._roles(claims))

    async def _of_session(self, token: str, *wanted: TokenType) -> Claims:
        """The claims of a token whose session goes on."""
        claims = await self._issuer.check(token, *wanted)
        if await self._sessions.is_revoked(claims.sid):
            raise BadToken("this session was ended: log in again")
        return claims

    async def _user(self, proof: str) -> str:
        """Who has logged in with this token, and still has an account."""
        claims = await self._of_session(proof, TokenType.ACCESS, TokenType.REFRESH)
        await self._roles(claims)
        return claims.sub

    async def _roles(self, claims: Claims) -> tuple[str, ...]:
        """The user's roles of today; an outage of AWS ends nobody's session."""
        try:
            account = await self._accounts.find(claims.sub)
        except AccountsUnavailable:
            return claims.roles
        if account is None:
            raise BadToken("this account no longer exists")
        return account.roles

    async def _revoke(self, request: Revoke) -> Revoked:
        claims = await self._issuer.check(request.token, TokenType.ACCESS, TokenType.REFRESH)
        await self._sessions.revoke(claims.sid)
        if request.everywhere:
            await self._sessions.revoke_all(owner_token(claims.sub))
        log.info("session_revoked", user=claims.sub, everywhere=request.everywhere)
        return Revoked()

    async def _revoke_tokens(self, user: str, token: str | None) -> TokensRevoked:
        if token is not None:
            return TokensRevoked(count=await self._personal.revoke(user, token))
        return TokensRevoked(count=await self._personal.revoke_all(owner_token(user)))

    async def _list_keys(self, unknown: str | None) -> Keys:
        keys = await self._keys.get()
        if unknown is not None and unknown not in keys.public:
            keys = await self._keys.get(newest=True)
        return Keys(keys=keys.listed)


def _slow_down(wait: float) -> Refused:
    seconds = math.ceil(wait)
    return Refused(
        code="slow_down",
        message=f"too many wrong passwords: try again in {seconds} s",
        retry_after=float(seconds),
    )
