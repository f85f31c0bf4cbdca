#!/usr/bin/env python3
"""Monthly costs on AWS, from instances, hours, hours of audio, and prices that carry a date and a source.

No price is guessed. What prices.json does not have is listed, and totals without it are marked as incomplete.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PRICES = Path(__file__).with_name("prices.json")
MONTH_HOURS = 730.0
"""A year's hours over twelve, as AWS counts them."""
NODE_DISK_GIB = 50
WAKE_HOURS = 0.5
"""Of an instance each time it comes from zero: some 10 minutes to start, 15 without a request, 5 to end."""
AUDIO_HOUR_GIB = 3600 * 16_000 * 2 / 2**30
"""Of raw audio at 16 kHz; chunks are sent as FLAC, which is less."""
KEYS, SECRETS = 2, 3
"""KMS keys of the cluster and of the app; secrets of the accounts, of the signing keys and of NATS's keys."""
ALWAYS_ON, TO_ZERO = "endpoint on", "endpoint to zero"

EPILOG = """\
Items are named as in prices.json. Give those it lacks with --price, or a file of the same form with --prices.
Not counted: data that leaves AWS, load balancer capacity units, logs, images and models stored, taxes.
"""


@dataclass(frozen=True)
class Price:
    """What one unit costs in a region."""

    item: str
    unit: str
    price: float
    date: str | None
    source: str


@dataclass(frozen=True)
class Use:
    """So much of an item in a month; None where what it depends on is not known."""

    item: str
    unit: str
    quantity: float | None


@dataclass(frozen=True)
class Preset:
    """Instances of one of the presets of `deploy/aws/up`."""

    node: str
    nodes: int
    spot_nodes: int
    nat_gateways: int
    volumes: int
    volume_gib: int


PRESETS = {
    "small": Preset(node="t3.large", nodes=2, spot_nodes=0, nat_gateways=1, volumes=1, volume_gib=30),
    "ha": Preset(node="m6i.xlarge", nodes=3, spot_nodes=0, nat_gateways=3, volumes=3, volume_gib=80),
    "spot": Preset(node="t3.large", nodes=2, spot_nodes=2, nat_gateways=1, volumes=1, volume_gib=30),
}


class Mistake(Exception):
    """Something given that does not work."""


class Book:
    """The prices of one region."""

    def __init__(self, region: str, currency: str, prices: dict[str, Price]) -> None:
        self.region = region
        self.currency = currency
        self.prices = prices

    def cost(self, use: Use) -> float | None:
        """In the region's currency; None where price or quantity is not known."""
        if use.quantity == 0:
            return 0.0
        price = self.prices.get(use.item)
        return None if price is None or use.quantity is None else price.price * use.quantity


