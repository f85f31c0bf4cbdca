"""The last words on one recording."""

from client.answers import Gap
from client.command.display import Screen
from client.command.outcome import Outcome
from client.command.parsers import STDOUT
from client.command.times import clock
from client.transcripts import MissingText


def report(outcome: Outcome, screen: Screen, prog: str) -> None:
    """Tell what it lacks and where its transcript is."""
    for sentence in (outcome.notice, outcome.error):
        if sentence is not None:
            screen.warn(sentence)
    for gap in outcome.gaps:
        screen.warn(missing(gap))
    if outcome.gaps:
        screen.say(f"Try these stretches again: {prog} retry {outcome.job}")
    if outcome.output not in (None, str(STDOUT)):
        screen.say(f"Transcript: {outcome.output}")


def missing(gap: MissingText | Gap) -> str:
    """A stretch without text, and why."""
    return f"no text from {clock(gap.start)} to {clock(gap.end)}: {gap.error.message}"
