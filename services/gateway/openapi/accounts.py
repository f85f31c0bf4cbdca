"""Logging in and out, and who one is."""

from services.gateway.errors import (
    SlowDown,
    TooLarge,
    Unauthorized,
    UploadTooSlow,
    WrongOrigin,
)
from services.gateway.login import Credentials, KeySet, LoginAnswer, Me, RefreshBody
from services.gateway.openapi.operation import Answer, Content, Operation, Parameter, Raw, answer

TAG = "Sessions"
PAGE = Answer(text="The login form.", content=(Content(shape=Raw({"type": "string"}), media="text/html"),))
EVERYWHERE = Parameter(
    name="everywhere",
    text="`true` ends all sessions that the user has by now.",
    schema={"type": "boolean", "default": False},
)
FORM = Raw(
    {
        "type": "object",
        "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
        "required": ["username", "password"],
    }
)
TOKENS = LoginAnswer(
    access_token="eyJhbGciOiJFZERTQSJ9...",  # noqa: S106  # an example
    expires_in=900,
    refresh_token="eyJhbGciOiJFZERTQSJ9...",  # noqa: S106
    refresh_expires_in=604800,
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/login",
        tag=TAG,
        summary="The login form",
        answers=(PAGE,),
    ),
    Operation(
        method="POST",
        path="/login",
        tag=TAG,
        summary="Log in",
        text="JSON gets tokens; a form gets a session cookie. Wrong passwords are slowed per user and per "
        "address. A form with a wrong password is answered with 200 and the form again.",
        body=(
            Content(shape=Credentials, example=Credentials(username="admin", password="...")),  # noqa: S106
            Content(shape=FORM, media="application/x-www-form-urlencoded"),
        ),
        answers=(
            Answer(
                text="The tokens, or the form with the reason.",
                content=(Content(shape=LoginAnswer, example=TOKENS), *PAGE.content),
            ),
            Answer(status=302, text="To the page, with the cookie."),
        ),
        errors=(Unauthorized, SlowDown, TooLarge, UploadTooSlow, WrongOrigin),
        replaced=True,
    ),
    Operation(
        method="GET",
        path="/logout",
        tag=TAG,
        summary="Log the browser out",
        parameters=(EVERYWHERE,),
        answers=(Answer(status=302, text="To the login form."),),
        errors=(WrongOrigin,),
    ),
    Operation(
        method="POST",
        path="/v1/auth/refresh",
        tag=TAG,
        summary="Renew the access token",
        text="With the refresh token in the body, or with the cookie.",
        body=(Content(shape=RefreshBody, example=RefreshBody(refresh_token="eyJ...")),),  # noqa: S106
        body_required=False,
        answers=(answer(LoginAnswer, "New tokens of the same session.", example=TOKENS),),
        errors=(Unauthorized, SlowDown, TooLarge, UploadTooSlow, WrongOrigin),
    ),
    Operation(
        method="POST",
        path="/v1/auth/logout",
        tag=TAG,
        summary="End the session",
        text="Its tokens stop working at every gateway within a second.",
        parameters=(EVERYWHERE,),
        answers=(Answer(status=204, text="The session is over."),),
        errors=(WrongOrigin,),
    ),
    Operation(
        method="GET",
        path="/v1/me",
        tag=TAG,
        summary="Who one is",
        answers=(
            answer(
                Me, "The caller.", example=Me(username="admin", roles=("admin",), scopes=None, notice=None)
            ),
        ),
    ),
    Operation(
        method="GET",
        path="/.well-known/jwks.json",
        tag=TAG,
        summary="The public keys that verify access tokens",
        answers=(answer(KeySet, "A JWK set (RFC 7517)."),),
    ),
)
