"""The documentation keeps up with the code: settings, links, and the Chinese README with the English one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from endpoint.settings import EndpointSettings
from services.auth.settings import Settings as Auth
from services.chunker.settings import Settings as Chunker
from services.common.settings import ServiceSettings, described
from services.gateway.settings import Settings as Gateway
from services.provision.settings import Settings as Provision
from services.transcriber.settings import Settings as Transcriber

ROOT = Path(__file__).parent.parent
README, CHINESE, SAMPLE = ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / ".env.sample"
THREATS = ROOT / "THREAT_MODEL.md"
PAGES = (README, CHINESE, THREATS, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))

SETTINGS: dict[str, type[msgspec.Struct]] = {
    "every service": ServiceSettings,
    "gateway": Gateway,
    "auth": Auth,
    "chunker": Chunker,
    "transcriber": Transcriber,
    "provision": Provision,
    "endpoint": EndpointSettings,
}
SET_BY_THE_STACK = {
    "NATS_URL",
    "NATS_NKEY_SEED",
    "NATS_CA_FILE",
    "HOST",
    "METRICS_PORT",
    "SECRET_NAME",
    "AWS_REGION",
    "SAGEMAKER_BIND_TO_PORT",
    "NOTICE",
}
"""What `make run` decides itself, so that its .env has no say."""
STACK_ONLY = re.compile(r'environ\.get\("(\w+)"\)')


def shown(default: object) -> str:
    """A default as one would write it into a .env file."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    return str(default)


def own_defaults(settings: type[msgspec.Struct]) -> dict[str, str]:
    """Defaults by field, without what is inherited unchanged."""
    inherited = defaults(ServiceSettings) if settings is not ServiceSettings else {}
    return {name: default for name, default in defaults(settings).items() if inherited.get(name) != default}


def defaults(settings: type[msgspec.Struct]) -> dict[str, str]:
    return {field.name: shown(field.default) for field in msgspec.structs.fields(settings)}


def rows(settings: type[msgspec.Struct]) -> list[str]:
    """The table rows of a struct, as README.md must have them."""
    texts = described(settings)
    return [
        f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {texts[name]} |"
        for name, default in own_defaults(settings).items()
    ]


def stack_variables() -> set[str]:
    return set(STACK_ONLY.findall((ROOT / "services/dev/__main__.py").read_text()))


def sample_lines() -> Iterator[tuple[str, str]]:
    for line in SAMPLE.read_text().splitlines():
        if found := re.fullmatch(r"#?([A-Z_]+)=(.*)", line):
            yield found[1], found[2]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_stands_in_the_readme(name: str) -> None:
    lines = README.read_text().splitlines()
    missing = [row for row in rows(SETTINGS[name]) if row not in lines]
    assert not missing, "README.md lacks:\n" + "\n".join(missing)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_stands_in_the_chinese_readme(name: str) -> None:
    starts = {"|".join(line.split("|")[:3]) for line in CHINESE.read_text().splitlines()}
    missing = [row for row in rows(SETTINGS[name]) if "|".join(row.split("|")[:3]) not in starts]
    assert not missing, "README.zh-CN.md lacks:\n" + "\n".join(missing)


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.name)
def test_no_setting_stands_there_that_does_not_exist(page: Path) -> None:
    known = {field.upper() for settings in SETTINGS.values() for field in defaults(settings)}
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", page.read_text(), re.MULTILINE))
    assert listed <= known | stack_variables() | {name for name in listed if name.startswith("WHISPER_")}


def test_the_sample_lists_what_the_local_stack_reads() -> None:
    known: dict[str, set[str]] = {}
    for settings in SETTINGS.values():
        for name, default in defaults(settings).items():
            known.setdefault(name.upper(), set()).add(default)
    listed = dict(sample_lines())
    missing = (known.keys() | stack_variables()) - listed.keys() - SET_BY_THE_STACK
    assert not missing, f".env.sample lacks {sorted(missing)}"
    assert not listed.keys() - known.keys() - stack_variables(), "these are no settings"
    assert not SET_BY_THE_STACK & listed.keys(), "these have no effect there"
    own = stack_variables()
    wrong = {name: value for name, value in listed.items() if name not in own and value not in known[name]}
    assert not wrong, f"not the defaults: {wrong}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not broken, f"{page.name} links to {broken}"


def test_the_chinese_readme_mirrors_the_english_one() -> None:
    """The same chapters and tables in the same order, and the same commands."""
    for pattern in (r"^#+ ", r"^\| `[^`]+`"):
        english, chinese = (
            re.findall(pattern, without_code(page), re.MULTILINE) for page in (README, CHINESE)
        )
        assert english == chinese
    assert commands(README) == commands(CHINESE)


def without_code(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def commands(page: Path) -> list[str]:
    """Lines of the code blocks, without comments."""
    blocks = re.findall(r"```(?:bash|json)\n(.*?)```", page.read_text(), re.DOTALL)
    lines = (re.sub(r"\s+# .*|^# .*", "", line) for block in blocks for line in block.splitlines())
    return [line for line in lines if line.strip()]


def test_the_makefile_has_what_the_readme_names() -> None:
    targets = set(re.findall(r"^([a-z%-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", README.read_text()))
    unknown = {name for name in named if name not in targets and not name.startswith("bench-")}
    assert not unknown, f"there is no make {unknown}"


@pytest.mark.parametrize(
    "page", [THREATS, ROOT / "docs/architecture.md", ROOT / "docs/security.md"], ids=lambda page: page.name
)
def test_the_tests_that_are_named_exist(page: Path) -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    assert named
    assert not named - defined


if __name__ == "__main__":  # prints the tables, for pasting
    for title, settings in SETTINGS.items():
        print(title, *rows(settings), sep=os.linesep)  # noqa: T201
