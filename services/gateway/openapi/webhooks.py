"""Webhooks: how deliveries went, and what they are signed with."""

from services.contracts.webhooks import DeliveryState
from services.gateway.errors import NotFound, WrongOrigin
from services.gateway.openapi.operation import Operation, answer, path_id
from services.gateway.webhook_routes import DeliveryList, ShownDelivery, ShownSecret, ShownTry
from services.gateway.webhooks import Event

TAG = "Webhooks"
TOLD = ShownDelivery(
    id="mfrggzdfmztwq2lknnwg23tpob-0-0",
    url="https://example.com/hook",
    state=DeliveryState.DELIVERED,
    attempts=[ShownTry(at="2026-01-31T09:01:00Z", status=204, error=None, seconds=0.12)],
    next_at=None,
)
SECRET = ShownSecret(
    secret="whsec_...",  # noqa: S106  # an example
    created_at="2026-01-31T09:00:00Z",
    previous_until=None,
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/jobs/{id}/deliveries",
        tag=TAG,
        summary="Who was told of a job's end",
        text="One delivery for each end of a job that was uploaded with a `callback_url`. The receiver gets "
        "a POST with an `Event`, signed with the user's secret.",
        parameters=(path_id("The job's `id`."),),
        answers=(answer(DeliveryList, "The deliveries.", example=DeliveryList(deliveries=[TOLD])),),
        errors=(NotFound,),
        events=(Event,),
    ),
    Operation(
        method="GET",
        path="/v1/webhooks/secret",
        tag=TAG,
        summary="What one's deliveries are signed with",
        answers=(answer(ShownSecret, "The secret; made when it is first asked for.", example=SECRET),),
    ),
    Operation(
        method="POST",
        path="/v1/webhooks/secret",
        tag=TAG,
        summary="Change it",
        text="For a day deliveries carry the signature of the secret before as well.",
        answers=(answer(ShownSecret, "The new secret.", example=SECRET),),
        errors=(WrongOrigin,),
    ),
)
