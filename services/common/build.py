"""Which build of us runs here, for whoever compares before and after an upgrade."""

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import Gauge

BUILD = Gauge("whisper_build_info", "1; its labels say what runs", ["service", "version", "revision"])


def show_build(service: str, revision: str) -> None:
    """Say it in the metrics; the version is that of the installed package, "0" where none is."""
    try:
        installed = version("whisper-webui")
    except PackageNotFoundError:
        installed = "0"
    BUILD.labels(service, installed, revision).set(1)
