"""The services' pods: restricted, with the settings that the values give, and with time enough to stop."""

import enum
import math
from typing import Any

import msgspec
import pytest

from services.chunker.settings import Settings as Chunker
from services.common import service
from services.common.settings import ServiceSettings, load
from services.gateway.settings import Settings as Gateway
from tests.charts.conftest import Rendered
from tests.charts.documented import ELSEWHERE, FIXED, SETTINGS
from tests.charts.rendering import CHART, Manifests, Object, render
from tests.charts.variants import COMBINATIONS, EVERYTHING, name

SERVICES = ("auth", "chunker", "gateway", "transcriber")
MARGIN_SECONDS = 10
"""What connections and threads may take to end, beyond what services allow themselves."""


def pods(one: Manifests) -> dict[str, Object]:
    """Specifications of all pods, by component."""
    found = {}
    for thing in one.objects:
        template = thing if thing["kind"] == "Pod" else thing.get("spec", {}).get("template")
        if template is not None:
            found[template["metadata"]["labels"]["app.kubernetes.io/component"]] = template["spec"]
    return found


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def environment(one: Manifests, component: str) -> dict[str, str]:
    """Variables of a service's pod that have their value in the manifest."""
    [container] = pods(one)[component]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


@pytest.mark.parametrize("files", COMBINATIONS, ids=name)
def test_pods_are_restricted(rendered: Rendered, files: tuple[str, ...]) -> None:
    """Pod Security "restricted", and more: no token, no write beside small volumes, a bound on everything."""
    found = pods(rendered(files, EVERYTHING))
    assert found.keys() >= {*SERVICES, "test"}
    for pod in found.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for container in containers(pod):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
            assert container["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}
        for volume in pod.get("volumes", ()):
            assert volume.keys() - {"name"} <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}
            assert volume.get("emptyDir", {"sizeLimit": ""}).keys() >= {"sizeLimit"}


@pytest.mark.parametrize("component", SERVICES)
@pytest.mark.parametrize("drain", [2, 30.5])
def test_the_grace_period_is_made_from_the_service_s_own_settings(component: str, drain: float) -> None:
    """A stop takes the time that services/common/service.py and each __main__ allow it.

    The gateway waits for its workers, then for uploads, then for other requests, each for the drain time.
    """
    given = {f"services.{component}.env.DRAIN_SECONDS": drain}
    settings = load(SETTINGS[component], environment(render((), given), component))
    pod = pods(render((), given))[component]
    pauses = {"gateway": pod["containers"][0].get("lifecycle", {})}.get(component, {})
    pause = pauses.get("preStop", {}).get("sleep", {}).get("seconds", 0)
    probes_site = service.site.__wrapped__.__kwdefaults__["shutdown_seconds"]  # type: ignore[attr-defined]  # contextlib's
    stages = 3 if component == "gateway" else 1
    needed = pause + stages * settings.drain_seconds + probes_site + MARGIN_SECONDS
    assert settings.drain_seconds == drain
    assert pod["terminationGracePeriodSeconds"] == math.ceil(needed)


def test_the_gateway_goes_on_while_load_balancers_find_out(rendered: Rendered) -> None:
    [container] = pods(rendered())["gateway"]["containers"]
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 150}}}
    [container] = pods(rendered((), {"services.gateway.preStopSeconds": 0}))["gateway"]["containers"]
    assert "lifecycle" not in container


def sample(kind: Any, default: object) -> object:
    """Another value than the default, and one that YAML and templates could spoil."""
    if kind is bool:
        return not default
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(member for member in kind if member is not default).value
    if kind is int:
        return 98_765_432_109
    if kind is float:
        return 12345678.25
    return "a: 'b' {{ c }}, \"d\" # é"


@pytest.mark.parametrize("component", [*SERVICES, "provision"])
def test_every_setting_can_be_given(component: str) -> None:
    """By its own name, or by the value that stands in `ELSEWHERE`; the service reads what was meant."""
    fields = {
        field.name.upper(): field
        for field in msgspec.structs.fields(SETTINGS[component])
        if field.name.upper() not in FIXED.keys() | ELSEWHERE.keys()
    }
    given = {variable: sample(field.type, field.default) for variable, field in fields.items()}
    place = "provision" if component == "provision" else f"services.{component}"
    values: dict[str, object] = {f"{place}.env.{variable}": value for variable, value in given.items()}
    values["nats.storage.size"] = "500Gi"  # the streams' budgets must fit
    read = load(SETTINGS[component], environment(render((), values), component))
    assert {variable: getattr(read, variable.lower()) for variable in given} == given


def test_what_has_a_value_of_its_own_reaches_every_service() -> None:
    given: dict[str, object] = {
        "logLevel": "warning",
        "publicUrl": "https://speech.example.com",
        "ingress.enabled": True,
        "ingress.proxies": 2,
        "retention.audioSeconds": 3_600,
        "retention.textSeconds": 7_200,
        "aws.region": "us-west-2",
        "aws.secretName": "accounts",
        "aws.signingSecretName": "keys",
        "aws.endpoint.name": "whisper",
        "aws.endpoint.inferenceComponent": "component",
        "keda.enabled": False,
        "nats.enabled": False,
        "nats.external.url": "tls://one.example.com:4222,tls://two.example.com:4222",
    }
    one = render((), given)
    for component in (*SERVICES, "provision"):
        variables = environment(one, component)
        read = load(SETTINGS[component], variables)
        for field in msgspec.structs.fields(SETTINGS[component]):
            path = ELSEWHERE.get(field.name.upper())
            if path in given:
                assert getattr(read, field.name) == given[path], field.name


def test_settings_that_cannot_be_given_exist() -> None:
    known = {field.name.upper() for kind in SETTINGS.values() for field in msgspec.structs.fields(kind)}
    assert FIXED.keys() | ELSEWHERE.keys() <= known


