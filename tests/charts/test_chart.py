"""The chart as a whole: it lints, Kubernetes and the operators take it, and its pages keep up with it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest
import yamllint.config
import yamllint.linter

from tests.charts import documented
from tests.charts.conftest import Rendered
from tests.charts.kinds import CUSTOM, KUBERNETES, complaints
from tests.charts.rendering import CHART, Manifests, Object, values_of
from tests.charts.variants import COMBINATIONS, EVERYTHING, INGRESS, name

PAGES = (CHART / "README.md", *sorted((CHART.parents[1] / "docs").glob("*.md")))
NAMED = re.compile(
    r"\b(deploy|deployment|service|job|statefulset|scaledobject|pod|secret)[/ ](whisper-webui-[a-z0-9-]+)"
)
"""An object of a release `whisper-webui` as kubectl takes it."""
SHORT = {"deploy": "deployment"}
YAMLLINT = yamllint.config.YamlLintConfig(
    "{extends: default, rules: {line-length: disable, document-start: disable, empty-lines: {max-start: 1}}}"
)
TRIVY_MAY_FIND: dict[tuple[str, str], str] = {
    (
        "KSV-0109",
        "ConfigMap 'whisper-webui-nats' in 'default' namespace stores secrets in key(s) or value(s) "
        """'{"  authorization { user"}'""",
    ): "the password beside it is a variable, which a Secret fills"
}
"""Ids of trivy's checks with the object that may fail them: the reason."""


def variants(rendered: Rendered) -> Iterator[Manifests]:
    for files in COMBINATIONS:
        yield rendered(files)
        yield rendered(files, EVERYTHING)
    yield rendered((), INGRESS)


def telling(rendered: Rendered) -> list[Manifests]:
    """Those between which every template has said all that it may say."""
    return [rendered(COMBINATIONS[-1]), rendered((), EVERYTHING), rendered((), INGRESS)]


@pytest.fixture(scope="session")
def objects(rendered: Rendered) -> list[Object]:
    """Every object that any variant gives, once."""
    return list({repr(found): found for one in variants(rendered) for found in one.objects}.values())


@pytest.mark.parametrize("files", COMBINATIONS, ids=name)
def test_the_strict_linter_finds_nothing(files: tuple[str, ...]) -> None:
    for given in ({}, EVERYTHING):
        report = helm_python.chart.lint(CHART, values_of(files, given), strict=True)
        assert report["errors"] == []


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_every_object(objects: list[Object], version: str) -> None:
    plain = [found for found in objects if not _custom(found)]
    assert {found["kind"] for found in plain} > {"Deployment", "NetworkPolicy", "HorizontalPodAutoscaler"}
    assert [complaint for found in plain for complaint in complaints(found, version)] == []


def test_the_operators_take_every_object(objects: list[Object]) -> None:
    custom = [found for found in objects if _custom(found)]
    assert {"ScaledObject", "ServiceMonitor"} <= {found["kind"] for found in custom}
    assert [complaint for found in custom for complaint in complaints(found, KUBERNETES[-1])] == []


def test_wrong_objects_are_refused(rendered: Rendered) -> None:
    """A kind, a key or a type that does not exist would be found."""
    deployment = rendered().of("Deployment")["whisper-webui-auth"]
    scaled = rendered().of("ScaledObject")["whisper-webui-chunker"]
    for wrong in (
        {**deployment, "kind": "Deploymnt"},
        {**deployment, "spec": {**deployment["spec"], "replica": 2}},
        {**deployment, "spec": {**deployment["spec"], "replicas": "two"}},
        {**scaled, "spec": {**scaled["spec"], "maxReplicas": 2}},
    ):
        assert complaints(wrong, KUBERNETES[0]) != []


def _custom(found: Object) -> bool:
    return (found["apiVersion"], found["kind"]) in CUSTOM


def test_what_is_rendered_is_tidy(rendered: Rendered) -> None:
    texts = {
        text: template
        for one in telling(rendered)
        for template, text in one.texts.items()
        if template.endswith(".yaml") and text.strip()
    }
    problems = {
        f"{template}:{problem.line}: {problem.message}"
        for text, template in texts.items()
        for problem in yamllint.linter.run(text, YAMLLINT)
    }
    assert problems == set()


def test_names_are_given_once(rendered: Rendered) -> None:
    for one in variants(rendered):
        names = [(found["kind"], found["metadata"]["name"]) for found in one.objects]
        assert len(names) == len(set(names))


def test_trivy_finds_nothing_grave(rendered: Rendered, tmp_path: Path) -> None:
    distinct = {json.dumps(found) for one in telling(rendered) for found in one.objects}
    for number, found in enumerate(distinct):
        (tmp_path / f"{number}.json").write_text(found)
    command = ("trivy", "config", "--misconfig-scanners", "kubernetes")
    offline = ("--skip-check-update", "--skip-version-check", "--quiet")
    done = subprocess.run(
        [*command, *offline, "--severity", "HIGH,CRITICAL", "--format", "json", str(tmp_path)],
        check=True,
        capture_output=True,
        env={"PATH": str(Path(documented.__file__).parents[2] / ".venv/bin"), "HOME": str(tmp_path)},
    )
    results = json.loads(done.stdout)["Results"]
    assert len(results) > 20, "it looked at nothing"
    findings = {
        (finding["ID"], finding["Message"])
        for result in results
        for finding in result.get("Misconfigurations", ())
    }
    assert findings - TRIVY_MAY_FIND.keys() == set()


def test_every_value_is_explained() -> None:
    assert documented.undocumented() == []


def test_schema_and_readme_keep_up() -> None:
    """`python -m tests.charts.documented` writes them."""
    assert documented.SCHEMA.read_text() == documented.schema()
    assert documented.README.read_text() == documented.readme()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_name_objects_that_there_are(objects: list[Object], page: Path) -> None:
    """Of those that the chart makes; the keys' Secret is made before it."""
    made = {(found["kind"].lower(), found["metadata"]["name"]) for found in objects}
    made |= {("pod", f"whisper-webui-nats-{number}") for number in range(3)}
    made.add(("secret", "whisper-webui-nats-keys"))
    named = {(SHORT.get(kind, kind), called) for kind, called in NAMED.findall(page.read_text())}
    assert named - made == set()


def test_the_notes_say_where_it_is_and_how_to_log_in(rendered: Rendered) -> None:
    def notes(given: dict[str, object]) -> str:
        return rendered((), given).texts["whisper-webui/templates/NOTES.txt"]

    assert "port-forward service/whisper-webui-gateway" in notes({})
    assert "secret whisper-app-credentials" in notes({})
    assert "get service whisper-webui-public" in notes(EVERYTHING)
    assert "https://whisper.example.com" in notes(EVERYTHING)
    assert "helm test whisper-webui" in notes(EVERYTHING)
    assert "WARNING" not in notes(EVERYTHING)
    assert "WARNING: http://whisper.example.com" in notes({"publicUrl": "http://whisper.example.com"})
