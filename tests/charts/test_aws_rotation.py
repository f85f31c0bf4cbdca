"""deploy/aws/rotate-credentials: new passwords and keys, and nobody locked out."""

import json
import stat

import pytest

from services.auth.accounts import parse
from services.auth.passwords import HASHER
from services.contracts.rights import Role
from services.provision.authorization import new_seed, public_key
from services.provision.secret import JETSTREAM_KEY, PUBLIC, secret
from tests.charts.aws_account import PASSWORD, Account
from tests.charts.aws_operator import Operator
from tests.charts.test_aws_doctor import have_deployment

pytestmark = pytest.mark.xdist_group("aws")  # one emulation for all
CREDENTIALS = "whisper-webui-credentials-1a2b"


def test_a_new_password_is_in_the_file_and_its_hash_in_the_secret(
    account: Account, operator: Operator
) -> None:
    have_deployment(account, operator)
    secrets = account.client("secretsmanager")
    file = operator.home / "passwords"
    run = operator.run("rotate-credentials", "password", "admin", "--to", str(file), answers="y\n")
    assert run.status == 0, run.said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    user, password = file.read_text().split()
    current = secrets.get_secret_value(SecretId=CREDENTIALS, VersionStage="AWSCURRENT")["SecretString"]
    previous = secrets.get_secret_value(SecretId=CREDENTIALS, VersionStage="AWSPREVIOUS")["SecretString"]
    assert (user, json.loads(previous)) == ("admin", {"admin": PASSWORD})
    hashed = parse(current)["admin"].password_hash
    assert hashed is not None
    assert HASHER.verify(hashed, password)
    commands = operator.commands()
    assert any("rollout restart deployment/whisper-webui-auth" in command for command in commands)
    assert any("end-sessions admin" in command for command in commands)
    logs = "".join(path.read_text() for path in operator.state.rglob("*.log"))
    assert password not in run.said + operator.record.read_text() + logs

    again = operator.run("rotate-credentials", "password", "admin", "--to", str(file))
    assert again.status == 64
    assert "exists already" in again.err
    nobody = operator.run("rotate-credentials", "password", "eve", "--to", f"{file}.2", "--yes")
    assert nobody.status == 1
    assert "has no account eve; it has admin" in nobody.err
    assert not (operator.home / "passwords.2").exists()


@pytest.mark.parametrize("refused", ["rollout status *", "exec *"])
def test_who_stays_logged_in_after_a_failure_is_said(
    account: Account, operator: Operator, refused: str
) -> None:
    """By then the new passwords count, and a second run would make others."""
    have_deployment(account, operator)
    file = operator.home / "passwords"
    arguments = ("password", "admin", "--to", str(file), "--yes")
    run = operator.run("rotate-credentials", *arguments, KUBECTL_REFUSES=refused)
    assert run.status == 1
    assert f"the passwords in {file} count" in run.err
    assert "end-sessions admin" in run.err


def test_nats_knows_the_new_keys_before_the_services_come_with_them(
    account: Account, operator: Operator
) -> None:
    have_deployment(account, operator)
    before = secret("whisper-webui-nats-keys", {role: new_seed() for role in Role})
    applied = operator.cluster / "applied-whisper-webui-nats-keys"
    applied.write_text(json.dumps(before))
    account.client("secretsmanager").create_secret(
        Name="whisper-webui-nats-keys", SecretString=json.dumps(before)
    )
    run = operator.run("rotate-credentials", "nats-keys", "--yes")
    assert run.status == 0, run.said
    restarts = [command.split()[3] for command in operator.commands() if "rollout restart" in command]
    assert restarts == [
        "statefulset/whisper-webui-nats",
        "deployment/whisper-webui-auth",
        "statefulset/whisper-webui-nats",
    ]
    old, new = before["stringData"], json.loads(applied.read_text())["stringData"]
    assert isinstance(old, dict)
    assert new.keys() == old.keys()
    assert new[JETSTREAM_KEY] == old[JETSTREAM_KEY]
    assert all(new[role.value] != old[role.value] for role in Role)
    assert sorted(new[PUBLIC].split()) == sorted(f"{role}={public_key(new[role.value])}" for role in Role)
    kept = account.client("secretsmanager").get_secret_value(
        SecretId="whisper-webui-nats-keys", VersionStage="AWSCURRENT"
    )
    assert json.loads(kept["SecretString"])["stringData"] == new
    operator.check_no_secret_shows(run)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what: password, signing-key, nats-keys or stream-key"),
        (("password", "admin"), "password needs --to FILE"),
        (("password", "--to", "new"), "whose password?"),
        (("stream-key",), "cannot change it on a volume"),
    ],
)
def test_what_cannot_be_rotated_is_said(
    account: Account, operator: Operator, arguments: tuple[str, ...], said: str
) -> None:
    run = operator.run("rotate-credentials", *arguments)
    assert run.status == 64
    assert said in run.err
