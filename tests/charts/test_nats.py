"""NATS in the chart: its objects, what they share with the code, and what wrong values are answered."""

import base64
import datetime
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.contracts.streams import streams
from services.contracts.topology import GIB
from services.provision.settings import Settings
from tests.charts.conftest import Rendered
from tests.charts.kinds import KUBERNETES, complaints
from tests.charts.nats_pods import NAME, NatsPods
from tests.charts.rendering import CHART, Manifests, Object, render, values_of

SECURED = {"nats.tls": {"mode": "secret", "secret": "loopback"}}
MODES: dict[str, Mapping[str, object]] = {
    "three": SECURED,
    "five": {**SECURED, "nats.replicas": 5},
    "one": {**SECURED, "nats.replicas": 1},
    "without TLS": {"nats.tls.mode": "none"},
    "generated": {"nats.tls.mode": "generated"},
    "without encryption": {**SECURED, "nats.encryption.enabled": False},
}


@pytest.mark.parametrize("mode", MODES)
async def test_nats_server_takes_the_configuration(rendered: Rendered, tmp_path: Path, mode: str) -> None:
    pods = NatsPods(rendered(given=MODES[mode]), tmp_path)
    await pods.laid_out(authorized=False)
    for server in pods.servers:
        assert "configuration file" in (said := await server.checked())
        assert "is valid" in said
        assert "sync_interval: always" in server.config.read_text()


@pytest.mark.parametrize(
    ("given", "wanted"), [({}, "3"), ({"nats.replicas": 1}, "1"), ({"nats.replicas": 5}, "3")]
)
def test_streams_are_kept_as_often_as_there_are_servers(
    rendered: Rendered, given: Mapping[str, object], wanted: str
) -> None:
    assert _environ(_job(rendered(given=given)))["STREAM_REPLICAS"]["value"] == wanted


def test_budgets_must_fit_the_volume() -> None:
    """The message says how large it has to be; with that it renders."""
    with pytest.raises(helm_python.HelmError, match="budgets") as refused:
        _render({"nats.storage.size": "50Gi"})
    found = re.search(r"nats.storage.size grow to (\d+Gi)", str(refused.value))
    assert found is not None
    assert _render({"nats.storage.size": found[1]}).of("StatefulSet")


def test_budgets_are_those_of_the_code() -> None:
    """Those that have a setting by their values; the rest is one figure in the template."""
    defaults = Settings()
    environ = values_of(["values.yaml"])["provision"]["env"]
    settings = ("up_max_bytes", "chunk_max_bytes", "results_max_bytes", "records_max_bytes")
    assert {name: environ[name.upper()] for name in settings} == {
        name: getattr(defaults, name) for name in settings
    }
    fixed = sum(stream.max_bytes for stream in streams()) - sum(getattr(defaults, name) for name in settings)
    assert fixed == 3.25 * GIB
    room = (sum(environ[name.upper()] for name in settings) + fixed) / GIB
    just = {"nats.storage.share": 0.5}
    assert _render({**just, "nats.storage.size": f"{room * 2 + 0.01:.2f}Gi"}).of("StatefulSet")
    with pytest.raises(helm_python.HelmError, match="budgets"):
        _render({**just, "nats.storage.size": f"{room * 2 - 0.01:.2f}Gi"})


def test_a_generated_certificate_is_for_the_names_in_use(rendered: Rendered) -> None:
    """Of servers that are clients of each other, by an authority that strict verifiers take."""
    manifests = rendered()
    [secret] = [found for found in manifests.of("Secret").values() if found["type"] == "kubernetes.io/tls"]
    content = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    authority, certificate = (x509.load_pem_x509_certificate(content[name]) for name in ("ca.crt", "tls.crt"))
    certificate.verify_directly_issued_by(authority)
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.value.ca
    assert authority.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = names.get_values_for_type(x509.DNSName)
    assert all(any(_matches(name, host) for name in known) for host in _hosts(manifests))
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert left.days in (3649, 3650)


