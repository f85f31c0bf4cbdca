"""Personal access tokens."""

from services.contracts.personal_tokens import Scope
from services.gateway.errors import NotFound, TooLarge, TooManyTokens, UploadTooSlow, WrongOrigin
from services.gateway.openapi.operation import Answer, Content, Operation, Parameter, answer
from services.gateway.token_routes import NewToken, ShownToken, TokenLimits, TokenList, WantedToken

TAG = "Personal access tokens"
SCOPES = (Scope.READ, Scope.TRANSCRIBE)
SHOWN = ShownToken(
    id="xikstj32vf5elobihi6ei7og5w",
    name="ci",
    scopes=SCOPES,
    created_at="2026-01-31T09:00:00Z",
    expires_at="2026-05-01T09:00:00Z",
    last_used_at=None,
)
NEW = NewToken(
    id=SHOWN.id,
    name=SHOWN.name,
    scopes=SCOPES,
    created_at=SHOWN.created_at,
    expires_at=SHOWN.expires_at,
    last_used_at=None,
    token="wwu_...",  # noqa: S106  # an example
)

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/tokens",
        tag=TAG,
        summary="Make a token",
        text="For scripts and SDKs, sent as `Authorization: Bearer wwu_...`. Only this answer shows it.",
        body=(Content(shape=WantedToken, example=WantedToken(name="ci", scopes=SCOPES, expires_in_days=90)),),
        answers=(answer(NewToken, "The token.", status=201, example=NEW),),
        errors=(TooManyTokens, TooLarge, UploadTooSlow, WrongOrigin),
    ),
    Operation(
        method="GET",
        path="/v1/tokens",
        tag=TAG,
        summary="List one's tokens",
        text="Those that are neither revoked nor expired, the newest first.",
        answers=(
            answer(
                TokenList,
                "The tokens, without their texts.",
                example=TokenList(tokens=[SHOWN], limits=TokenLimits(tokens=50, days=366)),
            ),
        ),
    ),
    Operation(
        method="DELETE",
        path="/v1/tokens",
        tag=TAG,
        summary="Revoke all of one's tokens",
        answers=(Answer(status=204, text="None of them works any more."),),
        errors=(WrongOrigin,),
    ),
    Operation(
        method="DELETE",
        path="/v1/tokens/{token}",
        tag=TAG,
        summary="Revoke a token",
        text="No gateway takes it after a second, and event streams that were opened with it end.",
        parameters=(
            Parameter(name="token", where="path", text="The token's `id`, not its text.", required=True),
        ),
        answers=(Answer(status=204, text="It does not work any more."),),
        errors=(NotFound, WrongOrigin),
    ),
)
