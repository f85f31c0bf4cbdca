"""The Dockerfiles as text, and what .dockerignore lets through of what they copy."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "Dockerfile", ROOT / "sagemaker/Dockerfile")


def instructions(text: str) -> list[str]:
    """One a line: continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [
        " ".join(line.split()) for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()
    ]


def stages(text: str) -> dict[str, list[str]]:
    """Instructions of each stage by its name; one without a name is called `final`."""
    found: dict[str, list[str]] = {}
    for line in instructions(text):
        if line.startswith("FROM "):
            found[line.partition(" AS ")[2] or "final"] = current = []
        if found:
            current.append(line)
    return found


def copied(text: str, **arguments: str) -> list[str]:
    """What is copied from the project, with build arguments put in."""
    for name, value in arguments.items():
        text = text.replace(f"${{{name}}}", value)
    copies = [
        line.split()[1:] for line in instructions(text) if line.startswith("COPY ") and "--from" not in line
    ]
    return [word for words in copies for word in words[:-1] if not word.startswith("--")]


def reaches_builder(path: str) -> bool:
    """Whether .dockerignore lets a file or folder through: the last pattern that matches it, or a parent."""
    through = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if _matcher(pattern.removeprefix("!")).match(path):
            through = pattern.startswith("!")
    return through


def _matcher(pattern: str) -> re.Pattern[str]:
    """`*` within a name, `**` over names; whatever is below what matches, matches too."""
    parts = [
        r"(.*/)?" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") + "/"
        for part in pattern.split("/")
    ]
    return re.compile("".join(parts).removesuffix("/") + "(/.*)?$")