def test_cert_manager_makes_the_same(rendered: Rendered) -> None:
    manifests = rendered(given={"nats.tls": {"mode": "cert-manager", "issuer": {"name": "ours"}}})
    assert not manifests.of("Secret")
    certificate = manifests.of("Certificate")[f"{NAME}-tls"]
    assert not complaints(certificate, KUBERNETES[-1])
    spec = certificate["spec"]
    assert spec["issuerRef"] == {"name": "ours", "kind": "Issuer", "group": "cert-manager.io"}
    assert {"server auth", "client auth"} <= set(spec["usages"])
    assert all(any(_matches(name, host) for name in spec["dnsNames"]) for host in _hosts(manifests))
    assert _secrets(manifests.pod(NAME))[f"{NAME}-tls"] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nats.tls.mode": "cert-manager"}, "nats.tls.issuer.name"),
        ({"nats.tls.mode": "secret"}, "nats.tls.secret must name"),
        ({"nats.enabled": False}, "nats.external.url must say where"),
        ({"nats.replicas": 2}, "nats/replicas"),
        ({"nats.tls.mode": "perhaps"}, "nats/tls/mode"),
        ({"nats.storage.size": "80G"}, "nats/storage/size"),
    ],
)
def test_what_is_missing_is_named(given: Mapping[str, object], said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=said):
        _render(given)


def test_nobody_gets_more_of_the_keys_than_its_own(rendered: Rendered) -> None:
    """Services a seed each and the authority's certificate, NATS the public halves and its own secrets."""
    manifests = rendered()
    nats_pod = manifests.pod(NAME)
    assert _secrets(nats_pod) == {f"{NAME}-keys": {"public"}, f"{NAME}-tls": None}
    keys = {
        reference["valueFrom"]["secretKeyRef"]["key"]
        for container in (*nats_pod["initContainers"], *nats_pod["containers"])
        for reference in container.get("env", ())
        if "secretKeyRef" in reference.get("valueFrom", {})
    }
    assert keys == {"jetstream-key", "route-password"}
    for pod in _service_pods(manifests):
        assert _secrets(pod) == {f"{NAME}-tls": {"ca.crt"}}
    job = _environ(_job(manifests))
    assert job["NATS_NKEY_SEED"]["valueFrom"]["secretKeyRef"]["key"] == "provision"
    assert job["NATS_CA_FILE"]["value"] == "/etc/nats/ca.crt"


def test_a_nats_of_ones_own(rendered: Rendered) -> None:
    given = {
        "nats.enabled": False,
        "nats.external": {"url": "tls://nats.nats.svc:4222", "caSecret": "nats-ca", "monitor": "nats:8222"},
    }
    manifests = rendered(given=given)
    assert not [found for found in manifests.objects if found["kind"] in ("StatefulSet", "StorageClass")]
    job = _job(manifests)
    assert _environ(job)["NATS_URL"]["value"] == "tls://nats.nats.svc:4222"
    assert _environ(job)["STREAM_REPLICAS"]["value"] == "3"
    assert _secrets(job) == {"nats-ca": {"ca.crt"}}


def test_the_official_chart_gets_the_same(rendered: Rendered) -> None:
    """What both must agree on; its templates are not here to render."""
    official = yaml.safe_load((CHART / "values-official-nats.yaml").read_text())
    config = rendered().of("ConfigMap")[NAME]["data"]["nats.conf"]
    jetstream = official["config"]["jetstream"]
    assert official["config"]["cluster"]["replicas"] == 3
    assert jetstream["merge"] == {
        "sync_interval": "always",
        "cipher": re.findall(r"cipher: (\w+)", config)[0],
        "key": "<< $JETSTREAM_KEY >>",
    }
    assert f"max_payload: {official['config']['merge']['max_payload']}" in config
    volume = jetstream["fileStore"]["pvc"]["size"]
    assert (
        volume
        == rendered().of("StatefulSet")[NAME]["spec"]["volumeClaimTemplates"][0]["spec"]["resources"][
            "requests"
        ]["storage"]
    )
    assert jetstream["fileStore"]["maxSize"] == f"{int(volume.removesuffix('Gi')) * 9 // 10}Gi"
    names = sorted(official["container"]["env"])  # as that chart does; Kubernetes fills in what came before
    assert names.index("JETSTREAM_BARE_KEY") < names.index("JETSTREAM_KEY")
    assert official["container"]["env"]["JETSTREAM_KEY"] == '"$(JETSTREAM_BARE_KEY)"'


