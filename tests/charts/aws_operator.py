"""An operator at a terminal, with the real AWS command line and a cluster that is on paper only."""

import json
import os
import signal
import subprocess
from pathlib import Path

import msgspec

from tests.charts.aws_account import PASSWORD, Account

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
SECONDS = 180.0


class Run(msgspec.Struct, frozen=True):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


class Operator:
    """A terminal with a fresh home, to run the commands of deploy/aws from.

    `cluster` is the folder in which the stand-ins for kubectl and helm keep what is theirs.
    """

    def __init__(self, account: Account, home: Path, commands: Path, port: int) -> None:
        self.account = account
        self.home = home
        self.cluster = home / "cluster"
        self.cluster.mkdir(parents=True)
        self.record = home / "record"
        self.record.touch()
        self.state = home / "state"
        self.environ = {
            "PATH": f"{commands}:{STAND_INS}:{os.environ['PATH']}",
            "HOME": str(home),
            "WARM_AWS_PORT": str(port),
            "AWS_ENDPOINT_URL": account.url,
            "ADDRESS_URL": f"{account.url}/address",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
            "AWS_CONFIG_FILE": str(home / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "3",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "POLL_SECONDS": "0.05",
            "IMAGES": str(STAND_INS / "images.sh"),
            "PAPER_CLUSTER": str(self.cluster),
            "RECORD": str(self.record),
            "STATE_HOME": str(self.state),
            "PYTHON": str(ROOT / ".venv/bin/python"),
        }
        self.show(nodes="ip-10-0-0-1 Ready\nip-10-0-0-2 Ready\n", hostname="nlb.example")
        self.show(storageclass="gp3=ebs.csi.aws.com ")
        (self.cluster / "crd-scaledobjects.keda.sh").write_text("crd/scaledobjects.keda.sh")
        for name in ("aws-load-balancer-controller", "keda-operator"):
            (self.cluster / f"ready-{name}").write_text("1")

    def show(self, **files: str) -> None:
        """What kubectl is to answer."""
        for name, text in files.items():
            (self.cluster / name).write_text(text)

    def run(self, command: str, *arguments: str, answers: str = "", **environ: str) -> Run:
        """Run it to its end with these lines typed."""
        done = subprocess.run(
            [ROOT / "deploy/aws" / command, *arguments],
            env={**self.environ, **environ},
            input=answers,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=self.home,
        )
        assert done.returncode != -signal.SIGKILL
        return Run(done.returncode, done.stdout, done.stderr)

    def commands(self) -> list[str]:
        """Every command line so far, of aws, kubectl, helm and docker."""
        return [" ".join(json.loads(line)) for line in self.record.read_text().splitlines()]

    def secrets(self) -> list[str]:
        """What must show nowhere: the password, seeds, and the key of the streams."""
        found = [PASSWORD]
        for path in self.cluster.glob("applied-*-nats-keys"):
            manifest = json.loads(path.read_text())
            found += [value for key, value in manifest["stringData"].items() if key != "public"]
        return found

    def check_no_secret_shows(self, *runs: Run) -> None:
        """Neither on a command line, nor in a log, nor on the terminal."""
        texts = [run.said for run in runs] + [
            path.read_text() for path in self.state.rglob("*") if path.is_file()
        ]
        texts.append(self.record.read_text())
        shown = [text for text in texts for secret in self.secrets() if secret in text]
        assert not shown
