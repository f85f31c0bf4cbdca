"""Shows what `check-hotwords` saw: the texts side by side, and a sentence for each method."""

import sys
from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.command.verdicts import Finding, Outcome, Verdict, standing


def show(outcome: Outcome, *, as_json: bool) -> None:
    """On standard output, for people or for programs."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
        return
    console = Console()
    console.print(_table(outcome))
    for sentence in _sentences(outcome):
        console.print(Text(sentence))


def _table(outcome: Outcome) -> Table:
    table = Table("hotwords", "text", "words in it", "server's report", "verdict", show_lines=True)
    here = ", ".join(standing(outcome.words, outcome.text)) or "none"
    table.add_row("none", _marked(outcome.text, outcome.words), here, "", "")
    for one in outcome.methods:
        table.add_row(
            one.method,
            _marked(one.text, outcome.words),
            ", ".join(one.found) or "none",
            _reported(one),
            Text(one.verdict.upper(), style="green" if one.verdict is Verdict.HONOURED else "bold red"),
        )
    return table


def _marked(text: str, words: Sequence[str]) -> Text:
    shown = Text(text)
    shown.highlight_words(words, "bold green")
    return shown


def _reported(one: Finding) -> str:
    if one.report is None:
        return "nothing"
    return "\n".join(
        [
            f"{one.report.applied} of {one.report.given} applied",
            *dict.fromkeys(dropped.reason for dropped in one.report.dropped),
        ]
    )


def _sentences(outcome: Outcome) -> Iterator[str]:
    names = ", ".join(outcome.words)
    for one in outcome.methods:
        match one.verdict:
            case Verdict.HONOURED:
                yield f"The endpoint honours {one.method}."
            case Verdict.NO_EFFECT:
                yield f"{one.method} had no effect: it was applied, but none of the words came into the text."
            case Verdict.IGNORED:
                yield f"The endpoint ignores {one.method}: it did not apply {names}."
            case Verdict.UNKNOWN:
                yield f"{one.method} cannot be judged: {names} in the text without hotwords already."
    if not outcome.honoured:
        yield "With --file and --word you can check with a clip of your own."
