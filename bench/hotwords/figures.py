"""What the runs say: how each target fares, the whole table, and the points of the picture."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from bench.hotwords.curve import Lines, Point
from bench.hotwords.scores import Scores
from bench.report import Figure, Table, at_least, at_most

NONE, PROMPT, BIAS = "none", "prompt_injection", "logit_bias"
SEQUENCE, FASTER = "sequence_bias", "faster-whisper"
ARMS = (NONE, PROMPT, BIAS, SEQUENCE, FASTER)
BOOSTED = (BIAS, SEQUENCE)

PROMPT_WORDS = 50
"""Up to this size the two ways to prompt are compared: a prompt has room for no more. Only they get it."""
FEWER_ERRORS_PERCENT = 40.0
CHINESE_RECALL_PERCENT = 90.0
ADDED_ERRORS_POINTS = 0.1
FALSE_ALARMS_PERCENT = 1.0

HEADS = (
    "language",
    "list",
    "arm",
    "recall, %",
    "precision, %",
    "false alarms, %",
    "other errors, %",
    "on quiet clips",
    "CPU s",
)


class Case(msgspec.Struct, frozen=True):
    """One arm with one list at one boost."""

    language: str
    size: int
    arm: str
    boost: float


Results = Mapping[Case, Scores]


def targets(
    results: Results, languages: Sequence[str], sizes: Sequence[int], boost: float
) -> Iterator[Figure]:
    """Each target with what was found, language by language."""
    for language in languages:
        cases = {(arm, size): case(language, size, arm, boost) for size in sizes for arm in ARMS}
        of = {key: results[which] for key, which in cases.items() if which in results}
        largest = max(sizes)
        name = f"{language}, {largest:,}, {BIAS}"
        yield from _bias_targets(name, of[NONE, largest], of[BIAS, largest], chinese=language == "zh")
        for size in sizes:
            here = {arm: of[arm, size] for arm in ARMS if (arm, size) in of}
            if here.keys() >= {BIAS, SEQUENCE, FASTER}:
                yield _ahead(f"{language}, {size:,}", here)
            if size <= PROMPT_WORDS and here.keys() >= {PROMPT, FASTER}:
                yield from _prompt_targets(f"{language}, {size:,}", here[PROMPT], here[FASTER])


def _ahead(name: str, of: Mapping[str, Scores]) -> Figure:
    """Recall and precision in one figure, for either is easily had without the other."""
    best = max((SEQUENCE, FASTER), key=lambda arm: of[arm].f1)
    return at_least(f"{name}: F1 of {BIAS} ahead of {best}", of[BIAS].f1 - of[best].f1, 0, "points")


def _prompt_targets(name: str, ours: Scores, theirs: Scores) -> Iterator[Figure]:
    ahead = ours.recall.value - theirs.recall.value
    yield at_least(f"{name}: recall of {PROMPT} ahead of {FASTER}", ahead, 0, "points")
    more = ours.invented + ours.quiet_alarms - theirs.invented - theirs.quiet_alarms
    yield at_most(f"{name}: false hotwords of {PROMPT} beyond those of {FASTER}", more, 0)


def _bias_targets(name: str, none: Scores, bias: Scores, *, chinese: bool) -> Iterator[Figure]:
    fewer = 100 * (1 - (100 - bias.recall.value) / (100 - none.recall.value))
    yield at_least(f"{name}: fewer errors on hotwords", fewer, FEWER_ERRORS_PERCENT, "%")
    recall = bias.recall.value
    if chinese:
        yield at_least(f"{name}: recall", recall, CHINESE_RECALL_PERCENT, "%")
    else:
        yield Figure(name=f"{name}: recall", value=recall, unit="%")
    added, alarms = bias.added_errors.value, bias.false_alarms.value
    yield at_most(f"{name}: errors on other words, added", added, ADDED_ERRORS_POINTS, "points")
    yield at_most(f"{name}: plain sentences with a false hotword", alarms, FALSE_ALARMS_PERCENT, "%")
    yield at_most(f"{name}: hotwords on silence and noise", bias.quiet_alarms - bias.music_alarms, 0)
    yield at_most(f"{name}: hotwords on tones and chords", bias.music_alarms, 0)


def table(results: Results, languages: Sequence[str], sizes: Sequence[int], boost: float) -> Table:
    """All lists and arms at the one boost."""
    cases = [case(language, size, arm, boost) for language in languages for size in sizes for arm in ARMS]
    rows = [_row(which, results) for which in cases if which in results]
    title = f"All arms, boost {boost:g}; in brackets the bootstrap 95 % interval, (+) what the list adds:"
    return Table(title=title, heads=HEADS, rows=tuple(rows))


def _row(which: Case, results: Results) -> tuple[str, ...]:
    found = results[which]
    return (
        which.language,
        f"{which.size:,}",
        which.arm,
        str(found.recall),
        str(found.precision),
        str(found.false_alarms),
        f"{found.other_errors.value:.2f} (+) {found.added_errors}",
        f"{found.quiet_alarms} ({found.music_alarms} in music), {found.quiet_texts} texts",
        f"{found.seconds:.2f}",
    )


def lines(results: Results, language: str, size: int, boosts: Sequence[float]) -> Lines:
    """The picture's points for one language and list."""
    runs = [(arm, boost, f"{boost:g}") for arm in BOOSTED for boost in boosts]
    runs += [(arm, 0.0, "") for arm in (PROMPT, FASTER)]
    lines: dict[str, list[Point]] = {}
    for arm, boost, label in runs:
        if found := results.get(case(language, size, arm, boost)):
            lines.setdefault(arm, []).append(_point(found, label))
    return lines


def _point(found: Scores, label: str) -> Point:
    return Point(found.false_alarms.value, found.recall.value, label)


def case(language: str, size: int, arm: str, boost: float) -> Case:
    """A boost means nothing to some arms, and a boost of 0 is no arm at all."""
    if arm not in BOOSTED:
        return Case(language, size, arm, 0.0)
    return Case(language, size, arm if boost else NONE, boost)
