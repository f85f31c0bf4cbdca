"""`python -m tests.fuzz`: thousands of damaged and hostile files through a whole system.

Writes its table into tests/chaos/RESULTS.md; exits 1 for anything that is not as it must be.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos import table
from tests.chaos.table import Section, keep_cells
from tests.fuzz.bombs import large_bombs, leading_elsewhere, small_bombs
from tests.fuzz.campaign import HostileFile, Outcome, Tally, campaign
from tests.fuzz.canary import Canary, canary
from tests.fuzz.mutations import damaged, good_files
from tests.speech import recording

BATCH = 100
PLAYLISTS, BOMBS = "playlists and references", "bombs"
SECTION = Section(
    name="fuzz",
    title="Hostile files",
    about="""\
`make fuzz`: damaged recordings of every format (bits flipped in body or head, cut off, false sizes, another
format's head, concatenated, blocks shuffled, overwritten, inserted; checksums of Ogg pages made right again),
playlists and films that point elsewhere, and files made to use much, through a whole system with a stand-in
endpoint; an honest recording beside them all the time. Each must end in a transcript, one with a notice, or
an error that a user understands. No decoder may open or reach anything (strace, and a web server and a file
that nobody may touch), take more than its limits (looked at every 50 ms), or stay; nor may a message, a
process or a temporary file be left.""",
    heads=(
        *("files", "sent", "transcripts", "with a notice", "refused", "slowest (s)"),
        *("largest decoder (MiB)", "longest decoder (CPU s)"),
    ),
)


def main() -> None:
    """Run the campaign that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="damaged recordings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="kinds such as mp3,bombs; the rows of others stay")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        only = tuple(filter(None, asked.only.split(",")))
        work = fuzzed(Path(folder), files=asked.files, seed=asked.seed, large=True, only=only, say=_say)
        outcome = asyncio.run(work)
    for violation in outcome.violations:
        _say(violation)
    for kind, tally in outcome.kinds.items():
        keep_cells(SECTION, *_cells(kind, tally))
    wrong = f"{outcome.calls} calls traced, {len(outcome.violations)} wrong"
    identical = f"{outcome.identical} identical"
    keep_cells(
        SECTION,
        f"honest, beside {asked.only or 'all of them'}",
        outcome.honest,
        identical,
        "",
        wrong,
        "",
        "",
        "",
    )
    _say(table.publish())
    sys.exit(bool(outcome.violations))


async def fuzzed(
    folder: Path, *, files: int, seed: int, large: bool, only: tuple[str, ...] = (), say: object = print
) -> Outcome:
    """A campaign of so many damaged recordings and all that is made by hand, with or without large ones.

    `only` names the kinds that are sent; all where it is empty.
    """
    honest = folder / "honest.mp3"
    await asyncio.to_thread(recording, honest, seconds=20, seed=3)
    async with canary(folder / "canary") as bird:
        batches = list(await asyncio.to_thread(lambda: _batches(folder, files, seed, bird, large=large)))
        batches = [batch for batch in batches if not only or batch[0].kind in only]
        return await campaign(batches, honest, folder, visits=bird.visits, say=say)


def _batches(
    folder: Path, files: int, seed: int, bird: Canary, *, large: bool
) -> Iterator[Sequence[HostileFile]]:
    """All files, format by format."""
    elsewhere = leading_elsewhere(bird.file, bird.url)
    yield [HostileFile(PLAYLISTS, name, data) for name, data in elsewhere.items()]
    bombs = {**small_bombs(), **(large_bombs(folder) if large else {})}
    yield [HostileFile(BOMBS, name, data) for name, data in bombs.items()]
    by_format: dict[str, list[HostileFile]] = {}
    for one in damaged(good_files(folder / "good"), files, seed):
        name = f"{one.fmt} {one.mutation} (seed {seed}, number {one.number})"
        by_format.setdefault(one.fmt, []).append(HostileFile(one.fmt, name, one.data))
    for group in by_format.values():
        yield from (group[at : at + BATCH] for at in range(0, len(group), BATCH))


def _cells(kind: str, tally: Tally) -> list[object]:
    told = [
        ", ".join(f"{code} {count}" for code, count in counted.most_common())
        for counted in (tally.notices, tally.errors)
    ]
    taken = (f"{tally.memory_mib:.0f}", f"{tally.cpu_seconds:.1f}")
    return [kind, tally.files, tally.transcripts, *told, f"{tally.slowest_seconds:.1f}", *taken]


def _say(words: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(words, flush=True)


if __name__ == "__main__":
    main()
