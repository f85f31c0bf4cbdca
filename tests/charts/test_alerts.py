"""Alerts: each fires and clears, says how grave it is, and leads to a runbook that exists."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.boards import USERS
from tests.charts.rendering import CHART, render

ROOT = Path(__file__).parents[2]
RULES = sorted((CHART / "rules").glob("*.yaml"))
CASES = sorted((Path(__file__).parent / "rules").glob("*.test.yaml"))
RUNBOOKS = ROOT / "docs/runbooks.md"


def alerts(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def objectives() -> set[str]:
    [group] = yaml.safe_load((CHART / "rules/objectives.yaml").read_text())["groups"]
    return {
        rule["labels"]["slo"] for rule in group["rules"] if rule.get("record") == "whisper:slo_budget:ratio"
    }


def cleared() -> Iterator[str]:
    """Alerts that a case sees fire, and are silent when it looks for the last time."""
    for test in (test for path in CASES for test in yaml.safe_load(path.read_text())["tests"]):
        states: dict[str, list[bool]] = {}
        for check in sorted(test["alert_rule_test"], key=lambda check: _minutes(check["eval_time"])):
            states.setdefault(check["alertname"], []).append(bool(check.get("exp_alerts")))
        yield from (name for name, fires in states.items() if any(fires) and not fires[-1])


def _minutes(text: str) -> int:
    """Of Prometheus' duration: 7h, 1h30m."""
    found = re.findall(r"(\d+)([mhd])", text)
    assert "".join(number + unit for number, unit in found) == text
    return sum(int(number) * {"m": 1, "h": 60, "d": 1440}[unit] for number, unit in found)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_prometheus_takes_the_rules(path: Path) -> None:
    subprocess.run(["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path)], check=True)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_alerts_fire_and_clear(path: Path) -> None:
    subprocess.run(["promtool", "test", "rules", str(path)], check=True)


def test_every_alert_has_a_case_in_which_it_fires_and_clears() -> None:
    assert {rule["alert"] for path in RULES for rule in alerts(path)} == set(cleared())


def test_every_objective_is_seen_burning() -> None:
    burning = "\n".join(path.read_text() for path in CASES)
    assert objectives() == set(re.findall(r"severity: page, slo: ([\w-]+)", burning))


def test_every_alert_leads_to_its_runbook() -> None:
    sections = set(re.findall(r"^### (\S+)$", RUNBOOKS.read_text(), re.MULTILINE))
    linked = set()
    for rule in (rule for path in RULES for rule in alerts(path)):
        page, _, section = rule["annotations"]["runbook_url"].partition("#")
        assert ROOT / page == RUNBOOKS
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        linked |= {section.replace("{{ $labels.slo }}", slo) for slo in objectives()}
    assert linked == sections, "a section for each alert, and none for what is gone"


def test_what_is_left_of_a_budget_is_asked_for_as_the_dashboard_does() -> None:
    """Of hours without events there is no ratio, so a mean of ratios would be none either."""
    [panel] = [
        panel for row in USERS.rows.values() for panel in row if panel.title.startswith("Error budget")
    ]
    [expression] = panel.lines.values()
    assert f"`{expression}`" in RUNBOOKS.read_text()


def test_the_operator_takes_the_same_rules_with_links_of_ones_own() -> None:
    chosen = {"enabled": True, "runbooks": "https://wiki/runbooks"}
    found = render(given={"monitoring.rules": chosen})
    rules = found.of("PrometheusRule")
    groups = [group for rule in rules.values() for group in rule["spec"]["groups"]]
    expected = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    assert groups == yaml.safe_load(yaml.dump(expected).replace("docs/runbooks.md", "https://wiki/runbooks"))
