"""Old messages stay readable: each file of tests/golden was written by some version and must decode as then.

A new field needs a default, and no file changes. A new message gets a file: the failing test prints it.
"""

import inspect
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from services.contracts import (
    claims,
    hotwords,
    inference,
    messages,
    personal_tokens,
    traces,
    usage,
    webhooks,
)
from services.contracts.claims import (
    Claims,
    GetKeys,
    Keys,
    ListedToken,
    ListTokens,
    Login,
    MakeToken,
    NoteUses,
    PublicKey,
    Refresh,
    Refused,
    Revoke,
    Revoked,
    RevokedSession,
    RevokeTokens,
    TokenMade,
    Tokens,
    TokensListed,
    TokensRevoked,
    TokenType,
    TokenUse,
    UsesNoted,
)
from services.contracts.hotwords import (
    DroppedHotword,
    HotwordHit,
    HotwordList,
    HotwordMethod,
    Hotwords,
    HotwordsReport,
    ListUsed,
    SuspectedHotword,
)
from services.contracts.inference import (
    InferenceOptions,
    InferenceResult,
    Segment,
    Task,
    Timestamps,
    Word,
)
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    EndOfUpload,
    JobEnded,
    JobOptions,
    JobRecord,
    JobState,
    Lane,
    MessageGivenUp,
    Problem,
    Range,
    SameContent,
    StartJob,
    TranscribeChunk,
    UploadState,
)
from services.contracts.personal_tokens import LastUse, Named, PersonalToken, Scope
from services.contracts.usage import DayUsed, Figures, JobUsed
from services.contracts.webhooks import Delivery, SigningSecret, Try

GOLDEN = Path(__file__).parent.parent / "golden"

JOB = "mfrggzdfmztwq2lknnwg23tpob"
OWNER = "onswg4tfoqqho2dj"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WORDS = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("Katherine", "林克斯"), boost_factor=2.0)
REPORT = HotwordsReport(
    method=HotwordMethod.LOGIT_BIAS,
    given=2,
    applied=1,
    dropped=(DroppedHotword(word="林克斯", reason="too long for the prompt"),),
    hits=(HotwordHit(word="Katherine", time=3.2),),
)
SEGMENT = Segment(
    start=0.5, end=2.4, text="call Katherine", avg_logprob=-0.1, no_speech_prob=0.01, compression_ratio=1.1
)
WORD = Word(start=0.5, end=0.8, word="call")
PROBLEM = Problem(code="cut_short", message="The recording breaks off at 12:31.")
LISTED = ListedToken(
    id="t1",
    name="ci",
    scopes=(Scope.READ, Scope.TRANSCRIBE),
    created_at=1_700_000_000.5,
    expires_at=1_707_776_000.5,
    last_used_at=1_700_000_060.0,
)
TRY = Try(at=1_700_000_060.0, seconds=0.25, status=500, error="status 500")
FIGURES = Figures(jobs=1, audio=1_000_000, skipped=100_000, endpoint_seconds=7.25)
OPTIONS = JobOptions(
    language="en",
    task=Task.TRANSLATE,
    hotwords=WORDS,
    timestamps=Timestamps.WORD,
    temperature=0.2,
    skip_silence=False,
)

