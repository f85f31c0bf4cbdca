"""What became of a job's hotwords, over all its chunks: the figures, and how each word fared."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter

import msgspec

from services.contracts.hotwords import (
    MAX_WORDS,
    DroppedHotword,
    HotwordHit,
    HotwordMethod,
    Hotwords,
    HotwordsReport,
    SuspectedHotword,
)
from services.contracts.messages import ChunkTranscribed, JobRecord
from services.gateway.channels import merged

SUSPECTED_TOLD = 100
"""Hits that may be false, the most doubtful ones of a job."""


class HotwordCount(msgspec.Struct, frozen=True, kw_only=True):
    """How one word fared."""

    word: str
    heard: int
    """Places in the text."""
    dropped: int
    """Chunks in which it could not be applied."""
    suspected: int
    """Those of the places that may be false."""


class HotwordsSum(msgspec.Struct, frozen=True, kw_only=True):
    """The hotword reports of all chunks together."""

    method: HotwordMethod
    given: int
    applied: int
    dropped: tuple[DroppedHotword, ...]
    hits: tuple[HotwordHit, ...]
    suspected: tuple[SuspectedHotword, ...]
    words: tuple[HotwordCount, ...]


def summed(record: JobRecord, chunks: Sequence[ChunkTranscribed]) -> HotwordsSum | None:
    """The sum, None where no chunk has a report.

    Where the hotwords were changed, what was given, applied and dropped is told of the chunks that had the
    last ones, if there are any by now; what was heard is told of all.
    """
    reports = [chunk.hotwords for chunk in chunks if chunk.hotwords is not None]
    if not reports:
        return None
    now = [
        chunk.hotwords
        for chunk in chunks
        if chunk.hotwords is not None and chunk.hotwords_revision == record.hotwords_revision
    ]
    last = now or reports
    return HotwordsSum(
        method=last[0].method,
        given=max(report.given for report in last),
        applied=_applied(last),
        dropped=tuple({word.word: word for report in last for word in report.dropped}.values()),
        hits=tuple(merged([hit for report in reports for hit in report.hits], attrgetter("time"))),
        suspected=_most_doubtful(reports),
        words=_counts(record.options.hotwords or Hotwords(), reports, now),
    )


def _applied(reports: Sequence[HotwordsReport]) -> int:
    """What every chunk applied; one in which nobody speaks applies and drops nothing: it has no say."""
    return min((report.applied for report in reports if report.applied or report.dropped), default=0)


def _counts(
    hotwords: Hotwords, reports: Sequence[HotwordsReport], now: Sequence[HotwordsReport]
) -> tuple[HotwordCount, ...]:
    """Each word of the list in its order, then those of earlier lists that were heard."""
    heard = Counter(hit.word for report in reports for hit in report.hits)
    suspected = Counter(hit.word for report in reports for hit in report.suspected)
    dropped = _dropped(hotwords.words, now)
    words = tuple(dict.fromkeys((*hotwords.words, *heard)))
    if len(words) > MAX_WORDS:
        words = tuple(sorted(words, key=lambda word: word not in heard))[:MAX_WORDS]
    return tuple(
        HotwordCount(word=word, heard=heard[word], dropped=dropped[word], suspected=suspected[word])
        for word in words
    )


def _dropped(words: Sequence[str], reports: Sequence[HotwordsReport]) -> Counter[str]:
    """In how many chunks each word was dropped; where only the first ones are named, of those.

    Thousands of chunks may drop thousands of words: each range counts at its ends only.
    """
    changes = [0] * (len(words) + 1)
    named = Counter[str]()
    for report in reports:
        for start, end in report.dropped_at:
            changes[min(start, len(words))] += 1
            changes[min(end, len(words))] -= 1
        if not report.dropped_at:
            named.update({dropped.word for dropped in report.dropped})
    return named + Counter(dict(zip(words, accumulate(changes), strict=False)))


def _most_doubtful(reports: Sequence[HotwordsReport]) -> tuple[SuspectedHotword, ...]:
    suspected = [hit for report in reports for hit in report.suspected]
    doubtful = sorted(suspected, key=lambda hit: hit.avg_logprob)[:SUSPECTED_TOLD]
    return tuple(sorted(doubtful, key=lambda hit: hit.time))
