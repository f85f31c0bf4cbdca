"""No forged token passes at a running gateway with its auth service, on any route, as bearer or as cookie."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.auth.keys import Document, Retired, new_document
from services.auth.secrets import CURRENT
from services.common.service import site
from services.contracts.claims import TokenType
from services.contracts.identifiers import owner_token
from services.contracts.personal_tokens import Scope, id_of, new_token, sha256_of
from services.contracts.topology import DAY_SECONDS
from services.dev.processes import free_port
from services.gateway.app import ROUTES, create_app
from services.gateway.cookies import NAME
from services.gateway.settings import Settings
from tests.auth_process import Aws, auth_process
from tests.declared_nats import declared_nats
from tests.forgeries import FORGERIES, Mint, now
from tests.gateways import address

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = {
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/logout"),
    ("GET", "/static/{path:.+}"),
    ("GET", "/.well-known/jwks.json"),
}
"""What anybody may ask for; a token changes nothing there."""
GUARDED = tuple((route.method, address(route)) for route in ROUTES if (route.method, route.path) not in OPEN)


class Deployment(msgspec.Struct, frozen=True):
    """A running gateway, how to forge its tokens, and tokens that were good once."""

    url: str
    http: aiohttp.ClientSession
    access: Mint
    refresh: Mint
    once_good: dict[str, str]

    async def personal(self) -> str:
        """A good personal access token of ann's, with every scope."""
        if "personal" not in self.once_good:
            headers = {"Authorization": f"Bearer {(await self.log_in())['access_token']}"}
            wanted = {"name": "ci", "scopes": list(Scope)}
            async with self.http.post(f"{self.url}/v1/tokens", json=wanted, headers=headers) as answer:
                assert answer.status == 201
                self.once_good["personal"] = (await answer.json())["token"]
        return self.once_good["personal"]

    async def refusals(self, token: str, *, cookie: bool) -> None:
        """Try the token on every guarded route at once; each must refuse it."""
        headers = {"Cookie": f"{NAME}={token}"} if cookie else {"Authorization": f"Bearer {token}"}
        await asyncio.gather(*(self._refused(method, path, headers) for method, path in GUARDED))

    async def _refused(self, method: str, path: str, headers: dict[str, str]) -> None:
        async with self.http.request(
            method, self.url + path, headers=headers, allow_redirects=False
        ) as answer:
            where = f"{method} {path} answered {answer.status}: {(await answer.text())[:200]}"
            if path.startswith("/v1/"):
                assert answer.status == 401, where
            else:
                assert (answer.status, answer.headers["Location"]) == (302, "/login"), where

    async def log_in(self) -> dict[str, str]:
        async with self.http.post(
            f"{self.url}/login", json={"username": "ann", "password": "s3cret"}
        ) as answer:
            assert answer.status == 200
            return await answer.json()  # type: ignore[no-any-return]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(secrets_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """A gateway, and an auth service whose current key the test knows."""
    aws = Aws(secrets_url)
    await aws.create_accounts({"ann": "s3cret"})
    document, rotated_out = await _signing_key(aws)
    async with declared_nats(tmp_path_factory.mktemp("nats")) as nats:
        port = free_port()
        async with (
            _http() as http,
            auth_process(nats.url, aws),
            site(create_app(Settings(nats_url=nats.url)), "127.0.0.1", port, shutdown_seconds=1),
        ):
            made = Deployment(
                f"http://127.0.0.1:{port}",
                http,
                Mint(document.private(), document.kid),
                Mint(document.private(), document.kid, TokenType.REFRESH),
                {"rotated out": rotated_out},
            )
            await _end_a_session(made)
            yield made


async def _signing_key(aws: Aws) -> tuple[Document, str]:
    """The current key, stored before auth starts, and a token of one that has been out of use for long."""
    old = Mint(Ed25519PrivateKey.generate(), "old")
    x = old.jwk(old.key)["x"]
    retired = Retired(kid=old.kid, x=x, retired_at=time.time() - 9 * DAY_SECONDS)
    document = msgspec.structs.replace(new_document(()), retired=(retired,))
    async with aws.secrets() as secrets:
        await secrets.create(aws.keys, msgspec.json.encode(document).decode(), "test")
        assert (await secrets.read(aws.keys, CURRENT)).text
    return document, old.claiming()


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=60),
    )


async def _end_a_session(deployment: Deployment) -> None:
    tokens = await deployment.log_in()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    async with deployment.http.post(f"{deployment.url}/v1/auth/logout", headers=headers) as answer:
        assert answer.status == 204
    deployment.once_good["revoked"] = tokens["access_token"]
    deployment.once_good["revoked cookie"] = tokens["refresh_token"]


async def test_the_deployments_own_tokens_pass(deployment: Deployment) -> None:
    """So that each forgery is refused for its own fault."""
    bearer = {"Authorization": f"Bearer {deployment.access.claiming(sub='ann')}"}
    cookie = {"Cookie": f"{NAME}={deployment.refresh.claiming(sub='ann')}"}
    for headers in (bearer, cookie):
        async with deployment.http.get(f"{deployment.url}/v1/me", headers=headers) as answer:
            assert (await answer.json())["username"] == "ann"


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forgery_opens_no_route(deployment: Deployment, forgery: Callable[[Mint], str]) -> None:
    await deployment.refusals(forgery(deployment.access), cookie=False)
    token = forgery(deployment.refresh)
    await deployment.refusals(token, cookie=True)
    await _not_renewed(deployment, token)


