"""Finds images in ECR, and pins them: what a tag means may change, a digest does not."""

import re
from typing import Any

from deploy.arguments import Up
from deploy.aws import Aws
from deploy.errors import Denied, DeployError, NotFound

URI = re.compile(
    r"(?P<registry>[^/]+)/(?P<repository>[^:@]+)(:(?P<tag>[\w.-]+)|@(?P<digest>sha256:[0-9a-f]{64}))?"
)
UNUSABLE = re.compile(r"manifest\.list|oci\.image")
"""Manifests that SageMaker refuses: github.com/aws/amazon-sagemaker-feedback/issues/180"""


def uri(aws: Aws, name: str, tag: str) -> str:
    """Address of an image of ours."""
    return f"{aws.registry}/{name}:{tag}"


def pinned(aws: Aws, wanted: Up) -> str:
    """The image to use, by digest. Images of other accounts are left as they are named."""
    given = wanted.image or uri(aws, wanted.name, "latest")
    found = URI.fullmatch(given)
    if not found:
        raise DeployError(f"--image {given!r} is not REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST")
    if found["registry"] != aws.registry:
        return given
    try:
        digest = described(aws, found["repository"], _identity(found))["imageDigest"]
    except NotFound as error:
        if aws.dry_run:
            aws.console.say(f"{given} is not in ECR yet")
            return given
        raise DeployError(f"{given} is not in ECR. Push it first: python -m deploy image") from error
    except Denied as error:
        aws.console.say(f"the image was not checked: {error}")
        return given
    return f"{found['registry']}/{found['repository']}@{digest}"


def _identity(found: re.Match[str]) -> dict[str, str]:
    return {"imageDigest": found["digest"]} if found["digest"] else {"imageTag": found["tag"] or "latest"}


def described(aws: Aws, repository: str, identity: dict[str, str]) -> dict[str, Any]:
    """Details of one image. Raises `NotFound`, and `DeployError` where SageMaker could not use it."""
    answer = aws.read("ecr", "describe_images", repositoryName=repository, imageIds=[identity])
    details: dict[str, Any] = answer["imageDetails"][0]
    kind = details.get("imageManifestMediaType", "")
    if UNUSABLE.search(kind):
        raise DeployError(
            f"{repository} is stored as {kind}, and SageMaker takes Docker manifests of one platform only. "
            "Push it with `python -m deploy image`, or build with "
            "`docker buildx build --provenance=false --output type=docker`"
        )
    return details
