"""Who a request is from."""

import msgspec

from services.contracts.personal_tokens import Scope


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The user behind a request; `owner` is the subject token of the name."""

    user: str
    owner: str
    session: str
    """Of the login, or that of a token, which has one of its own."""
    roles: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] | None = None
    """What the personal access token is limited to; None for a login, which is not limited."""
    token: str | None = None
    """The id of that token."""
