"""Every arm with every list in every language, and the picture of boosts; `python -m bench.hotwords`.

A run that was stopped goes on where it was. espeak-ng speaks the sentences.
"""

import argparse
import time
from pathlib import Path

import msgspec

from bench.hotwords import figures
from bench.hotwords.anchors import FasterWhisper, SequenceBias
from bench.hotwords.answers import Notebook
from bench.hotwords.arms import Arm, Ours, RememberingModel
from bench.hotwords.corpus import TEST, TUNING, Clip, clips
from bench.hotwords.curve import svg
from bench.hotwords.figures import Case
from bench.hotwords.lists import SIZES, requests
from bench.hotwords.scores import Count, Scores, counted, scores
from bench.hotwords.vocabularies import languages
from bench.report import RESULTS, publish
from endpoint.steering import MIN_BEAMS
from services.contracts.hotwords import HotwordMethod
from services.dev.local import BUNDLED_MODEL
from testmodel.vocabulary import Language

WORK = Path(__file__).parents[1] / "work" / "hotwords"
PICTURE = RESULTS / "hotwords.svg"
SEED = 20_000
SENTENCES = 200
BOOST = 3.0
"""Of the sentences of the other split: a smaller one finds fewer words, a larger one invents Chinese ones."""
BOOSTS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
THREADS = 1
TITLE = (
    "Words that sound like more common ones, said by a synthetic voice and listed among distractors. "
    "Recall: hotwords spelled as listed. False alarms: sentences without any hotword in whose text one "
    "stands. Other errors: words (characters in zh) that are wrong, the hotwords aside. Ours and the anchor "
    f"beside it have as many beams: {MIN_BEAMS} with a bias, else 1. The boost of the table was chosen on "
    "other sentences (`--split dev`)."
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the run."""

    model: Path
    split: str
    languages: tuple[str, ...]
    sentences: int
    lists: tuple[int, ...]
    boost: float
    boosts: tuple[float, ...]
    arms: tuple[str, ...]


class Desk:
    """One language's clips and arms; every answer is noted down."""

    def __init__(self, language: Language, options: Options) -> None:
        self.language = language
        self.clips: list[Clip] = clips(language, options.split, options.sentences, SEED, WORK)
        self.arms = arms(options.model, language.code)
        self._notes = Notebook(WORK / "answers", options.model)
        self._runs = options.arms

    def counts(self, case: Case) -> tuple[list[Count], float] | None:
        """Every clip, counted, and the processor seconds of one; None if neither noted nor to be run."""
        size = case.size if case.arm != figures.NONE else 1  # it hears no list: once is enough
        heard = requests(self.language, self.clips, size, SEED)
        name = f"{case.language}-{case.arm}-{size}-{case.boost:g}"
        arm, run = self.arms[case.arm], case.arm in self._runs
        answers = self._notes.answers(name, arm, heard, case.boost, run=run)
        if answers is None:
            return None
        asked = requests(self.language, self.clips, case.size, SEED)
        return counted(asked, answers.texts, spaced=bool(self.language.joiner)), answers.seconds


def main() -> None:
    """Run what is not noted down yet; of the test sentences write results/hotwords.json and .svg."""
    options = _options()
    WORK.mkdir(parents=True, exist_ok=True)
    results: dict[Case, Scores] = {}
    for language in languages(options.model).values():
        if not options.languages or language.code in options.languages:
            results |= _measured(Desk(language, options), options)
    if options.split == TEST:
        _publish(results, options)


def arms(model: Path, language: str) -> dict[str, Arm]:
    """Every way to transcribe, on one thread each."""
    ours = RememberingModel(model, THREADS)
    return {
        figures.NONE: Ours(ours, language, None),
        figures.PROMPT: Ours(ours, language, HotwordMethod.PROMPT_INJECTION),
        figures.BIAS: Ours(ours, language, HotwordMethod.LOGIT_BIAS),
        figures.SEQUENCE: SequenceBias(model, language, THREADS),
        figures.FASTER: FasterWhisper(model, language, THREADS, WORK),
    }


def plan(language: str, options: Options) -> list[Case]:
    """All arms at the one boost, then the other boosts with the largest list; none of them twice."""
    cases = [
        figures.case(language, size, arm, options.boost)
        for size in options.lists
        for arm in figures.ARMS
        if size != figures.PROMPT_WORDS or arm not in figures.BOOSTED
    ]
    largest = max(options.lists)
    cases += [
        figures.case(language, largest, arm, boost) for boost in options.boosts for arm in figures.BOOSTED
    ]
    return list(dict.fromkeys(cases))


def _measured(desk: Desk, options: Options) -> dict[Case, Scores]:
    found: dict[Case, Scores] = {}
    without: dict[int, list[Count]] = {}
    cases = plan(desk.language.code, options)
    begun = time.monotonic()
    for number, case in enumerate(cases, 1):
        if (made := desk.counts(case)) is None:
            continue
        counts, seconds = made
        without.setdefault(case.size, counts)  # the first arm of each list is that without it
        found[case] = scores(counts, without[case.size], seconds)
        left = (time.monotonic() - begun) / number * (len(cases) - number) / 60
        print(f"[{number}/{len(cases)}] {_told(case, found[case])}; {left:.0f} min left", flush=True)
    return found


def _told(case: Case, found: Scores) -> str:
    return (
        f"{case.language}, list of {case.size}, {case.arm} at {case.boost:g}: recall {found.recall}, "
        f"precision {found.precision}, false alarms {found.false_alarms}, "
        f"other errors {found.other_errors.value:.2f} (+) {found.added_errors}, "
        f"quiet {found.quiet_alarms} in {found.quiet_texts}, {found.seconds:.2f} s"
    )


def _publish(results: dict[Case, Scores], options: Options) -> None:
    known, largest = tuple(dict.fromkeys(case.language for case in results)), max(options.lists)
    panels = {code: figures.lines(results, code, largest, options.boosts) for code in known}
    RESULTS.mkdir(exist_ok=True)
    PICTURE.write_text(svg(panels))
    publish(
        "hotwords",
        f"{TITLE} {_size(options)}",
        list(figures.targets(results, known, options.lists, options.boost)),
        ("torch", "transformers", "ctranslate2", "faster-whisper"),
        tables=[figures.table(results, known, options.lists, options.boost)],
        picture=PICTURE.name,
    )


def _size(options: Options) -> str:
    size = f"{options.sentences} sentences with and {options.sentences} without a hotword in each language"
    if options.sentences >= SENTENCES and {*SIZES} <= {*options.lists} and {*BOOSTS} <= {*options.boosts}:
        return f"{size}."
    lists = ", ".join(f"{words:,}" for words in SIZES)
    return (
        f"{size}: a reduced run, and what is missing below was not run. The whole protocol, by default, has "
        f"{SENTENCES} sentences and lists of {lists}."
    )


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model", type=Path, default=BUNDLED_MODEL, help="folder of a model made by testmodel")
    add("--split", choices=(TEST, TUNING), default=TEST, help="dev is for choosing settings")
    add("--languages", nargs="+", metavar="CODE", default=(), help="default: all that the model knows")
    add(
        "--sentences",
        type=int,
        default=SENTENCES,
        help="with a hotword, and as many without, in each language",
    )
    add("--lists", nargs="+", type=int, default=SIZES, help="numbers of words in a list")
    add("--boost", type=float, default=BOOST, help="nats a token, for the table")
    add("--boosts", nargs="+", type=float, default=BOOSTS, help="nats a token, for the picture")
    add(
        "--arms", nargs="+", choices=figures.ARMS, default=figures.ARMS, help="to be run; of others the notes"
    )
    return msgspec.convert(vars(parser.parse_args()), Options)


if __name__ == "__main__":
    main()
