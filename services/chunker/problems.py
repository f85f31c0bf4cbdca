"""What can be wrong with a recording, told by its cause and its remedy."""

from services.common.errors import Permanent
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import Problem


class BadRecording(Permanent):
    """No sound can be had from these bytes, however often they are tried."""

    code = "not_audio"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message, code=problem.code)
        self.problem = problem


EMPTY = Problem(
    code="empty_file",
    message="The file is empty. Choose the recording again; it may still have been copying.",
)
ERASED = Problem(
    code="audio_expired",
    message="The stretches without text could not be tried again: the recording itself is erased by now. "
    "Send it again to have them transcribed.",
)
NOT_AUDIO = Problem(
    code="not_audio",
    message="This is not a recording that can be read. "
    "Send MP3, M4A, WAV, FLAC, OGG, Opus, WebM, AAC or a video with sound.",
)
PLAYLIST = Problem(
    code="playlist",
    message="This is a playlist: it only points to recordings, and nothing is fetched from elsewhere. "
    "Send the recording itself.",
)
NO_SOUND_TRACK = Problem(
    code="no_sound_track",
    message="This video has pictures but no sound. Send a version with its sound track.",
)
UNKNOWN_CODEC = Problem(
    code="unknown_codec",
    message="The sound is stored in a way that is not supported. Convert the recording to MP3, M4A or FLAC.",
)
INDEX_MISSING = Problem(
    code="index_missing",
    message="The file is incomplete: its end, which holds the index, is missing. "
    "Send the whole file, or repair it with the program that recorded it.",
)
UNDECODABLE = Problem(
    code="undecodable",
    message="The file names a sound track, but no sound could be decoded from it. It may be damaged: "
    "play it to the end to check, and convert it to MP3, M4A or FLAC.",
)
STALLED = Problem(
    code="decoder_stalled",
    message="Decoding came to a standstill. The file may be damaged: "
    "convert it to MP3, M4A or FLAC and send that.",
)


NO_SPEECH = Problem(
    code="no_speech",
    message="No speech was found in this recording, so there is no text. "
    "If somebody does speak in it, send it again with silence skipping off.",
)


def not_audio(kind: str) -> Problem:
    """The bytes are `kind` ("a PDF document"), not sound."""
    return Problem(
        code="not_audio", message=f"This is {kind}, not a recording. Send the recording's own file."
    )


def too_long(limit_seconds: float) -> Problem:
    """The recording goes on past the limit; what came before it is kept."""
    return Problem(
        code="too_long",
        message=f"The recording is longer than the limit of {clock(limit_seconds)}: "
        "what comes after was left out. Send the rest as a recording of its own.",
    )


def too_many_channels(channels: int, most: int) -> Problem:
    """Each channel was to be transcribed on its own, but there are more than that is done for."""
    return Problem(
        code="too_many_channels",
        message=f"The recording has {channels} channels; up to {most} can be transcribed each on its own. "
        "Mix some of them together, or send them as several recordings.",
    )


def cut_short(samples: int, promised: int | None = None) -> Problem:
    """The file ends before its sound does, after `samples` of `promised` samples at 16 kHz."""
    whole = f" of {clock(promised / SAMPLE_RATE)}" if promised is not None else ""
    return Problem(
        code="cut_short",
        message=f"The recording is cut short at {clock(samples / SAMPLE_RATE)}{whole}: the file ends there. "
        "What came before is complete; send the whole file for the rest.",
    )


def damaged(samples: int) -> Problem:
    """Decoding ended early for another reason than the file's end."""
    return Problem(
        code="damaged",
        message=f"The recording could be decoded only up to {clock(samples / SAMPLE_RATE)}: "
        "the file is damaged there. Convert it to MP3, M4A or FLAC and send that for the rest.",
    )


def stopped(samples: int) -> Problem:
    """The decoder was ended by the system, for it used more than `DecodeLimits` allows."""
    return Problem(
        code="decoder_stopped",
        message=f"Decoding was stopped at {clock(samples / SAMPLE_RATE)}: it took more memory or "
        "processor time than a recording may. Convert the file to MP3 and send that for the rest.",
    )


def spool_too_small(limit_bytes: int) -> Problem:
    """A file with its index at the end does not fit on the disk set aside for such files."""
    return Problem(
        code="spool_too_small",
        message="This file keeps its index at its end and is larger than the "
        f"{limit_bytes:,} bytes set aside for such files. "
        "Save it for streaming ('fast start'), or convert it to MP3.",
    )


def clock(seconds: float) -> str:
    """mm:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
