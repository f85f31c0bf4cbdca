"""`image`: build the container with docker, podman or buildah, and push it to ECR."""

import base64
import shutil
import subprocess
from pathlib import Path

from deploy import images
from deploy.arguments import Image
from deploy.aws import Aws
from deploy.errors import DeployError

PROJECT = Path(__file__).resolve().parents[2]
DOCKERFILE = "sagemaker/Dockerfile"
BUILDERS = ("docker", "podman", "buildah")
PLATFORM = "linux/amd64"
DOCKER_MANIFEST = {
    "docker": ("buildx", "build", "--provenance=false", "--output", "type=docker"),
    "podman": ("build", "--format", "docker"),
    "buildah": ("build", "--format", "docker"),
}
"""SageMaker refuses OCI manifests, and BuildKit's attestations make an index of a plain image."""


def image(aws: Aws, wanted: Image) -> None:
    """Build, make the repository, log in, push, and print the image by digest."""
    builder = _builder(wanted)
    uri = images.uri(aws, wanted.name, wanted.tag)
    _run(aws, [builder, *build(builder, wanted, uri)])
    if aws.find("ecr", "describe_repositories", repositoryNames=[wanted.name]) is None:
        aws.console.say(f"creating the repository {wanted.name}")
        aws.create("ecr", "create_repository", repositoryName=wanted.name)
    login = [builder, "login", "--username", "AWS", "--password-stdin", aws.registry]
    _run(aws, login, password="" if aws.dry_run else _password(aws))
    _run(aws, [builder, "push", uri])
    if not aws.dry_run:
        digest = images.described(aws, wanted.name, {"imageTag": wanted.tag})["imageDigest"]
        aws.console.result(f"{aws.registry}/{wanted.name}@{digest}")


def build(builder: str, wanted: Image, uri: str) -> list[str]:
    """Arguments that build the image, to be run in the project's folder."""
    settings = (f"MODEL={wanted.model}", *wanted.build_args)
    options = [text for setting in settings for text in ("--build-arg", setting)]
    return [
        *DOCKER_MANIFEST[builder],
        *("--platform", PLATFORM, "--file", DOCKERFILE),
        *options,
        *("--tag", uri, "."),
    ]


def _builder(wanted: Image) -> str:
    found = [name for name in BUILDERS if shutil.which(name) and wanted.builder in (name, None)]
    if not found:
        raise DeployError(f"{wanted.builder or ' or '.join(BUILDERS)} is needed on PATH to build the image")
    return found[0]


def _password(aws: Aws) -> str:
    token = aws.read("ecr", "get_authorization_token")["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().removeprefix("AWS:")


def _run(aws: Aws, command: list[str], password: str | None = None) -> None:
    """Run in the project's folder, output straight to the terminal; a dry run prints the command."""
    if aws.dry_run:
        return aws.planned({"command": command})
    aws.console.say(" ".join(command))
    try:
        subprocess.run(command, cwd=PROJECT, check=True, text=True, input=password, stdout=2)
    except subprocess.CalledProcessError as error:
        raise DeployError(f"{command[0]} {command[1]} failed with exit code {error.returncode}") from error
    return None