def test_servers_stop_and_start_one_after_the_other(rendered: Rendered) -> None:
    manifests = rendered()
    spec = manifests.of("StatefulSet")[NAME]["spec"]
    pod = spec["template"]["spec"]
    config = manifests.of("ConfigMap")[NAME]["data"]["nats.conf"]
    lame = [int(seconds) for seconds in re.findall(r'lame_duck_\w+: "(\d+)s"', config)]
    assert len(lame) == 2
    assert pod["terminationGracePeriodSeconds"] > sum(lame) + 10
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["minReadySeconds"] == 15
    assert manifests.of("PodDisruptionBudget")[NAME]["spec"]["maxUnavailable"] == 1
    assert manifests.of("Service")[f"{NAME}-headless"]["spec"]["publishNotReadyAddresses"] is True
    [server] = [one for one in pod["containers"] if one["name"] == "nats"]
    start = server["startupProbe"]
    assert start["httpGet"]["path"] == "/healthz"
    assert start["periodSeconds"] * start["failureThreshold"] == 900


def test_servers_are_apart(rendered: Rendered) -> None:
    pod = rendered().pod(NAME)
    [apart] = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    [spread] = pod["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == (
        "topology.kubernetes.io/zone",
        "DoNotSchedule",
    )
    alone = rendered(given={"nats.replicas": 1}).pod(NAME)
    assert "affinity" not in alone


def test_each_revision_provisions_under_a_name_of_its_own(rendered: Rendered) -> None:
    """The longest allowed name leaves room for what Kubernetes makes of it."""
    [name] = rendered().of("Job")
    [other] = rendered(given={"provision.env.UP_MAX_BYTES": GIB}).of("Job")
    assert name != other
    [longest] = _render({}, name="r" * 53).of("Job")
    assert len(longest) <= 63


def test_disks_are_encrypted(rendered: Rendered) -> None:
    manifests = rendered(given={"nats.storage.kmsKeyId": "arn:aws-cn:kms:cn-north-1:111122223333:key/k"})
    [made] = manifests.of("StorageClass").values()
    assert made["parameters"] == {
        "type": "gp3",
        "csi.storage.k8s.io/fstype": "ext4",
        "encrypted": "true",
        "kmsKeyId": "arn:aws-cn:kms:cn-north-1:111122223333:key/k",
    }
    [claim] = manifests.of("StatefulSet")[NAME]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == made["metadata"]["name"]
    own = rendered(given={"nats.storage.class": "fast"})
    assert not own.of("StorageClass")
    [claim] = own.of("StatefulSet")[NAME]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"


def _render(given: Mapping[str, object], **more: Any) -> Manifests:

    return render(given=given, **more)


def _job(manifests: Manifests) -> Object:
    [job] = manifests.of("Job").values()
    pod: Object = job["spec"]["template"]["spec"]
    return pod


def _environ(pod: Object) -> dict[str, Any]:
    return {variable["name"]: variable for variable in pod["containers"][0]["env"]}


def _secrets(pod: Object) -> dict[str, set[str] | None]:
    """Secrets that a pod mounts, with the keys of each; None for all of them."""
    return {
        volume["secret"]["secretName"]: {item["key"] for item in volume["secret"]["items"]}
        if "items" in volume["secret"]
        else None
        for volume in pod["volumes"]
        if "secret" in volume
    }


def _service_pods(manifests: Manifests) -> Iterator[Object]:
    for deployment in manifests.of("Deployment").values():
        yield deployment["spec"]["template"]["spec"]


def _hosts(manifests: Manifests) -> list[str]:
    """By which services and servers reach servers."""
    url = _environ(_job(manifests))["NATS_URL"]["value"]
    [server] = [one for one in manifests.pod(NAME)["containers"] if one["name"] == "nats"]
    routes = next(one["value"] for one in server["env"] if one["name"] == "ROUTES")
    hosts = re.findall(r"//(?:[^@/]*@)?([\w.-]+):\d+", url + routes)
    assert len(hosts) == 4
    return hosts


def _matches(name: str, host: str) -> bool:
    """A wildcard stands for the first label alone."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])
