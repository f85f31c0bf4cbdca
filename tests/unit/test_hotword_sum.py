"""What is told of a job's hotwords: figures over all chunks, and how each word fared."""

from services.contracts.hotwords import (
    MAX_WORDS,
    DroppedHotword,
    HotwordHit,
    HotwordMethod,
    Hotwords,
    HotwordsReport,
    SuspectedHotword,
    ranges,
)
from services.contracts.messages import ChunkTranscribed, JobOptions, JobRecord, Lane
from services.gateway.hotword_sum import SUSPECTED_TOLD, HotwordsSum, summed

BIAS = HotwordMethod.LOGIT_BIAS


def report(given: int = 3, applied: int = 3, **more: object) -> HotwordsReport:
    return HotwordsReport(method=BIAS, given=given, applied=applied, **more)  # type: ignore[arg-type]


def heard(*places: tuple[str, float]) -> tuple[HotwordHit, ...]:
    return tuple(HotwordHit(word=word, time=time) for word, time in places)


def doubted(*places: tuple[str, float, float]) -> tuple[SuspectedHotword, ...]:
    return tuple(SuspectedHotword(word=word, time=time, avg_logprob=sure) for word, time, sure in places)


def named(*words: str) -> tuple[DroppedHotword, ...]:
    return tuple(DroppedHotword(word=word, reason="no room") for word in words)


def of(
    *reports: HotwordsReport | None, words: tuple[str, ...] = (), revisions: tuple[int, ...] = ()
) -> HotwordsSum | None:
    """The sum for a job with these words, whose chunks have these reports, of these revisions of them."""
    chunks = [
        ChunkTranscribed(
            chunk=number,
            start=0,
            end=1,
            text="",
            language="en",
            segments=(),
            hotwords=each,
            hotwords_revision=revisions[number] if revisions else 0,
        )
        for number, each in enumerate(reports)
    ]
    record = JobRecord(
        id="a",
        owner="o",
        user="ann",
        session="s",
        name="n",
        options=JobOptions(hotwords=Hotwords(words=words) if words else None),
        created_at=0.0,
        lane=Lane.SHORT,
        hotwords_revision=max(revisions, default=0),
    )
    return summed(record, chunks)


def told(*reports: HotwordsReport | None, **more: tuple[object, ...]) -> HotwordsSum:
    found = of(*reports, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def counts(*reports: HotwordsReport | None, **more: tuple[object, ...]) -> list[tuple[str, int, int, int]]:
    words = told(*reports, **more).words
    return [(each.word, each.heard, each.dropped, each.suspected) for each in words]


def test_without_a_report_there_is_no_sum() -> None:
    assert of() is None
    assert of(None, words=("Anna",)) is None


def test_reports_are_summed_in_the_order_of_the_recording() -> None:
    first = report(applied=3, dropped=named("long"), hits=heard(("Bob", 1.0)))
    second = report(applied=2, dropped=named("long"), hits=heard(("Anna", 21.0)))
    found = told(first, None, second)
    assert (found.given, found.applied, len(found.dropped)) == (3, 2, 1)
    assert [hit.word for hit in found.hits] == ["Bob", "Anna"]


def test_hits_on_several_channels_stand_in_the_order_of_time() -> None:
    on_first = tuple(HotwordHit(word="Anna", time=time, channel=0) for time in (1.0, 9.0))
    on_second = (HotwordHit(word="Bob", time=4.0, channel=1),)
    found = told(report(hits=on_first), report(hits=on_second))
    assert [(hit.time, hit.channel) for hit in found.hits] == [(1.0, 0), (4.0, 1), (9.0, 0)]


def test_a_silent_chunk_has_no_say_in_how_many_were_applied() -> None:
    assert told(*(report(applied=count) for count in (3, 0, 3))).applied == 3
    assert told(report(applied=0), report(applied=0)).applied == 0


def test_suspected_ones_of_all_chunks_are_told_up_to_a_number() -> None:
    few = told(report(suspected=doubted(("Anna", 1.0, -1.5))), report(suspected=doubted(("Anna", 21.0, -2))))
    assert [hit.time for hit in few.suspected] == [1.0, 21.0]
    many = doubted(
        *(("Anna", float(number), -1.0 - number % 7) for number in range(SUSPECTED_TOLD * 2)),
        ("Anna", 999.0, -9.0),
    )
    found = told(report(suspected=many))
    assert len(found.suspected) == SUSPECTED_TOLD
    assert found.suspected[-1].time == 999.0


def test_each_word_tells_how_often_it_was_heard_dropped_and_suspected() -> None:
    first = report(
        hits=heard(("Anna", 1.0), ("Anna", 2.0)), suspected=doubted(("Anna", 2.0, -3)), dropped_at=((1, 3),)
    )
    second = report(hits=heard(("Bob", 21.0)), dropped_at=((2, 3),))
    assert counts(first, second, words=("Anna", "Bob", "Zoe")) == [
        ("Anna", 2, 0, 1),
        ("Bob", 1, 1, 0),
        ("Zoe", 0, 2, 0),
    ]


def test_words_dropped_without_a_name_count_too() -> None:
    """A chunk names twenty of thousands, and tells the places of all."""
    words = tuple(f"word{number}" for number in range(MAX_WORDS))
    chunk = report(dropped=named(*words[50:70]), dropped_at=ranges(range(50, MAX_WORDS)))
    dropped = [count[2] for count in counts(*[chunk] * 3, words=words)]
    assert dropped == [0] * 50 + [3] * (MAX_WORDS - 50)


def test_an_endpoint_that_tells_no_places_names_the_first_ones() -> None:
    assert counts(report(dropped=named("Bob")), words=("Anna", "Bob")) == [
        ("Anna", 0, 0, 0),
        ("Bob", 0, 1, 0),
    ]


def test_places_beyond_the_list_change_nothing() -> None:
    assert counts(report(dropped_at=((1, 7), (9, 12))), words=("Anna", "Bob")) == [
        ("Anna", 0, 0, 0),
        ("Bob", 0, 1, 0),
    ]


def test_after_a_change_the_figures_are_those_of_the_last_words_and_all_hits_stay() -> None:
    before = report(given=9, applied=1, hits=heard(("Old", 1.0)), dropped=named("x"), dropped_at=((0, 2),))
    after = report(given=2, applied=2, hits=heard(("New", 21.0)))
    more = {"words": ("New", "Zoe"), "revisions": (0, 1)}
    found = told(before, after, **more)
    assert (found.given, found.applied, found.dropped) == (2, 2, ())
    assert counts(before, after, **more) == [("New", 1, 0, 0), ("Zoe", 0, 0, 0), ("Old", 1, 0, 0)]


def test_before_the_first_chunk_of_a_change_the_earlier_ones_are_told() -> None:
    before = report(given=9, applied=1, hits=heard(("Old", 1.0)))
    found = told(before, words=("New",), revisions=(0,))
    assert (found.given, found.applied) == (9, 1)


def test_of_too_many_words_those_that_were_heard_stay() -> None:
    words = tuple(f"word{number}" for number in range(MAX_WORDS))
    found = counts(report(hits=heard(("Old", 1.0), (words[-1], 2.0))), words=words)
    assert len(found) == MAX_WORDS
    assert {word for word, times, _, _ in found if times} == {"Old", words[-1]}


def test_neighbours_are_one_range_and_there_are_only_so_many() -> None:
    assert ranges([]) == ()
    assert ranges([0, 1, 2, 5, 7, 8]) == ((0, 3), (5, 6), (7, 9))
    assert ranges(range(0, 1000, 2))[-1] == (198, 199)