EXPECTED: dict[str, msgspec.Struct] = {
    "claims": Claims(
        iss="whisper-webui",
        aud="whisper-webui",
        sub="ann",
        typ=TokenType.ACCESS,
        sid="s1",
        jti="j1",
        iat=1_700_000_000,
        exp=1_700_000_900,
        roles=("admin",),
    ),
    "login": Login(username="ann", password="secret", address="203.0.113.7"),
    "refresh": Refresh(refresh_token="r"),
    "revoke": Revoke(token="t"),
    "get_keys": GetKeys(),
    "tokens": Tokens(access_token="a", expires_in=900, refresh_token="r", refresh_expires_in=604_800),
    "revoked": Revoked(),
    "keys": Keys(keys=(PublicKey(kid="k1", x="11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),)),
    "refused": Refused(code="slow_down", message="Wait.", retry_after=2.5),
    "revoked_session": RevokedSession(sid="s1", expires_at=1_700_604_800.0),
    "make_token": MakeToken(proof="a", name="ci", scopes=(Scope.READ,), days=90, sha256="9f86d081"),
    "list_tokens": ListTokens(proof="a"),
    "revoke_tokens": RevokeTokens(proof="a", id="t1"),
    "note_uses": NoteUses(uses=(TokenUse(owner=OWNER, id="t1", at=1_700_000_060.0),)),
    "token_made": TokenMade(token=LISTED),
    "tokens_listed": TokensListed(tokens=(LISTED,), most=50, longest_days=366),
    "tokens_revoked": TokensRevoked(count=1),
    "uses_noted": UsesNoted(),
    "personal_token": PersonalToken(
        id="t1",
        owner=OWNER,
        user="ann",
        name="ci",
        scopes=(Scope.READ, Scope.TRANSCRIBE),
        sha256="9f86d081",
        created_at=1_700_000_000.5,
        expires_at=1_707_776_000.5,
        revoked_at=1_700_000_600.0,
    ),
    "last_use": LastUse(at=1_700_000_060.0),
    "hotwords": WORDS,
    "hotword_list": HotwordList(
        method=WORDS.method,
        words=WORDS.words,
        boost_factor=WORDS.boost_factor,
        version=3,
        updated_at=1_700_000_000.5,
    ),
    "inference_options": InferenceOptions(
        language="en", task=Task.TRANSLATE, hotwords=WORDS, timestamps=Timestamps.WORD, temperature=0.2
    ),
    "inference_result": InferenceResult(
        text="call Katherine", language="en", segments=(SEGMENT,), words=(WORD,), hotwords=REPORT
    ),
    "job_record": JobRecord(
        id=JOB,
        owner=OWNER,
        user="ann",
        session="s1",
        name="meeting.mp3",
        options=OPTIONS,
        created_at=1_700_000_000.5,
        lane=Lane.LONG,
        run=1,
        attempt=2,
        announced_bytes=14_417_920,
        upload=UploadState.STORED,
        upload_bytes=14_417_920,
        sha256="9f86d081884c7d65",
        state=JobState.COMPLETED,
        started_at=1_700_000_001.0,
        ended_at=1_700_000_061.0,
        duration=29_347_200,
        problem=PROBLEM,
        deleted=True,
    ),
    "job_record_reworded": JobRecord(
        id=JOB,
        owner=OWNER,
        user="ann",
        session="s1",
        name="meeting.mp3",
        options=JobOptions(hotwords=WORDS),
        created_at=1_700_000_000.5,
        lane=Lane.SHORT,
        hotword_list=ListUsed(name="team", version=3, shared=True),
        hotwords_revision=2,
    ),
    "end_of_upload": EndOfUpload(bytes=1_048_576, sha256="9f86d081884c7d65", interrupted=PROBLEM),
    "same_content": SameContent(job=JOB),
    "start_job": StartJob(owner=OWNER, job=JOB, run=1, attempt=2),
    "transcribe_chunk": TranscribeChunk(
        owner=OWNER, job=JOB, run=1, attempt=2, chunk=3, start=480_000, end=900_000
    ),
    "start_job_traced": StartJob(owner=OWNER, job=JOB, run=1, attempt=2, trace=TRACE),
    "transcribe_chunk_traced": TranscribeChunk(
        owner=OWNER, job=JOB, run=1, attempt=2, chunk=3, start=480_000, end=900_000, trace=TRACE
    ),
    "job_record_traced": JobRecord(
        id=JOB,
        owner=OWNER,
        user="ann",
        session="s1",
        name="meeting.mp3",
        options=JobOptions(),
        created_at=1_700_000_000.5,
        lane=Lane.SHORT,
        trace=TRACE,
    ),
    "delivery_traced": Delivery(
        owner=OWNER, job=JOB, run=1, attempt=2, url="https://example.com/hook", trace=TRACE
    ),
    "chunk_cut": ChunkCut(
        chunk=3, start=480_000, end=900_000, skipped=(Range(450_000, 480_000),), source_bytes=524_288
    ),
    "chunk_transcribed": ChunkTranscribed(
        chunk=3,
        start=480_000,
        end=900_000,
        text="call Katherine",
        language="en",
        segments=(SEGMENT,),
        words=(WORD,),
        hotwords=REPORT,
        endpoint_seconds=0.7,
    ),
    "chunk_failed": ChunkFailed(chunk=3, start=480_000, end=900_000, attempt=1, problem=PROBLEM),
    "job_ended": JobEnded(
        state=JobState.COMPLETED,
        attempt=1,
        chunks=4,
        duration=1_000_000,
        skipped=(Range(900_000, 1_000_000),),
        problem=PROBLEM,
    ),
    "message_given_up": MessageGivenUp(
        stream="CHUNK",
        sequence=17,
        subject=f"chunk.short.{JOB}-1.3",
        deliveries=3,
        problem=PROBLEM,
        at=1_700_000_060.0,
    ),
    "job_used": JobUsed(user="ann", figures=FIGURES),
    "delivery": Delivery(
        owner=OWNER,
        job=JOB,
        run=1,
        attempt=2,
        url="https://example.com/hook",
        tries=(TRY,),
        next_at=1_700_000_070.0,
    ),
    "signing_secret": SigningSecret(
        text="whsec_b", made_at=1_700_000_000.0, previous="whsec_a", previous_until=1_700_086_400.0
    ),
    "day_used": DayUsed(user="ann", sequence=17, figures=FIGURES),
}
"""Every message with every field set, by the name of its file."""
PARTS = {
    PublicKey,
    ListedToken,
    TokenUse,
    Named,
    Segment,
    Word,
    HotwordsReport,
    DroppedHotword,
    HotwordHit,
    SuspectedHotword,
    ListUsed,
    Problem,
    Range,
    JobOptions,
    Figures,
    Try,
}
"""Structs that only travel inside others."""


MODULES = (claims, hotwords, inference, messages, personal_tokens, usage, webhooks)


def structs(module: ModuleType) -> set[type[msgspec.Struct]]:
    own = (value for value in vars(module).values() if inspect.isclass(value))
    return {
        value
        for value in own
        if inspect.isclass(value)
        and issubclass(value, msgspec.Struct)
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_message_reads_as_it_was_meant(name: str) -> None:
    path, expected = GOLDEN / f"{name}.json", EXPECTED[name]
    assert path.exists(), f"write {path.name}: {msgspec.json.format(msgspec.json.encode(expected)).decode()}"
    assert msgspec.json.decode(path.read_bytes(), type=type(expected)) == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_written_today_still_has_the_old_fields(name: str) -> None:
    """Services are replaced one by one: for a while old ones read what new ones write."""
    old = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    new = msgspec.json.decode(msgspec.json.encode(EXPECTED[name]))
    assert known(new, old) == old


def known(new: object, old: object) -> object:
    """What a reader takes from `new` that knows the fields of `old` only."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {field: known(new.get(field), value) for field, value in old.items()}
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return [known(*pair) for pair in zip(new, old, strict=True)]
    return new


@pytest.mark.parametrize("name", EXPECTED)
def test_a_message_survives_its_journey(name: str) -> None:
    value = EXPECTED[name]
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


@pytest.mark.parametrize("name", EXPECTED)
def test_a_field_from_the_future_is_passed_over(name: str) -> None:
    future = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes()) | {"from_the_future": 1}
    value = EXPECTED[name]
    assert msgspec.json.decode(msgspec.json.encode(future), type=type(value)) == value


def test_every_message_has_its_file() -> None:
    known = {type(value) for value in EXPECTED.values()} | PARTS
    missing = set().union(*(structs(module) for module in MODULES)) - known
    assert not missing, f"add these to EXPECTED: {missing}"
    assert {path.stem for path in GOLDEN.glob("*.json")} == EXPECTED.keys()


def test_every_event_of_a_job_is_told_apart_by_its_tag() -> None:
    for name in ("chunk_cut", "chunk_transcribed", "chunk_failed", "job_ended"):
        decoded = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes(), type=messages.JobEvent)
        assert decoded == EXPECTED[name]


def test_final_states_are_final() -> None:
    assert {state for state in JobState if not state.final} == {JobState.QUEUED, JobState.RUNNING}


def test_a_list_stored_before_lists_had_versions_is_the_first() -> None:
    old = msgspec.json.decode((GOLDEN / "hotwords.json").read_bytes(), type=HotwordList)
    assert (old.hotwords, old.version, old.updated_at) == (WORDS, 1, None)


def test_a_gateway_of_before_reads_what_is_written_now() -> None:
    new = (GOLDEN / "hotword_list.json").read_bytes()
    assert msgspec.json.decode(new, type=Hotwords) == WORDS


def test_a_record_of_before_has_hotwords_that_nobody_changed() -> None:
    old = msgspec.json.decode((GOLDEN / "job_record.json").read_bytes(), type=JobRecord)
    assert (old.hotword_list, old.hotwords_revision) == (None, 0)


def test_what_is_stored_without_a_trace_has_one_all_the_same() -> None:
    """Of the job's own id, so that services of different versions name the same."""
    stored = (
        msgspec.json.decode((GOLDEN / "start_job.json").read_bytes(), type=StartJob),
        msgspec.json.decode((GOLDEN / "transcribe_chunk.json").read_bytes(), type=TranscribeChunk),
        msgspec.json.decode((GOLDEN / "delivery.json").read_bytes(), type=Delivery),
    )
    [keys] = {tuple(traces.log_keys(message.job, message.trace).items()) for message in stored}
    assert dict(keys)["job_id"] == JOB


def test_the_model_gets_its_part_of_the_options() -> None:
    assert OPTIONS.inference() == EXPECTED["inference_options"]
