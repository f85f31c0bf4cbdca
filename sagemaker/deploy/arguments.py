"""Reads the command line into one value per command."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from services.contracts.hotwords import DEFAULT_BOOST, MAX_BOOST, HotwordMethod

DEFAULT_NAME = "whisper-endpoint"
MAX_NAME = 50
"""Names at SageMaker have up to 63 characters; ours end in a hash."""

DESCRIPTION = "Puts the Whisper container on SageMaker. docs/deploy-endpoint.md leads through it."
EPILOG = """\
Credentials and region come from where the AWS command line has them: AWS_PROFILE, AWS_REGION,
AWS_ACCESS_KEY_ID and so on, or the role of this machine. Every command can be run again after a
failure or an interruption, and goes on where it was.

exit codes: 0 done, 1 failed, 2 the command line is wrong, 130 interrupted (AWS goes on by itself)
"""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """What all commands have in common."""

    name: str
    region: str | None
    poll_seconds: float = 15.0
    wait_minutes: float = 60.0
    dry_run: bool = False


class Image(Where, frozen=True, kw_only=True):
    """Build and push."""

    tag: str
    model: str
    builder: str | None
    build_args: tuple[str, ...]


class Up(Where, frozen=True, kw_only=True):
    """Create or update."""

    role_arn: str
    image: str | None
    instance_type: str
    instances: int
    max_instances: int
    scale_to_zero: bool
    concurrency: int
    model_data: str | None
    environment: dict[str, str]
    alarms: tuple[str, ...]
    ami: str | None
    startup_seconds: int
    download_seconds: int
    memory_mb: int


class Down(Where, frozen=True, kw_only=True):
    """Delete."""

    yes: bool
    with_images: bool


class Status(Where, frozen=True, kw_only=True):
    """Show."""


class Test(Where, frozen=True, kw_only=True):
    """Transcribe one file."""

    file: Path
    language: str | None
    hotwords: tuple[str, ...]
    method: HotwordMethod
    boost: float


Command = Image | Up | Down | Status | Test


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Command:
    """The command; exits 2 with a sentence where it cannot work."""
    parser = _parser()
    given = parser.parse_args(argv)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", given.name) or len(given.name) > MAX_NAME:
        parser.error(
            f"--name {given.name!r}: use at most {MAX_NAME} small letters, digits and single hyphens, "
            "which SageMaker and ECR both take"
        )
    values = vars(given)
    build = values.pop("build")
    values["region"] = given.region or environ.get("AWS_REGION")
    try:
        command: Command = build(values)
    except ValueError as error:
        parser.error(str(error))
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _image(commands.add_parser("image", help="build the container and push it to ECR"))
    _up(commands.add_parser("up", help="create the endpoint, or update it without an interruption"))
    _down(commands.add_parser("down", help="delete the endpoint and all that belongs to it"))
    _status(commands.add_parser("status", help="show the endpoint, its scaling and its versions"))
    _test(commands.add_parser("test", help="transcribe a file with the endpoint"))
    return parser


def _common(parser: argparse.ArgumentParser, *, waits: bool = True, changes: bool = True) -> None:
    parser.add_argument(
        "--name",
        default=DEFAULT_NAME,
        help=f"of the endpoint; all other names begin with it ({DEFAULT_NAME})",
    )
    parser.add_argument("--region", help="default: AWS_REGION, or the profile's")
    if waits:
        parser.add_argument("--wait-minutes", type=float, default=60.0, metavar="N", help="patience (60)")
        parser.add_argument(
            "--poll-seconds", type=float, default=15.0, metavar="N", help="between looks (15)"
        )
    if changes:
        parser.add_argument(
            "--dry-run", action="store_true", help="print the calls as JSON, one a line, and change nothing"
        )


def _image(parser: argparse.ArgumentParser) -> None:
    _common(parser, waits=False)
    add = parser.add_argument
    add("--tag", default="latest", help="of the image (latest)")
    add(
        "--model",
        default="openai/whisper-large-v3-turbo",
        help='hub id, or folder below models/, to bake in; "" leaves it to --model-data of `up` '
        "(openai/whisper-large-v3-turbo)",
    )
    add("--builder", choices=("docker", "podman", "buildah"), help="default: the first of them found on PATH")
    add(
        "--build-arg",
        dest="build_args",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for mirrors: BASE_IMAGE, PIP_INDEX_URL, TORCH_INDEX_URL, HF_ENDPOINT",
    )
    parser.set_defaults(build=lambda values: Image(**(values | {"build_args": _pairs(values["build_args"])})))


def _up(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    add = parser.add_argument
    add("--role-arn", help="IAM role that SageMaker runs the container with (required)")
    add("--image", metavar="URI", help="default: the newest that `image` pushed, NAME:latest of this account")
    add(
        "--instance-type",
        default="ml.g4dn.xlarge",
        metavar="TYPE",
        help="ml.g4dn.xlarge; ml.c6i.2xlarge is a CPU",
    )
    add("--instances", type=int, default=1, metavar="N", help="at least so many (1)")
    add(
        "--max-instances",
        type=int,
        default=2,
        metavar="N",
        help="at most so many; as --instances: no scaling (2)",
    )
    add("--scale-to-zero", action="store_true", help="no instance while there is no work; minutes to start")
    add(
        "--concurrency",
        type=int,
        default=8,
        metavar="N",
        help="requests at once that an instance should have (8)",
    )
    add("--model-data", metavar="S3", help="s3://bucket/model.tar.gz to use instead of a model in the image")
    add(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="setting of the container; repeatable",
    )
    add(
        "--alarm",
        dest="alarms",
        action="append",
        default=[],
        metavar="NAME",
        help="CloudWatch alarm that rolls an update back; repeatable",
    )
    add(
        "--ami",
        metavar="VERSION",
        help="InferenceAmiVersion, which decides on the GPU driver; default: one for CUDA 13",
    )
    add("--startup-seconds", type=int, default=900, metavar="N", help="for the model to load (900)")
    add("--download-seconds", type=int, default=1200, metavar="N", help="for --model-data to arrive (1200)")
    add(
        "--memory-mb",
        type=int,
        default=1024,
        metavar="N",
        help="reserved for a copy with --scale-to-zero (1024)",
    )
    parser.set_defaults(build=_built_up)


def _built_up(values: dict[str, object]) -> Up:
    if not values["role_arn"]:
        raise ValueError(
            "--role-arn is required: an IAM role that SageMaker may assume, with the policy of "
            "docs/deploy-endpoint.md; `aws iam list-roles` shows those you have"
        )
    values["environment"] = dict(pair.split("=", 1) for pair in _pairs(values.pop("env")))
    values["alarms"] = tuple(values["alarms"])  # type: ignore[arg-type]  # a list by its action
    wanted = msgspec.convert(values, Up)
    if not 1 <= wanted.instances <= wanted.max_instances:
        raise ValueError(
            f"--instances {wanted.instances} and --max-instances {wanted.max_instances} do not fit: "
            "at least 1, and no more than --max-instances"
        )
    return wanted


def _pairs(given: object) -> tuple[str, ...]:
    pairs = msgspec.convert(given, tuple[str, ...])
    for pair in pairs:
        if not re.match(r"[A-Za-z_][A-Za-z0-9_]*=", pair):
            raise ValueError(f"{pair!r} is not NAME=VALUE")
    return pairs


def _down(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--with-images", action="store_true", help="delete the ECR repository, too")
    parser.set_defaults(build=lambda values: Down(**values))


def _status(parser: argparse.ArgumentParser) -> None:
    _common(parser, waits=False, changes=False)
    parser.set_defaults(build=lambda values: Status(**values))


def _test(parser: argparse.ArgumentParser) -> None:
    _common(parser, changes=False)
    add = parser.add_argument
    add("file", type=Path, help="a recording; of a long one the first 30 s")
    add("--language", metavar="CODE", help="such as en or zh; default: detected")
    add("--hotwords", default="", metavar="WORDS", help="words to be spelled this way, separated by commas")
    add(
        "--method",
        choices=tuple(HotwordMethod),
        default=HotwordMethod.PROMPT_INJECTION,
        help="of the hotwords",
    )
    add(
        "--boost",
        type=float,
        default=DEFAULT_BOOST,
        metavar="NATS",
        help=f"for logit_bias, 0 to {MAX_BOOST:g}",
    )
    parser.set_defaults(build=_built_test)


def _built_test(values: dict[str, object]) -> Test:
    if not (file := Path(str(values["file"]))).is_file():
        raise ValueError(f"there is no file {file}")
    values["hotwords"] = tuple(word for part in str(values["hotwords"]).split(",") if (word := part.strip()))
    return Test(**values)  # type: ignore[arg-type]  # argparse has checked them
