"""The stored hotwords."""

from services.contracts.hotwords import HotwordMethod, Hotwords
from services.gateway.errors import BadHotwords, TooLarge, UploadTooSlow, WrongOrigin
from services.gateway.hotwords import Saved
from services.gateway.openapi.operation import Content, Operation, answer

TAG = "Hotwords"
EXAMPLE = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("Siobhan", "Lynx"), boost_factor=3.0)

OPERATIONS = (
    Operation(
        method="GET",
        path="/api/hotwords",
        tag=TAG,
        summary="The user's default list",
        answers=(answer(Hotwords, "The list, or the defaults.", example=EXAMPLE),),
        replaced=True,
    ),
    Operation(
        method="POST",
        path="/api/hotwords",
        tag=TAG,
        summary="Replace the user's default list",
        text="1 to 5,000 words of 1 to 64 characters, for later uploads that bring none of their own.",
        body=(Content(shape=Hotwords, example=EXAMPLE),),
        answers=(answer(Saved, "The list as it is stored.", example=Saved(config=EXAMPLE)),),
        errors=(BadHotwords, TooLarge, UploadTooSlow, WrongOrigin),
        replaced=True,
    ),
)
