"""Option fields: what they mean, and which sentence a wrong one gets."""

import pytest

from services.contracts.channels import Channels
from services.contracts.hotwords import HotwordMethod, Hotwords
from services.contracts.inference import Task, Timestamps
from services.contracts.messages import JobOptions
from services.gateway.errors import BadHotwords, InvalidOption
from services.gateway.forms import brings_words, check_known, job_name, job_options, named_list

NONE = Hotwords()
STORED = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("Anna",), boost_factor=2.0)


def test_no_fields_mean_the_defaults() -> None:
    assert job_options({}, NONE) == JobOptions()


def test_every_field_is_read() -> None:
    fields = {
        "language": "ZH",
        "task": "translate",
        "hotwords": '["北京", "Anna"]',
        "hotword_method": "logit_bias",
        "boost_factor": "3",
        "timestamps": "word",
        "temperature": "0.5",
        "skip_silence": "False",
        "channels": "split",
    }
    assert job_options(fields, NONE) == JobOptions(
        language="zh",
        task=Task.TRANSLATE,
        hotwords=Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("北京", "Anna"), boost_factor=3.0),
        timestamps=Timestamps.WORD,
        temperature=0.5,
        skip_silence=False,
        channels=Channels.SPLIT,
    )


@pytest.mark.parametrize(
    "text", ["Anna, New York", "Anna\r\nNew York\n", " Anna ,, New York,", "Anna，New York"]
)
def test_words_may_be_separated_by_commas_or_lines(text: str) -> None:
    hotwords = job_options({"hotwords": text}, NONE).hotwords
    assert hotwords is not None
    assert hotwords.words == ("Anna", "New York")


def test_the_stored_list_stands_in_where_none_is_given() -> None:
    assert job_options({}, STORED).hotwords == STORED
    assert job_options({"hotwords": "  "}, STORED).hotwords == STORED
    given = job_options({"hotwords": "Bob"}, STORED).hotwords
    assert given == Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("Bob",), boost_factor=2.0)


def test_an_empty_json_list_means_no_hotwords() -> None:
    assert job_options({"hotwords": "[]"}, STORED).hotwords is None


def test_a_list_may_be_named_instead_of_words() -> None:
    assert named_list({}) is None
    assert named_list({"hotword_list": "  ", "hotwords": "Anna"}) is None
    assert named_list({"hotword_list": "team", "hotwords": " "}) == "team"
    assert brings_words({"hotwords": "Anna"})
    assert not brings_words({"hotword_list": "team"})
    with pytest.raises(InvalidOption, match="hotword_list=team") as refused:
        named_list({"hotword_list": "team", "hotwords": "Anna"})
    assert refused.value.field == "hotword_list"


@pytest.mark.parametrize("language", ["", "auto", "AUTO"])
def test_the_language_may_be_left_to_the_model(language: str) -> None:
    assert job_options({"language": language}, NONE).language is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("language", "english"),
        ("task", "sing"),
        ("timestamps", "letter"),
        ("temperature", "hot"),
        ("temperature", "1.1"),
        ("temperature", "nan"),
        ("temperature", "-0.1"),
        ("boost_factor", "5.1"),
        ("boost_factor", "inf"),
        ("skip_silence", "yes"),
        ("channels", "2"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(field: str, value: str) -> None:
    with pytest.raises(InvalidOption, match=value) as refused:
        job_options({field: value}, NONE)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"hotwords": "[1]"}, "hotwords"),
        ({"hotwords": '["a"'}, "hotwords"),
        ({"hotwords": "a" * 65}, "hotwords"),
        ({"hotwords": ",".join(f"word{number}" for number in range(5001))}, "hotwords"),
        ({"hotword_method": "shout"}, "hotword_method"),
    ],
)
def test_wrong_hotwords_are_named_with_their_field(fields: dict[str, str], field: str) -> None:
    with pytest.raises(BadHotwords) as refused:
        job_options(fields, NONE)
    assert refused.value.field == field


def test_unknown_fields_are_refused() -> None:
    check_known("language")
    with pytest.raises(InvalidOption, match="langauge"):
        check_known("langauge")


@pytest.mark.parametrize(
    ("fields", "filename", "name"),
    [
        ({}, "talk.mp3", "talk.mp3"),
        ({}, "C:\\tmp\\talk.mp3", "talk.mp3"),
        ({}, "../../etc/passwd", "passwd"),
        ({}, None, "recording"),
        ({}, "\x00\x1b\n", "recording"),
        ({"name": " Monday "}, "talk.mp3", "Monday"),
        ({"name": "x" * 500}, None, "x" * 200),
    ],
)
def test_the_name_is_the_one_given_else_the_files(
    fields: dict[str, str], filename: str | None, name: str
) -> None:
    assert job_name(fields, filename) == name
