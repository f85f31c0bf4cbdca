"""The way of a job as people read it: what happened when, where it stands, and what it waits for."""

from collections.abc import Iterator
from datetime import UTC, datetime

from services.contracts.messages import Problem, UploadState
from services.contracts.webhooks import DeliveryState
from services.gateway.claim import DEAD_SECONDS
from services.gateway.way import ChunkWay, DeliveryWay, Way


def text(way: Way) -> str:
    """All of it."""
    return "\n".join([*_head(way), "", *_steps(way), *_chunks(way), "", *_standing(way)])


def _head(way: Way) -> Iterator[str]:
    yield f"job {way.job}  of {way.user}  lane {way.lane}  upload {way.run}  attempt {way.attempt}"
    yield f"trace {way.trace_id}"
    yield f"Times are the broker's, in seconds since {_date(way.created_at)}; now is {_since(way, way.now)}"


def _steps(way: Way) -> list[str]:
    """What happened, in its order."""
    steps = [(way.created_at, "created")]
    if way.upload is not None:
        steps.append((way.upload.first_at, "first part of the upload"))
        steps.append((way.upload.last_at, _last_part(way)))
    if way.waiting_since is not None:
        steps.append((way.waiting_since, "command stored: it waits for a place"))
    if way.admitted_at is not None:
        steps.append((way.admitted_at, "given a place: its command stands in the chunkers' queue"))
    if way.started_at is not None:
        steps.append((way.started_at, "taken by a chunker"))
    texts = [chunk.text_at for chunk in way.chunks if chunk.text_at is not None]
    if texts:
        steps.append((min(texts), "first text"))
    for end in way.ends:
        about = (
            f"end of attempt {end.attempt}: {end.state}, {end.chunks} chunks, {end.seconds:.1f} s of audio"
        )
        steps.append((end.at, about + _because(end.problem)))
    if way.ended_at is not None:
        steps.append((way.ended_at, f"record says {way.state}"))
    for delivery in way.deliveries:
        steps += [
            (one.at, f"webhook of attempt {delivery.attempt}: {one.error or f'taken ({one.status})'}")
            for one in delivery.tries
        ]
    return [f"{_since(way, at)}  {what}" for at, what in sorted(steps, key=lambda step: step[0])]


def _last_part(way: Way) -> str:
    assert way.upload is not None  # noqa: S101  # asked for where there is one
    end, parts = way.upload.end, way.upload.parts
    if end is None:
        return f"newest of {parts} parts so far"
    if end.interrupted is not None:
        return f"last of {parts} parts: broken off after {end.bytes:,} bytes{_because(end.interrupted)}"
    return f"last of {parts} parts: {end.bytes:,} bytes, whole"


def _chunks(way: Way) -> list[str]:
    if not way.chunks:
        return []
    rows = [("CHUNK", "AUDIO", "CUT", "OUTCOME", "AFTER", "")]
    for chunk in way.chunks:
        audio = f"{chunk.start:.2f}-{chunk.end:.2f}"
        if chunk.channel is not None:
            audio += f" channel {chunk.channel}"
        settled_at, what = _outcome(way, chunk)
        at, after = "", ""
        if settled_at is not None:
            at, after = _since(way, settled_at), f"{settled_at - chunk.cut_at:.3f}"
        rows.append((str(chunk.chunk), audio, _since(way, chunk.cut_at), at, after, what))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "",
        *(
            "  ".join([*map(str.rjust, row[:-1], widths), row[-1]]).rstrip()  # the last column is text
            for row in rows
        ),
    ]


def _outcome(way: Way, chunk: ChunkWay) -> tuple[float | None, str]:
    tried = "".join(f"; gap in attempt {gap.attempt}{_because(gap.problem)}" for gap in chunk.gaps)
    if chunk.text_at is not None:
        return chunk.text_at, f"text, {chunk.endpoint_seconds or 0:.3f} s at the endpoint{tried}"
    if chunk.queued_at is not None:
        return None, f"in the transcribers' queue for {way.now - chunk.queued_at:.1f} s{tried}"
    if chunk.gaps:
        return chunk.gaps[-1].at, tried.removeprefix("; ")
    return None, "cut, but not in the queue"


def _standing(way: Way) -> Iterator[str]:
    """Where the job stands now, and for whom it waits."""
    if way.deleted:
        yield "It is deleted."
        return
    if way.upload_state is UploadState.RECEIVING:
        last = way.upload.last_at if way.upload else way.created_at
        silent = way.now - last
        dead = ": its gateway is gone, and the chunker ends the upload" if silent > DEAD_SECONDS else ""
        yield f"Its upload is being received; the newest part is {silent:.1f} s old{dead}."
    ended = any(end.attempt == way.attempt for end in way.ends)
    if ended and way.state.final:
        yield f"It has ended: {way.state}{_because(way.problem)}."
        yield from filter(None, (_delivery(way, delivery) for delivery in way.deliveries))
    elif ended:
        yield "Its end is stored; a chunker has yet to write it into the record."
    elif way.admitted_at is not None and way.started_at is None:
        yield f"It waits for a chunker to take it, for {way.now - way.admitted_at:.1f} s (lane {way.lane})."
    elif way.admitted_at is not None:
        yield from _at_work(way)
    elif way.waiting_since is not None:
        waited, others = way.now - way.waiting_since, way.others_running
        yield f"It waits for a place, for {waited:.1f} s; {others} other jobs of its user have one."
    elif way.state.final:
        yield f"Its record says {way.state}{_because(way.problem)}; no end of it is stored."
    else:
        yield "Nobody has its command: the gateways' janitor hands it out again after ORPHAN_SECONDS."


def _at_work(way: Way) -> Iterator[str]:
    """What a job that a chunker has in hand waits for."""
    open_chunks = [chunk for chunk in way.chunks if chunk.text_at is None and not _gap_of(way, chunk)]
    queued = [chunk for chunk in open_chunks if chunk.queued_at is not None]
    yield f"A chunker has it in hand: {len(way.chunks)} chunks cut, {len(open_chunks)} without an outcome."
    if queued:
        oldest = max(way.now - (chunk.queued_at or way.now) for chunk in queued)
        numbers = ", ".join(str(chunk.chunk) for chunk in queued)
        yield f"It waits for transcribers and the endpoint; queued for up to {oldest:.1f} s: {numbers}."
    elif open_chunks:
        yield "It waits for its user's window, or for the chunker to send again what was lost."
    elif way.upload_state is UploadState.RECEIVING:
        yield "It waits for more of the upload."
    else:
        yield "It waits for the decoder to give the next chunk."


def _gap_of(way: Way, chunk: ChunkWay) -> bool:
    return any(gap.attempt == way.attempt for gap in chunk.gaps)


def _delivery(way: Way, delivery: DeliveryWay) -> str:
    if delivery.state is not DeliveryState.PENDING:
        return ""
    due = f", next in {delivery.next_at - way.now:.0f} s" if delivery.next_at is not None else ""
    return (
        f"Its webhook of attempt {delivery.attempt} is still to be taken: {len(delivery.tries)} tries{due}."
    )


def _because(problem: Problem | None) -> str:
    return "" if problem is None else f" ({problem.code})"


def _since(way: Way, at: float) -> str:
    return f"{at - way.created_at:+10.3f}"


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
