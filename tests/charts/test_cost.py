"""What a month costs: computed from given prices only, and the page of the docs says the same."""

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import cost
from tests.charts.templates import ROOT, template

PAGE = ROOT / "docs/cost.md"
BLOCK = re.compile(r"<!-- deploy/aws/cost (.*?)-->\n(.*?)\n<!-- end -->", re.DOTALL)
ALL_PRICES = {
    "eks.cluster": 1.0,
    "ec2.t3.large": 2.0,
    "ec2.t3.large.spot": 0.5,
    "ec2.m6i.xlarge": 3.0,
    "ebs.gp3": 0.1,
    "nlb.balancer": 4.0,
    "nat.gateway": 5.0,
    "nat.data": 6.0,
    "kms.key": 7.0,
    "secretsmanager.secret": 8.0,
    "sagemaker.ml.g4dn.xlarge": 10.0,
}
"""Invented, to be multiplied with ease."""


def computed(*arguments: str) -> dict[str, Any]:
    wanted, book, _ = cost.parse(arguments)
    return cost.report(book, wanted)


def given() -> list[str]:
    return [f"--price={item}={price}" for item, price in ALL_PRICES.items()]


def test_a_month_is_the_sum_of_its_items() -> None:
    found = computed(*given(), "--audio-hours", "1000", "--speed", "20", "--wakes", "10")
    plans = found["plans"]
    gibs = 1000 * 3600 * 32_000 / 2**30
    everywhere = 730 * (1 + 4) + gibs * 6 + 2 * 7 + 3 * 8
    assert plans["small"]["total"] == pytest.approx(
        everywhere + 730 * (2 * 2 + 5) + (100 + 30) * 0.1, abs=0.01
    )
    assert plans["ha"]["total"] == pytest.approx(
        everywhere + 730 * (3 * 3 + 3 * 5) + (150 + 240) * 0.1, abs=0.01
    )
    spot = everywhere + 730 * (2 * 2 + 2 * 0.5 + 5) + (200 + 30) * 0.1
    assert plans["spot"]["total"] == pytest.approx(spot, abs=0.01)
    assert plans[cost.ALWAYS_ON]["total"] == 7300
    assert plans[cost.TO_ZERO]["total"] == (1000 / 20 + 10 * 0.5) * 10
    assert all(plan["complete"] for plan in plans.values())
    assert not found["missing_prices"]


@pytest.mark.parametrize("item", ALL_PRICES)
def test_what_has_no_price_makes_a_total_incomplete(item: str, tmp_path: Path) -> None:
    """Never a price out of nowhere: not for one item."""
    prices = [{"item": name, "region": "moon-1", "unit": "hour", "price": price, "date": None, "source": "us"}
              for name, price in ALL_PRICES.items() if name != item]  # fmt: skip
    (file := tmp_path / "prices.json").write_text(
        json.dumps({"regions": {"moon-1": "XTS"}, "prices": prices})
    )
    found = computed("--region", "moon-1", "--prices", str(file), "--speed", "1")
    assert found["currency"] == "XTS"
    assert found["missing_prices"] == [item]
    for name, plan in found["plans"].items():
        uses = {entry["item"] for entry in plan["items"] if entry["quantity"] != 0}
        assert plan["complete"] == (item not in uses), name
    assert "incomplete" in cost.text(found)
    assert item in cost.text(found)


def test_without_a_measured_speed_scaling_to_zero_has_no_cost() -> None:
    found = computed()
    assert found["missing_speed"]
    assert not found["plans"][cost.TO_ZERO]["complete"]
    assert found["break_even"]["audio_hours"] is None
    assert "has to be measured" in cost.text(found)


def test_at_the_break_even_both_ways_cost_the_same() -> None:
    audio = computed("--speed", "15", "--wakes", "40")["break_even"]["audio_hours"]
    assert audio == (730 - 20) * 15
    plans = computed("--speed", "15", "--wakes", "40", "--audio-hours", str(audio))["plans"]
    assert plans[cost.TO_ZERO]["total"] == plans[cost.ALWAYS_ON]["total"] > 0


def test_audio_that_the_instances_cannot_transcribe_is_said() -> None:
    found = computed("--speed", "10", "--audio-hours", "20000")
    assert found["instances_lacking"] == 2
    assert "2 more of the instances" in cost.text(found)
    assert not computed("--speed", "10", "--audio-hours", "7300")["instances_lacking"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--region", "mars-1"], "region 'mars-1' is unknown: there are cn-north-1"),
        (["--hours", "-1"], "--hours: '-1' is below 0"),
        (["--hours", "744"], "more than the 730 hours"),
        (["--endpoint-hours", "731"], "--endpoint-hours: 731"),
        (["--audio-hours", "nan"], "--audio-hours: 'nan'"),
        (["--audio-hours", "many"], "--audio-hours: 'many' is not a number"),
        (["--speed", "0"], "nothing is ever transcribed"),
        (["--instances", "1.5"], "--instances: '1.5'"),
        (["--price", "eks.cluster"], "is not ITEM=AMOUNT"),
        (["--price", "eks.cluster=free"], "eks.cluster: 'free' is not a number"),
        (["--price", "eks.cluster=-1"], "eks.cluster: '-1' is below 0"),
        (["--prices", "nowhere.json"], "nowhere.json is no file of prices"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cost.parse(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_it_runs_as_a_command_and_answers_as_json() -> None:
    command = str(ROOT / "deploy/aws/cost")
    done = subprocess.run([command, "--region", "cn-north-1", "--json"], capture_output=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(computed("--region", "cn-north-1")))
    shown = subprocess.run([sys.executable, command, "--help"], capture_output=True, text=True, check=True)
    assert "Not counted" in shown.stdout


def test_every_price_says_where_and_when_it_is_from() -> None:
    book = json.loads(cost.PRICES.read_text())
    for entry in book["prices"]:
        assert entry["region"] in book["regions"], entry
        assert entry["source"], entry
        assert entry["price"] > 0, entry
        if entry["date"] is not None:
            date.fromisoformat(entry["date"])  # raises
    names = [(entry["item"], entry["region"]) for entry in book["prices"]]
    assert len(set(names)) == len(names)


def test_a_node_has_the_disk_that_the_cluster_gives_it() -> None:
    assert template("cluster")["Parameters"]["NodeDiskGib"]["Default"] == cost.NODE_DISK_GIB
    assert template("cluster")["Parameters"]["NodeInstanceType"]["Default"] == cost.PRESETS["small"].node
    assert template("cluster")["Parameters"]["NodeCount"]["Default"] == cost.PRESETS["small"].nodes
    assert template("cluster")["Parameters"]["SpotCount"]["Default"] == cost.PRESETS["spot"].spot_nodes


def test_the_page_shows_what_the_command_says() -> None:
    """After a change: python -m tests.charts.test_cost rewrites the tables."""
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) >= 2
    for arguments, shown in blocks:
        assert shown == answer(arguments)


def answer(arguments: str) -> str:
    wanted, book, _ = cost.parse(arguments.split())
    return cost.text(cost.report(book, wanted))


if __name__ == "__main__":
    page = BLOCK.sub(
        lambda m: f"<!-- deploy/aws/cost {m[1]}-->\n{answer(m[1])}\n<!-- end -->", PAGE.read_text()
    )
    PAGE.write_text(page)
