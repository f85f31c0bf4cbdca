"""The picture: recall against false alarms as the boost grows, one panel for each language."""

from collections.abc import Mapping, Sequence

import msgspec

PANEL = (430, 300)
MARGIN = (52, 34, 18, 46)
"""Left, top, right, bottom."""
COLOURS = ("#1f6f8b", "#c8553d", "#6a4c93", "#7a7a7a")
LEAST_RIGHT = 5.0
"""Percent of false alarms that the picture shows at least."""


class Point(msgspec.Struct, frozen=True):
    """One run, in percent; the label stands beside it."""

    false_alarms: float
    recall: float
    label: str


Lines = Mapping[str, Sequence[Point]]
"""Points of each arm, in the order of their boost."""


def svg(panels: Mapping[str, Lines]) -> str:
    """A whole file; arms have the same colour in all panels."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colours = dict(zip(names, COLOURS, strict=False))
    width, height = PANEL[0] * len(panels), PANEL[1] + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (title, lines) in enumerate(panels.items()):
        parts.append(f'<g transform="translate({number * PANEL[0]} 0)">')
        parts += _panel(title, lines, colours)
        parts.append("</g>")
    return "\n".join([*parts, *_legend(colours), "</svg>", ""])


def _panel(title: str, lines: Lines, colours: Mapping[str, str]) -> list[str]:
    left, top, right, bottom = MARGIN
    across, down = PANEL[0] - left - right, PANEL[1] - top - bottom
    reach = _reach(max(point.false_alarms for points in lines.values() for point in points))

    def place(point: Point) -> tuple[float, float]:
        return left + across * point.false_alarms / reach, top + down * (1 - point.recall / 100)

    parts = [f'<text x="{left + across / 2}" y="20" text-anchor="middle" font-size="14">{title}</text>']
    for step in range(6):
        x, y = left + across * step / 5, top + down * step / 5
        parts += [
            f'<path d="M{left} {y:.1f}h{across}M{x:.1f} {top}v{down}" stroke="#e4e4e4" fill="none"/>',
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{100 - 20 * step}</text>',
            f'<text x="{x:.1f}" y="{top + down + 15}" text-anchor="middle">{reach * step / 5:g}</text>',
        ]
    parts += [
        f'<text x="{left + across / 2}" y="{top + down + 33}" text-anchor="middle">'
        "plain sentences with a false hotword, %</text>",
        f'<text transform="translate(14 {top + down / 2}) rotate(-90)" text-anchor="middle">recall, %</text>',
    ]
    for name, points in lines.items():
        parts += _line([(*place(point), point.label) for point in points], colours[name])
    return parts


def _line(places: Sequence[tuple[float, float, str]], colour: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>']
    for x, y, label in places:
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        parts.append(f'<text x="{x + 5:.1f}" y="{y + 11:.1f}" font-size="9" fill="{colour}">{label}</text>')
    return parts


def _legend(colours: Mapping[str, str]) -> list[str]:
    y = PANEL[1] + 14
    parts = []
    for number, (name, colour) in enumerate(colours.items()):
        x = 12 + 112 * number
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 9}" y="{y}">{name}</text>')
    return parts


def _reach(most: float) -> float:
    """A round number of percent at or above `most`."""
    return next(limit for limit in (LEAST_RIGHT, 10.0, 25.0, 50.0, 100.0) if most <= limit)
