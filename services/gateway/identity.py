"""Who a request is from."""

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The user behind a request; `owner` is the subject token of the name."""

    user: str
    owner: str
    session: str
    roles: tuple[str, ...] = ()