def read_book(files: Sequence[Path], region: str, given: Sequence[str]) -> Book:
    """Prices of the files, later ones winning, and those given as ITEM=AMOUNT."""
    currencies: dict[str, str] = {}
    prices: dict[str, Price] = {}
    for file in files:
        try:
            found = json.loads(file.read_text())
            currencies |= found["regions"]
            for entry in found["prices"]:
                if entry["region"] == region:
                    known = {key: value for key, value in entry.items() if key != "region"}
                    prices[entry["item"]] = Price(**known | {"price": amount(entry["item"], entry["price"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Mistake(f"{file} is no file of prices like prices.json: {error!r}") from error
    if region not in currencies:
        raise Mistake(
            f"region {region!r} is unknown: there are {', '.join(sorted(currencies))}. "
            "For another give --prices FILE with its currency under `regions`"
        )
    for text in given:
        item, sign, price = text.partition("=")
        if not sign or not re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_-]+)+", item):
            raise Mistake(f"--price {text!r} is not ITEM=AMOUNT, such as eks.cluster=0.1")
        prices[item] = Price(item, "as given", amount(item, price), None, "given with --price")
    return Book(region, currencies[region], prices)


def amount(what: str, value: object) -> float:
    """A number that a price or a quantity can be."""
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever it is not, it raises
    except (TypeError, ValueError):
        raise Mistake(f"{what}: {value!r} is not a number") from None
    if not math.isfinite(number) or number < 0:
        raise Mistake(f"{what}: {value!r} is below 0 or no finite number")
    return number


@dataclass(frozen=True)
class Wanted:
    """What is to be computed."""

    hours: float
    audio_hours: float
    endpoint: str
    instances: int
    endpoint_hours: float
    speed: float | None
    wakes: float
    node: str | None

    def busy_hours(self) -> float | None:
        """Instance hours of an endpoint that scales to zero."""
        if self.speed is None:
            return None
        return self.audio_hours / self.speed + self.wakes * WAKE_HOURS

    def lacking(self) -> int:
        """Instances too few for the audio, where the endpoint is always on."""
        if self.speed is None or not self.endpoint_hours:
            return 0
        return max(0, math.ceil(self.audio_hours / self.speed / self.endpoint_hours) - self.instances)

    def break_even(self) -> tuple[float, float | None]:
        """Instance hours of work below which scaling to zero is cheaper, and the hours of audio they are."""
        hours = max(0.0, self.endpoint_hours * self.instances - self.wakes * WAKE_HOURS)
        return hours, None if self.speed is None else hours * self.speed


def cluster(preset: Preset, wanted: Wanted) -> list[Use]:
    """Everything but the endpoint."""
    node = wanted.node or preset.node
    nodes = preset.nodes + preset.spot_nodes
    share = wanted.hours / MONTH_HOURS
    disks = nodes * NODE_DISK_GIB * share + preset.volumes * preset.volume_gib
    return [
        Use("eks.cluster", "hour", wanted.hours),
        Use(f"ec2.{node}", "hour", preset.nodes * wanted.hours),
        Use(f"ec2.{node}.spot", "hour", preset.spot_nodes * wanted.hours),
        Use("ebs.gp3", "GiB-month", disks),
        Use("nlb.balancer", "hour", wanted.hours),
        Use("nat.gateway", "hour", preset.nat_gateways * wanted.hours),
        Use("nat.data", "GiB", wanted.audio_hours * AUDIO_HOUR_GIB),
        Use("kms.key", "month", KEYS),
        Use("secretsmanager.secret", "month", SECRETS),
    ]


def columns(wanted: Wanted) -> dict[str, list[Use]]:
    """Uses by plan: each preset's cluster, and the endpoint in both ways of running it."""
    item = f"sagemaker.{wanted.endpoint}"
    endpoint = {
        ALWAYS_ON: [Use(item, "hour", wanted.endpoint_hours * wanted.instances)],
        TO_ZERO: [Use(item, "hour", wanted.busy_hours())],
    }
    return {name: cluster(preset, wanted) for name, preset in PRESETS.items()} | endpoint


def report(book: Book, wanted: Wanted) -> dict[str, Any]:
    """Everything as data: the plans with their totals, what is missing, and the break-even."""
    plans = {}
    for name, uses in columns(wanted).items():
        costs = [(use, book.cost(use)) for use in uses]
        plans[name] = {
            "items": [asdict(use) | {"cost": cost} for use, cost in costs],
            "total": round(sum(cost for _, cost in costs if cost is not None), 2),
            "complete": all(cost is not None for _, cost in costs),
        }
    used = {use.item for uses in columns(wanted).values() for use in uses if use.quantity != 0}
    hours, audio = wanted.break_even()
    return {
        "region": book.region,
        "currency": book.currency,
        "plans": plans,
        "prices": [asdict(book.prices[item]) for item in sorted(used & book.prices.keys())],
        "missing_prices": sorted(used - book.prices.keys()),
        "missing_speed": wanted.speed is None,
        "instances_lacking": wanted.lacking(),
        "break_even": {"instance_hours": hours, "audio_hours": audio},
    }


def text(found: dict[str, Any]) -> str:
    """The report as Markdown."""
    plans = found["plans"]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for name, plan in plans.items():
        for entry in plan["items"]:
            if entry["quantity"] == 0:
                continue
            cell = "?" if entry["quantity"] is None else f"{entry['quantity']:,.0f}"
            cell += f" = {_money(entry['cost'])}"
            rows.setdefault((entry["item"], entry["unit"]), {})[name] = cell
    total = {
        name: _money(plan["total"]) if plan["complete"] else f"{_money(plan['total'])}, incomplete"
        for name, plan in plans.items()
    }
    lines = [
        f"A month in {found['region']}, {found['currency']}: quantity = cost, `?` where it is not known.",
        "",
        "| item | unit | " + " | ".join(plans) + " |",
        "| --- | --- |" + " --- |" * len(plans),
        *(
            f"| {item} | {unit} | " + " | ".join(cells.get(name, "") for name in plans) + " |"
            for (item, unit), cells in sorted(rows.items())
        ),
        "| **known** | | " + " | ".join(total[name] for name in plans) + " |",
        "",
        *_prices(found),
        *_break_even(found),
    ]
    return "\n".join(lines)


def _money(value: float | None) -> str:
    return "?" if value is None else f"{value:,.2f}"


def _prices(found: dict[str, Any]) -> list[str]:
    lines = [
        f"- {one['item']}: {one['price']:g} ({one['date'] or 'undated'}; {one['source']})"
        for one in found["prices"]
    ]
    if found["missing_prices"]:
        lines.append(f"- Missing, to be given with --price ITEM=AMOUNT: {', '.join(found['missing_prices'])}")
    return ["Prices:", "", *(lines or ["- none"]), ""]


def _break_even(found: dict[str, Any]) -> list[str]:
    hours, audio = found["break_even"]["instance_hours"], found["break_even"]["audio_hours"]
    lacking = found["instances_lacking"]
    few = (
        [f"The audio needs {lacking} more of the instances that are always on (--instances).", ""]
        if lacking
        else []
    )
    line = f"Scaling to zero is cheaper below {hours:,.0f} instance hours of work a month"
    if audio is None:
        return [
            f"{line}. How much audio that is depends on --speed, which has to be measured on the instance."
        ]
    return [*few, f"{line}, which are {audio:,.0f} hours of audio."]


def parse(argv: Sequence[str]) -> tuple[Wanted, Book, bool]:
    """The question, the prices, and whether to answer as JSON."""
    parser = argparse.ArgumentParser(
        prog="deploy/aws/cost",
        description="Monthly costs of Whisper Web UI on AWS, for the presets of deploy/aws/up.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--region", default="us-east-1", help="(us-east-1)")
    add("--audio-hours", default=100.0, metavar="N", help="hours of audio a month (100)")
    add("--hours", default=MONTH_HOURS, metavar="N", help="that the cluster runs a month (730)")
    add("--node", metavar="TYPE", help="instance type of all nodes, instead of each preset's")
    add(
        "--endpoint",
        default="ml.g4dn.xlarge",
        metavar="TYPE",
        help="instance type at SageMaker (ml.g4dn.xlarge)",
    )
    add("--instances", default=1, metavar="N", help="of an endpoint that is always on (1)")
    add("--endpoint-hours", metavar="N", help="that an endpoint that is always on runs (as --hours)")
    add("--speed", metavar="X", help="hours of audio that an instance transcribes in an hour, as measured")
    add("--wakes", default=20, metavar="N", help="times a month that the endpoint comes from zero (20)")
    add("--price", action="append", default=[], metavar="ITEM=AMOUNT", help="repeatable")
    add("--prices", action="append", default=[], type=Path, metavar="FILE", help="repeatable")
    add("--json", action="store_true", help="answer as JSON")
    given = parser.parse_args(argv)
    try:
        return _wanted(given), read_book([PRICES, *given.prices], given.region, given.price), given.json
    except Mistake as mistake:
        parser.error(str(mistake))


def _wanted(given: argparse.Namespace) -> Wanted:
    hours = amount("--hours", given.hours)
    endpoint_hours = (
        hours if given.endpoint_hours is None else amount("--endpoint-hours", given.endpoint_hours)
    )
    for option, value in (("--hours", hours), ("--endpoint-hours", endpoint_hours)):
        if value > MONTH_HOURS:
            raise Mistake(f"{option}: {value:g} are more than the {MONTH_HOURS:g} hours of a month")
    speed = None if given.speed is None else amount("--speed", given.speed)
    if speed == 0:
        raise Mistake("--speed: at 0 nothing is ever transcribed")
    instances = amount("--instances", given.instances)
    if not 1 <= instances == int(instances):
        raise Mistake(f"--instances: {given.instances!r} is not a whole number of at least 1")
    return Wanted(
        hours=hours,
        audio_hours=amount("--audio-hours", given.audio_hours),
        endpoint=given.endpoint,
        instances=int(instances),
        endpoint_hours=endpoint_hours,
        speed=speed,
        wakes=amount("--wakes", given.wakes),
        node=given.node,
    )


def main(argv: Sequence[str]) -> None:
    """Answer on the standard output."""
    wanted, book, as_json = parse(argv)
    found = report(book, wanted)
    sys.stdout.write((json.dumps(found, indent=2) if as_json else text(found)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
