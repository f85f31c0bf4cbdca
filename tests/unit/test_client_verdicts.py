"""How the texts and the server's report decide whether hotwords were honoured."""

import pytest

from client.command.verdicts import Verdict, finding, standing
from client.transcripts import HotwordsReport, Transcript

APPLIED, NOT_APPLIED = HotwordsReport(given=2, applied=2), HotwordsReport(given=2, applied=0)
WORDS = ("Sara", "Kris")


@pytest.mark.parametrize(
    ("without", "text", "report", "verdict"),
    [
        ("Sarah and Chris", "Sara and Kris", APPLIED, Verdict.HONOURED),
        ("Sarah and Chris", "Sarah and Kris", None, Verdict.HONOURED),
        ("Sara and Chris", "Sara and Kris", APPLIED, Verdict.HONOURED),
        ("Sarah and Chris", "Sarah and Chris", APPLIED, Verdict.NO_EFFECT),
        ("Sarah and Chris", "Sarah and Chris", NOT_APPLIED, Verdict.IGNORED),
        ("Sarah and Chris", "Sarah and Chris", None, Verdict.IGNORED),
        ("Sara and Chris", "Sara and Chris", None, Verdict.IGNORED),
        ("Sara and Kris", "Sara and Kris", APPLIED, Verdict.UNKNOWN),
    ],
)
def test_a_method_is_judged_by_what_it_changed(
    without: str, text: str, report: HotwordsReport | None, verdict: Verdict
) -> None:
    assert finding("logit_bias", WORDS, Transcript(without), Transcript(text, report)).verdict is verdict


def test_words_stand_alone_and_exactly_as_spelled() -> None:
    assert standing(("Lynch", "lynx", "C++", "章伟"), "Lynchburg, Lynx. C++ 章伟正在") == ("C++", "章伟")
