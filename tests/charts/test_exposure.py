"""How clients reach the gateways: through what lets event streams and long uploads be."""

from services.common.settings import load
from services.gateway.settings import Settings
from tests.charts.conftest import Rendered
from tests.charts.rendering import Manifests
from tests.charts.test_workloads import environment
from tests.charts.variants import EVERYTHING

NLB = "service.beta.kubernetes.io/aws-load-balancer-"
ALB = "alb.ingress.kubernetes.io/"
NGINX = "nginx.ingress.kubernetes.io/"
INGRESS = {"ingress.enabled": True, "publicUrl": "https://whisper.example.com"}
TLS_IDLE_SECONDS = 350.0
"""A TLS listener of a Network Load Balancer ends connections that are silent for so long: no setting."""


def gateway(one: Manifests) -> Settings:
    return load(Settings, environment(one, "gateway"))


def test_nothing_is_exposed_by_default(rendered: Rendered) -> None:
    one = rendered()
    assert not one.of("Ingress")
    assert {service["spec"].get("type", "ClusterIP") for service in one.of("Service").values()} == {
        "ClusterIP"
    }
    assert gateway(one).trusted_proxies == 0


def test_a_network_load_balancer_ends_tls_and_shows_who_connects(rendered: Rendered) -> None:
    one = rendered((), {**EVERYTHING, "loadBalancer.sourceRanges": ["192.0.2.0/24"]})
    service = one.of("Service")["whisper-webui-public"]
    spec, notes = service["spec"], service["metadata"]["annotations"]
    assert (spec["type"], spec["loadBalancerClass"]) == ("LoadBalancer", "service.k8s.aws/nlb")
    assert spec["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert spec["ports"] == [{"name": "https", "port": 443, "targetPort": "http"}]
    assert notes[f"{NLB}nlb-target-type"] == "ip"
    assert notes[f"{NLB}scheme"] == "internal"
    assert notes[f"{NLB}ssl-cert"] == EVERYTHING["loadBalancer.certificateArn"]
    assert notes[f"{NLB}ssl-ports"] == "443"
    # It adds no X-Forwarded-For, so the address of the connection must be the client's.
    assert notes[f"{NLB}target-group-attributes"] == "preserve_client_ip.enabled=true"
    assert gateway(one).trusted_proxies == 0
    assert gateway(one).public_url == "https://whisper.example.com"
    assert gateway(one).heartbeat_seconds * 2 < TLS_IDLE_SECONDS


def test_without_a_certificate_it_listens_on_port_80(rendered: Rendered) -> None:
    service = rendered((), {"loadBalancer.enabled": True}).of("Service")["whisper-webui-public"]
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    assert not [note for note in service["metadata"]["annotations"] if "ssl" in note]


def test_an_application_load_balancer_waits_for_silent_answers(rendered: Rendered) -> None:
    one = rendered((), {**INGRESS, "ingress.certificateArn": EVERYTHING["loadBalancer.certificateArn"]})
    ingress = one.of("Ingress")["whisper-webui"]
    notes = ingress["metadata"]["annotations"]
    assert ingress["spec"]["ingressClassName"] == "alb"
    assert ingress["spec"]["rules"][0]["host"] == "whisper.example.com"
    assert notes[f"{ALB}target-type"] == "ip"
    assert notes[f"{ALB}load-balancer-attributes"] == "idle_timeout.timeout_seconds=3600"
    assert notes[f"{ALB}ssl-redirect"] == "443"
    assert gateway(one).trusted_proxies == 1
    [backend] = [path["backend"]["service"] for path in ingress["spec"]["rules"][0]["http"]["paths"]]
    ports = one.of("Service")[backend["name"]]["spec"]["ports"]
    assert backend["port"]["name"] in {port["name"] for port in ports}


def test_nginx_passes_everything_on_as_it_comes(rendered: Rendered) -> None:
    given = {
        **INGRESS,
        "ingress.className": "nginx",
        "ingress.tlsSecret": "whisper-tls",
        "ingress.proxies": 2,
    }
    one = rendered((), given)
    ingress = one.of("Ingress")["whisper-webui"]
    notes = ingress["metadata"]["annotations"]
    assert notes[f"{NGINX}proxy-buffering"] == notes[f"{NGINX}proxy-request-buffering"] == "off"
    assert notes[f"{NGINX}proxy-body-size"] == "0"
    assert float(notes[f"{NGINX}proxy-read-timeout"]) > gateway(one).heartbeat_seconds
    assert ingress["spec"]["tls"] == [{"hosts": ["whisper.example.com"], "secretName": "whisper-tls"}]
    assert gateway(one).trusted_proxies == 2
