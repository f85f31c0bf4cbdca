"""`python -m deploy`: image, up, status, test, down."""

import os
import sys
from collections.abc import Mapping, Sequence

from botocore.session import Session

from deploy.arguments import Down, Image, Status, Test, Up, parse
from deploy.aws import Aws
from deploy.console import Console
from deploy.down import down
from deploy.errors import DeployError
from deploy.image import image
from deploy.status import status
from deploy.transcription import test
from deploy.up import up

OK, FAILED, INTERRUPTED = 0, 1, 130


def main(argv: Sequence[str], environ: Mapping[str, str], session: Session | None = None) -> int:
    """Run the command and return its exit code."""
    command = parse(argv, environ)
    console = Console()
    try:
        aws = Aws(command.region, console, dry_run=command.dry_run, session=session)
        match command:
            case Image():
                image(aws, command)
            case Up():
                up(aws, command)
            case Down():
                down(aws, command)
            case Status():
                status(aws, command)
            case Test():
                test(aws, command)
    except DeployError as error:
        console.say(f"error: {error}")
        return FAILED
    except KeyboardInterrupt:
        console.say("interrupted; what AWS has begun goes on: run the same command again to follow it")
        return INTERRUPTED
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
