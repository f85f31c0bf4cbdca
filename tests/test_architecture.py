"""Who may import whom, and how modules are shaped: what docs/architecture.md promises."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = {"services.contracts", "services.common"}
MAY_IMPORT: dict[str, set[str]] = {
    "services.contracts": set(),
    "services.common": set(),
    "services.provision": SHARED,
    "services.auth": SHARED,
    "services.gateway": SHARED,
    "services.chunker": SHARED,
    "services.transcriber": SHARED,
    "services.dev": {"services", "sagemaker", "endpoint"},
    "sagemaker.endpoint": SHARED,
    "sagemaker.deploy": {"services.contracts"},
    "sagemaker.testmodel": set(),
    "client": set(),
}
"""Our own packages that each package may import besides itself."""
OURS = {"services", "client", "images", "sagemaker", "endpoint", "deploy", "testmodel", "bench", "tests"}
CONTRACTS_NEED = {"msgspec"}
MAX_LINES = 350
MAX_TEST_LINES = 450  # tests are lists: a reader looks one up
NAMELESS = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common.py", "base.py", "manager.py"}
FOLDERS = ("client", "images", "sagemaker", "services", "bench", "tests")


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imports(source: str) -> Iterator[str]:
    """Full names of everything imported anywhere in the source, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def ours(name: str) -> bool:
    return within(name, OURS)


def forbidden(package: str, source: str) -> list[str]:
    """What the source of a module of `package` imports of our own and may not."""
    own = package.removeprefix("sagemaker.")  # the container is started from within its folder
    allowed = MAY_IMPORT[package] | {own}
    return sorted({name for name in imports(source) if ours(name) and not within(name, allowed)})


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_they_may(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(ROOT / package.replace(".", "/"))
        for name in forbidden(package, path.read_text())
    ]
    assert not found, f"{package} may import itself and {sorted(MAY_IMPORT[package])}: {found}"


def test_every_package_has_its_rule() -> None:
    folders = {f"services.{path.parent.name}" for path in (ROOT / "services").glob("*/__init__.py")}
    assert folders <= MAY_IMPORT.keys(), "say in MAY_IMPORT what a new service may import"


def test_contracts_need_msgspec_only() -> None:
    found = [
        f"{path.name} imports {name}"
        for path in sources(ROOT / "services/contracts")
        for name in imports(path.read_text())
        if name.partition(".")[0] not in sys.stdlib_module_names | CONTRACTS_NEED and not ours(name)
    ]
    assert not found, f"whoever reads messages must not need more than {CONTRACTS_NEED}: {found}"


def test_one_module_knows_opentelemetry() -> None:
    """It is an extra, and imported only where traces are sent."""
    found = [
        str(path.relative_to(ROOT))
        for folder in ("services", "sagemaker", "client")
        for path in sources(ROOT / folder)
        if any(within(name, {"opentelemetry"}) for name in imports(path.read_text()))
    ]
    assert found == ["services/common/spans.py"]


def test_modules_stay_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for folder in FOLDERS
        for path in sources(ROOT / folder)
        if (lines := len(path.read_text().splitlines()))
        > (MAX_TEST_LINES if folder == "tests" else MAX_LINES)
    ]
    assert not long, f"split what has more than {MAX_LINES} lines, or {MAX_TEST_LINES} in tests: {long}"


def test_modules_are_named_by_what_they_hold() -> None:
    found = [
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in sources(ROOT / folder)
        if path.name in NAMELESS
    ]
    assert not found, f"name these by the noun they hold: {found}"


def test_modules_open_with_a_sentence() -> None:
    found = [
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in sources(ROOT / folder)
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not found, f"these lack a docstring that says what they are for: {found}"


def test_sagemaker_is_no_package() -> None:
    """PyPI has a package of that name; a regular package here would hide it."""
    assert not (ROOT / "sagemaker/__init__.py").exists()


@pytest.mark.parametrize(
    ("package", "source", "found"),
    [
        (
            "services.gateway",
            "from services.auth.accounts import Accounts",
            ["services.auth.accounts.Accounts"],
        ),
        ("services.gateway", "def f():\n    import services.chunker.worker", ["services.chunker.worker"]),
        ("services.gateway", "from services.gateway import forms\nfrom services.common import bus", []),
        ("services.contracts", "from services.common import bus", ["services.common.bus"]),
        ("services.dev", "from services.auth import keys", []),
        ("services.auth", "from services import gateway", ["services.gateway"]),
        ("client", "from services.contracts import messages", ["services.contracts.messages"]),
        ("sagemaker.endpoint", "from endpoint import trie\nfrom services.common import logs", []),
        ("sagemaker.endpoint", "from services.gateway import forms", ["services.gateway.forms"]),
    ],
)
def test_a_forbidden_import_is_found(package: str, source: str, found: list[str]) -> None:
    assert forbidden(package, source) == found
