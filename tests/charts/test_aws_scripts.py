"""What holds for every command of deploy/aws, and how each state of a stack is taken."""

import subprocess

import pytest

from tests.charts.aws_account import Account
from tests.charts.aws_operator import ROOT, Operator, Run

pytestmark = pytest.mark.xdist_group("aws")  # one emulation for all
FOLDER = ROOT / "deploy/aws"
COMMANDS = ("up", "down", "doctor", "rotate-credentials")
STACK = "whisper-webui-cluster"


@pytest.mark.parametrize("command", COMMANDS)
def test_shellcheck_finds_nothing(command: str) -> None:
    """Neither in the command nor in what it sources."""
    done = subprocess.run(
        ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", command],
        cwd=FOLDER,
        capture_output=True,
        text=True,
    )
    assert not done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    done = subprocess.run([FOLDER / command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert f"usage: deploy/aws/{command}" in done.stdout
    assert "Exit codes:" in done.stdout


def test_what_setting_up_leaves_behind_is_no_change_of_the_tree() -> None:
    """images.sh pushes only what is committed; pip leaves `build` where it installs a project from."""
    left = ["build/", "whisper_webui.egg-info/"]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *left], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == left


def shell(operator: Operator, code: str) -> Run:
    """Run functions of the library by themselves."""
    done = subprocess.run(
        ["bash", "-c", f'. "{FOLDER}/lib.sh"; . "{FOLDER}/stacks.sh"; identify; open_log; {code}'],
        env=operator.environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("state", "mode", "said"),
    [
        ("UPDATE_COMPLETE", "UPDATE", ""),
        ("UPDATE_ROLLBACK_COMPLETE", "UPDATE", ""),
        ("ROLLBACK_COMPLETE", "CREATE", "it never came up, so it is deleted and made anew"),
        ("REVIEW_IN_PROGRESS", "CREATE", "it never came up, so it is deleted and made anew"),
        ("UPDATE_ROLLBACK_FAILED", "UPDATE", "AWS is asked to go on with going back"),
        ("DELETE_FAILED", "", "is half deleted: Vpc: it has dependencies. Run deploy/aws/down first"),
    ],
)
def test_an_earlier_runs_remains_are_brought_to_where_they_can_change(
    account: Account, operator: Operator, state: str, mode: str, said: str
) -> None:
    stack = account.stacks.settled(STACK, state)
    if state == "DELETE_FAILED":
        stack.events.append(("Vpc", "DELETE_FAILED", "it has dependencies."))
    run = shell(operator, f"prepare {STACK}")
    assert run.out.strip() == mode
    assert said in run.err
    assert (run.status == 0) == bool(mode)


def test_a_stack_in_progress_is_waited_for(account: Account, operator: Operator) -> None:
    stack = account.stacks.settled(STACK, "CREATE_IN_PROGRESS")
    stack.after, stack.looks = "CREATE_COMPLETE", 3
    run = shell(operator, f"prepare {STACK}")
    assert (run.status, run.out.strip()) == (0, "UPDATE")
    stack.state, stack.looks = "UPDATE_IN_PROGRESS", 0
    late = shell(operator, f"WAIT_MINUTES=0; prepare {STACK}")
    assert late.status == 1
    assert "is still UPDATE_IN_PROGRESS after 0 minutes. AWS goes on" in late.err


def test_a_rollback_that_fails_again_names_its_reason(account: Account, operator: Operator) -> None:
    account.stacks.settled(STACK, "UPDATE_ROLLBACK_FAILED").events.append(
        ("Nodes", "UPDATE_FAILED", "no capacity")
    )
    account.stacks.cannot_go_back = True
    run = shell(operator, f"prepare {STACK}")
    assert run.status == 1
    assert "cannot go back to what it was: Nodes: no capacity" in run.err
    assert "--resources-to-skip" in run.err


def test_what_an_update_would_remove_or_replace_is_asked_for(account: Account, operator: Operator) -> None:
    account.stacks.settled(STACK, "UPDATE_COMPLETE")
    account.stacks.losses = [("Modify", "Nodes", "AWS::EKS::Nodegroup")]
    template = FOLDER / "cloudformation/cluster.yaml"
    code = f'put_stack {STACK} "{template}" VpcId=vpc-1 PrivateSubnetIds=subnet-a,subnet-b'
    run = shell(operator, code)
    assert run.status == 1
    assert "will remove or replace these" in run.err
    assert "Nodes" in run.err
    assert account.stacks.executed == []
    assert account.stacks.changes == {}
    assert shell(operator, f"YES=yes; OWN_SUBNETS=subnet-a,subnet-b; {code}").status == 0
    assert account.stacks.executed == [STACK]
    assert account.stacks.stacks[STACK].tags["whisper-own_subnets"] == "subnet-a+subnet-b"