@pytest.mark.parametrize("name", ["rotated out", "revoked", "revoked cookie"])
async def test_a_token_that_was_good_once_opens_no_route(deployment: Deployment, name: str) -> None:
    token = deployment.once_good[name]
    await deployment.refusals(token, cookie=name.endswith("cookie"))
    await _not_renewed(deployment, token)


async def test_a_token_of_the_other_type_opens_no_route(deployment: Deployment) -> None:
    await deployment.refusals(deployment.refresh.claiming(), cookie=False)
    await deployment.refusals(deployment.access.claiming(), cookie=True)
    await _not_renewed(deployment, deployment.access.claiming())


async def test_a_token_in_the_url_or_under_another_scheme_counts_for_nothing(deployment: Deployment) -> None:
    token = deployment.access.claiming(exp=now() + 60)
    for path in (f"/v1/me?access_token={token}", f"/v1/me?token={token}"):
        async with deployment.http.get(deployment.url + path) as answer:
            assert answer.status == 401
    for scheme in ("Basic", "Token", "JWT", "DPoP"):
        headers = {"Authorization": f"{scheme} {token}"}
        async with deployment.http.get(f"{deployment.url}/v1/me", headers=headers) as answer:
            assert answer.status == 401


PERSONAL: dict[str, Callable[[str, Mint], str]] = {
    "without its last character": lambda token, _: token[:-1],
    "without its first secret digits": lambda token, _: token[:20] + token[24:],
    "cut in half": lambda token, _: token[:36],
    "only its prefix": lambda token, _: token[:4],
    "in capitals": lambda token, _: token.upper(),
    "in small letters": lambda token, _: token.lower(),
    "one digit wrong": lambda token, _: token[:30] + ("0" if token[30] != "0" else "1") + token[31:],
    "its hash": lambda token, _: sha256_of(token),
    "its hash after the prefix": lambda token, _: f"wwu_{sha256_of(token)}",
    "its id": lambda token, _: id_of(sha256_of(token)),
    "its id after the prefix": lambda token, _: f"wwu_{id_of(sha256_of(token))}",
    "of another deployment": lambda *_: new_token(owner_token("ann")),
    "of a user who never was": lambda *_: new_token(owner_token("nobody")),
    "its secret for another user": lambda token, _: token[:4] + owner_token("bob") + token[20:],
    "twice": lambda token, _: token + token,
    "two of them": lambda token, _: f"{token},{token}",
    "in quotes": lambda token, _: f"'{token}'",
    "huge": lambda token, _: token + "A" * 7_000,
    "a wildcard for its owner": lambda token, _: f"wwu_{'*' * 16}{token[20:]}",
    "a login's token behind the prefix": lambda _, mint: f"wwu_{mint.claiming(sub='ann')}",
}
"""From a good personal access token, what must not pass for one."""


@pytest.mark.parametrize("forgery", PERSONAL.values(), ids=PERSONAL.keys())
async def test_a_forged_personal_token_opens_no_route(
    deployment: Deployment, forgery: Callable[[str, Mint], str]
) -> None:
    text = forgery(await deployment.personal(), deployment.access)
    await deployment.refusals(text, cookie=False)
    await deployment.refusals(text, cookie=True)


async def test_a_personal_token_is_good_as_a_bearers_only(deployment: Deployment) -> None:
    """Not as a cookie, to renew a login, as a password, in the address or under another scheme."""
    token = await deployment.personal()
    bearer = {"Authorization": f"Bearer {token}"}
    async with deployment.http.get(f"{deployment.url}/v1/me", headers=bearer) as answer:
        assert (answer.status, (await answer.json())["username"]) == (200, "ann")
    await deployment.refusals(token, cookie=True)
    await _not_renewed(deployment, token)
    async with deployment.http.post(f"{deployment.url}/v1/auth/refresh", headers=bearer) as answer:
        assert answer.status == 401
    for body in ({"username": "ann", "password": token}, {"username": token, "password": "s3cret"}):
        async with deployment.http.post(f"{deployment.url}/login", json=body, headers=bearer) as answer:
            assert answer.status == 401
    async with deployment.http.get(f"{deployment.url}/v1/me?token={token}&access_token={token}") as answer:
        assert answer.status == 401
    for scheme in ("Basic", "Token", "wwu"):
        headers = {"Authorization": f"{scheme} {token}"}
        async with deployment.http.get(f"{deployment.url}/v1/me", headers=headers) as answer:
            assert answer.status == 401
    async with deployment.http.get(f"{deployment.url}/v1/me", headers=bearer) as answer:
        assert answer.status == 200, "and nothing of that ended it"


async def _not_renewed(deployment: Deployment, token: str) -> None:
    """auth, too, refuses it."""
    body = {"refresh_token": token}
    async with deployment.http.post(f"{deployment.url}/v1/auth/refresh", json=body) as answer:
        assert answer.status == 401, await answer.text()
