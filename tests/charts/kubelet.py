"""Files and variables of a pod's containers, laid out below a folder as a kubelet does in a container."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.charts.rendering import Object


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """What a container's process gets."""

    command: Sequence[str]
    """Without the image's entry point."""
    environ: Mapping[str, str]


class Kubelet:
    """One pod of a workload, whose containers share what lies below `folder`."""

    def __init__(self, pod: Object, name: str, folder: Path, objects: Sequence[Object]) -> None:
        self.folder = folder
        self._pod = pod
        self._name = name
        self._content = {
            (found["kind"], found["metadata"]["name"]): _content(found)
            for found in objects
            if found["kind"] in ("Secret", "ConfigMap")
        }

    def container(self, name: str) -> Container:
        """Lay out what this container mounts."""
        [found] = [
            one
            for one in (*self._pod.get("initContainers", ()), *self._pod["containers"])
            if one["name"] == name
        ]
        for mount in found["volumeMounts"]:
            self._mount(mount)
        return Container(
            command=[self.below(word) for word in (*found.get("command", ()), *found.get("args", ()))],
            environ=self._environ(found["env"]),
        )

    def below(self, text: str) -> str:
        """Absolute paths of the mounts, moved below the folder."""
        mounts = {mount["mountPath"] for one in self._pod["containers"] for mount in one["volumeMounts"]}
        mounts |= {
            mount["mountPath"] for one in self._pod.get("initContainers", ()) for mount in one["volumeMounts"]
        }
        places = "|".join(re.escape(place) for place in sorted(mounts, key=len, reverse=True))
        return re.sub(rf"(?<![\w.])({places})(?=[/\"\s]|$)", lambda found: f"{self.folder}{found[1]}", text)

    def _mount(self, mount: Object) -> None:
        place = self.folder / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        volumes = {volume["name"]: volume for volume in self._pod["volumes"]}
        volume = volumes.get(mount["name"], {})  # a claim of a StatefulSet is none of the pod's own
        for path, content in self._files(volume).items():
            (place / path).write_bytes(content)

    def _files(self, volume: Object) -> dict[str, bytes]:
        if "configMap" in volume:
            return self._content["ConfigMap", volume["configMap"]["name"]]
        if "secret" not in volume:
            return {}
        content = self._content["Secret", volume["secret"]["secretName"]]
        items = volume["secret"].get("items") or [{"key": key, "path": key} for key in content]
        return {item["path"]: content[item["key"]] for item in items}

    def _environ(self, variables: Sequence[Object]) -> dict[str, str]:
        environ: dict[str, str] = {}
        for variable in variables:
            environ[variable["name"]] = re.sub(
                r"\$\((\w+)\)", lambda found: environ[found[1]], self._value(variable)
            )
        return {name: self.below(value) for name, value in environ.items()}

    def _value(self, variable: Object) -> str:
        if "value" in variable:
            return str(variable["value"])
        source: Any = variable["valueFrom"]
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.name"
            return self._name
        reference = source["secretKeyRef"]
        return self._content["Secret", reference["name"]][reference["key"]].decode()


def _content(found: Object) -> dict[str, bytes]:
    texts = {**found.get("stringData", {}), **(found.get("data", {}) if found["kind"] == "ConfigMap" else {})}
    content = {key: text.encode() for key, text in texts.items()}
    if found["kind"] == "Secret":
        content |= {key: base64.b64decode(text) for key, text in found.get("data", {}).items()}
    return content
