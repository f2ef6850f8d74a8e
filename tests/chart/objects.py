"""What is asked of rendered objects."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CHART = Path(__file__).parents[2] / "chart"

type Object = dict[str, Any]
type Render = Callable[..., list[Object]]


class RefusedError(Exception):
    """Helm did not render: its text is what Helm said."""


def of_kind(objects: list[Object], kind: str, component: str | None = None) -> dict[str, Object]:
    """Return the objects of a kind, and perhaps of a component, by name."""
    return {
        found["metadata"]["name"]: found
        for found in objects
        if found["kind"] == kind
        and component in {None, found["metadata"].get("labels", {}).get("app.kubernetes.io/component")}
    }


def pod_specs(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield each pod's spec, with the name of what it is in."""
    for found in objects:
        name = f"{found['kind']}/{found['metadata']['name']}"
        if found["kind"] == "Pod":
            yield name, found["spec"]
        elif "template" in found.get("spec", {}):
            yield name, found["spec"]["template"]["spec"]


def pod_annotations(objects: list[Object]) -> dict[str, Object]:
    """Return the annotations of each pod, by kind and name of the object that the pod is in."""
    return {
        f"{found['kind']}/{found['metadata']['name']}": found["spec"]["template"]["metadata"].get("annotations", {})
        for found in objects
        if "template" in found.get("spec", {})
    }


def pod_labels(objects: list[Object]) -> dict[str, Object]:
    """Return the labels of each pod, by kind and name of the object that the pod is in."""
    return {
        f"{found['kind']}/{found['metadata']['name']}": (
            found["metadata"] if found["kind"] == "Pod" else found["spec"]["template"]["metadata"]
        )["labels"]
        for found in objects
        if found["kind"] == "Pod" or "template" in found.get("spec", {})
    }


def containers(spec: Object) -> list[Object]:
    """Return all containers of a pod's spec."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def projected_files(spec: Object) -> dict[str, Object]:
    """Return the Secret or ConfigMap and the key behind each projected file of a pod, by path."""
    return {
        item["path"]: {kind: found["name"], "key": item["key"]}
        for volume in spec["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for kind, found in source.items()
        for item in found.get("items", [])
    }


def environment(container: Object) -> dict[str, str]:
    """Return the plain variables of a container."""
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def service_environment(objects: list[Object]) -> dict[str, str]:
    """Return what the service's process is told."""
    (deployment,) = of_kind(objects, "Deployment", "service").values()
    return environment(deployment["spec"]["template"]["spec"]["containers"][0])


def without_secrets(objects: list[Object]) -> list[Object]:
    """Return the objects with the generated values of Secrets, and their checksums, blanked: they always differ."""
    objects = copy.deepcopy(objects)
    for annotations in pod_annotations(objects).values():
        if "checksum/secrets" in annotations:
            annotations["checksum/secrets"] = ""
    for secret in of_kind(objects, "Secret").values():
        secret["data"] = dict.fromkeys(secret["data"], "")
    return sorted(objects, key=lambda found: (found["kind"], found["metadata"]["name"]))
