"""Client of the HTTP API: `AsyncWhisper`, and `Whisper` for programs without an event loop."""

from client.access_tokens import NewToken, TokenHead
from client.answers import Cut, End, Gap, Job, JobEvent, Problem, Range, Segment, Text, Word
from client.blocking import Whisper
from client.errors import ClientError, JobEnded, Refused, Unavailable
from client.hotword_lists import HotwordList, ListHead
from client.observer import Observer
from client.options import Options
from client.reading import Reading
from client.transcripts import MissingText, Transcript
from client.whisper import AsyncWhisper

__all__ = [
    "AsyncWhisper",
    "ClientError",
    "Cut",
    "End",
    "Gap",
    "HotwordList",
    "Job",
    "JobEnded",
    "JobEvent",
    "ListHead",
    "MissingText",
    "NewToken",
    "Observer",
    "Options",
    "Problem",
    "Range",
    "Reading",
    "Refused",
    "Segment",
    "Text",
    "TokenHead",
    "Transcript",
    "Unavailable",
    "Whisper",
    "Word",
]