@pytest.mark.parametrize("component", SERVICES)
def test_the_chart_changes_no_default_by_itself(rendered: Rendered, component: str) -> None:
    """What the values begin with is what the service would do by itself, but for where things are."""
    read = load(SETTINGS[component], environment(rendered(), component))
    here = {"nats_url", "nats_ca_file", "spool_directory"}
    changed = {
        field.name
        for field in msgspec.structs.fields(SETTINGS[component])
        if getattr(read, field.name) != field.default
    }
    assert changed <= here


def test_ports_are_those_that_services_listen_on(rendered: Rendered) -> None:
    for component in SERVICES:
        [container] = pods(rendered())[component]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        expected = {"metrics": ServiceSettings().metrics_port}
        assert ports == (expected | {"http": Gateway().port} if component == "gateway" else expected)


def test_the_spool_has_the_disk_that_its_setting_promises() -> None:
    promised = 7_000_000_000
    one = render((), {"services.chunker.env.SPOOL_MAX_BYTES": promised})
    pod = pods(one)["chunker"]
    [size] = [volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if volume["name"] == "spool"]
    mebibytes = int(size.removesuffix("Mi"))
    assert promised * 1.1 <= mebibytes * 2**20 < promised * 1.11
    [container] = pod["containers"]
    assert environment(one, "chunker")["SPOOL_DIRECTORY"] == "/spool"
    assert {"name": "spool", "mountPath": "/spool"} in container["volumeMounts"]
    for kind in ("requests", "limits"):
        assert int(container["resources"][kind]["ephemeral-storage"].removesuffix("Mi")) > mebibytes
    assert Chunker().spool_max_bytes == 20_000_000_000


def test_images_are_named_by_registry_service_and_tag() -> None:
    registry = "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn"
    found = pods(render((), {"image.registry": registry, "image.tag": "1.2.3", "image.repository": "a/b"}))
    for component in SERVICES:
        assert found[component]["containers"][0]["image"] == f"{registry}/a/b-{component}:1.2.3"


def test_every_pod_with_an_image_of_ours_keeps_to_the_architecture() -> None:
    """Images built for one architecture do not run on nodes of the other."""
    given = {**EVERYTHING, "arch": "arm64", "nats.nodeSelector": {"disk": "fast"}}
    chosen = {component: pod.get("nodeSelector", {}) for component, pod in pods(render((), given)).items()}
    assert {labels.get("kubernetes.io/arch") for labels in chosen.values()} == {"arm64"}, chosen
    assert chosen["nats"] == {"kubernetes.io/arch": "arm64", "disk": "fast"}


def test_only_auth_and_transcriber_get_rights_at_aws() -> None:
    role = "arn:aws-cn:iam::111122223333:role/"
    given = {"aws.identity": "irsa", "aws.roles": {"auth": f"{role}a", "transcriber": f"{role}t"}}
    accounts = render((), given).of("ServiceAccount")
    roles = {
        account: found["metadata"].get("annotations", {}).get("eks.amazonaws.com/role-arn")
        for account, found in accounts.items()
    }
    assert {account: arn for account, arn in roles.items() if arn} == {
        "whisper-webui-auth": f"{role}a",
        "whisper-webui-transcriber": f"{role}t",
    }
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())
    for account in render((), {"aws.roles": given["aws.roles"]}).of("ServiceAccount").values():
        assert "annotations" not in account["metadata"]


def test_names_fit_whatever_the_release_is_called() -> None:
    for release, begins in (
        ("r", "r-whisper-webui-"),
        ("my-whisper-webui", "my-whisper-webui-"),
        ("x" * 53, "x"),
    ):
        for found in render((), EVERYTHING, name=release).objects:
            if found["kind"] not in ("PriorityClass", "StorageClass"):  # they belong to no namespace
                assert found["metadata"]["name"].startswith(begins.removesuffix("-"))
                longest = 253 if found["kind"] in ("ConfigMap", "PrometheusRule") else 63
                assert len(found["metadata"]["name"]) <= longest


def test_selectors_find_their_own_pods_alone(rendered: Rendered) -> None:
    one = rendered((), EVERYTHING)
    labels = {
        component: found["spec"]["template"]["metadata"]["labels"]
        for found in one.of("Deployment").values()
        if (component := found["metadata"]["labels"]["app.kubernetes.io/component"])
    }
    for kind in ("Deployment", "PodDisruptionBudget"):
        for found in one.of(kind).values():
            component = found["metadata"]["labels"]["app.kubernetes.io/component"]
            selector = found["spec"]["selector"]["matchLabels"].items()
            if component in labels:
                assert [one for one, has in labels.items() if selector <= has.items()] == [component]


def test_what_people_wait_on_goes_before_work(rendered: Rendered) -> None:
    classes = {component: pod.get("priorityClassName") for component, pod in pods(rendered()).items()}
    assert classes["gateway"] == classes["auth"] == "speech-whisper-webui-serving"
    assert classes["chunker"] is classes["transcriber"] is None
    assert "speech-whisper-webui-serving" in rendered().of("PriorityClass")
    assert not render((), {"priorityClass.create": False}).of("PriorityClass")


def test_china_takes_nothing_from_public_registries(rendered: Rendered) -> None:
    for files in COMBINATIONS:
        if "values-china.yaml" in files:
            found = [
                container["image"]
                for pod in pods(rendered(files, EVERYTHING)).values()
                for container in containers(pod)
            ]
            assert [image for image in found if ".dkr.ecr.cn-" not in image] == []


def test_the_package_holds_what_templates_read() -> None:
    assert (CHART / "files/speech.ogg").read_bytes()[:4] == b"OggS"
