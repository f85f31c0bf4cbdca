"""Signatures and the plan of tries: pure rules."""

import hashlib
import hmac

import pytest

from services.contracts.webhooks import Delivery, DeliveryState, SigningSecret
from services.gateway.crowd import Crowd, Crowded
from services.gateway.signing import signatures
from services.gateway.webhook_sender import Answer
from services.gateway.webhooks import PATIENCE_SECONDS, PAUSES, tried

DELIVERY = Delivery(owner="o", job="j", run=0, attempt=1, url="https://example.com/")
REFUSED = Answer(seconds=0.1, status=500, error="status 500")


def test_a_signature_is_that_of_the_documentation() -> None:
    secret = SigningSecret(text="whsec_x", made_at=0.0)
    expected = hmac.new(b"whsec_x", b'1700000000.{"a": 1}', hashlib.sha256).hexdigest()
    assert signatures(secret, "1700000000", b'{"a": 1}', 0.0) == f"v1={expected}"


def test_a_secret_that_was_changed_signs_for_a_while_too() -> None:
    secret = SigningSecret(text="new", made_at=100.0, previous="old", previous_until=200.0)
    new, old = (signatures(SigningSecret(text=text, made_at=0.0), "1", b"{}", 0.0) for text in ("new", "old"))
    assert signatures(secret, "1", b"{}", 199.0) == f"{new},{old}"
    assert signatures(secret, "1", b"{}", 200.0) == new


def test_a_delivery_is_tried_for_a_day_with_growing_pauses() -> None:
    delivery, now = DELIVERY, 1000.0
    pauses = []
    while delivery.state is DeliveryState.PENDING:
        delivery = tried(delivery, REFUSED, now)
        if delivery.next_at is not None:
            pauses.append(delivery.next_at - now)
            now = delivery.next_at
    assert delivery.state is DeliveryState.FAILED
    assert tuple(pauses[: len(PAUSES)]) == PAUSES
    assert 20 * 3600 < now - 1000.0 <= PATIENCE_SECONDS
    assert len(delivery.tries) < 15


def test_a_taken_delivery_is_done() -> None:
    done = tried(tried(DELIVERY, REFUSED, 1.0), Answer(seconds=0.2, status=204), 11.0)
    assert (done.state, done.next_at, [one.status for one in done.tries]) == (
        DeliveryState.DELIVERED,
        None,
        [500, 204],
    )
    assert done.id == DELIVERY.id == "j-0-1"


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 10.0), (3.0, 10.0), (500.0, 500.0)])
def test_a_receiver_may_ask_for_a_longer_pause(asked: float, pause: float) -> None:
    busy = Answer(seconds=0.1, status=429, error="status 429", retry_after=asked)
    assert tried(DELIVERY, busy, 50.0).next_at == 50.0 + pause


def test_a_receiver_that_asks_for_more_than_a_day_is_given_up() -> None:
    busy = Answer(seconds=0.1, status=429, error="status 429", retry_after=2 * PATIENCE_SECONDS)
    assert tried(DELIVERY, busy, 50.0).state is DeliveryState.FAILED


def test_places_are_counted_by_each_key() -> None:
    crowd = Crowd()
    with crowd.place({"a": 1, "u": 2}, retry_after=3.0), crowd.place({"b": 1, "u": 2}, retry_after=3.0):
        for full in ({"a": 1, "v": 1}, {"c": 1, "u": 2}):
            with pytest.raises(Crowded) as refused, crowd.place(full, retry_after=3.0):
                pass
            assert refused.value.retry_after == 3.0
    with crowd.place({"a": 1, "b": 1, "u": 1, "v": 1}, retry_after=3.0):
        pass
