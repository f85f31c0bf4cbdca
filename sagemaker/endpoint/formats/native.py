"""Our own contract: a form with audio and options, or audio alone; the whole result as JSON."""

from endpoint.answers import json_answer
from endpoint.audio import converted, decoded
from endpoint.bodies import Form
from endpoint.errors import BadInput
from endpoint.invocation import Chunk, Invocation
from endpoint.options import parsed
from services.contracts.inference import AUDIO_PART, OPTIONS_PART, InferenceOptions


def of_form(form: Form) -> Invocation:
    """Parts `audio` and, where the defaults will not do, `options`. Raises `BadInput`."""
    for name, bodies in form.items():
        if name not in (AUDIO_PART, OPTIONS_PART):
            raise BadInput(f"unknown part {name[:80]!r}: send {AUDIO_PART} and {OPTIONS_PART}", name[:80])
        if len(bodies) > 1:
            raise BadInput(f"the part {name} stands there {len(bodies)} times: send one", name)
    options = parsed(form[OPTIONS_PART][0]) if OPTIONS_PART in form else InferenceOptions()
    return Invocation(Chunk(decoded(form[AUDIO_PART][0]), options), json_answer)


def of_audio(body: bytes) -> Invocation:
    """A bare file of any readable format with default options: what Hugging Face's containers take too.

    Raises `BadInput`.
    """
    return Invocation(Chunk(converted(body), InferenceOptions()), json_answer)
