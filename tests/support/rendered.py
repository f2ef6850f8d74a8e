"""Run the bundled servers of the chart in Docker from the objects that Helm renders, as a node would run their pods.

A server gets the image, the command, the variables, the files with their modes, and the user of its StatefulSet. Other
servers reach it by the name of its Service. This machine reaches its port at 127.0.0.1, which its certificate names,
and at 127.0.0.2, which it does not.
"""

import io
import json
import os
import shutil
import subprocess
import tarfile
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import Mount
from tests.support.engine import LABEL, UnavailableError, network
from tests.support.service import free_port
from tests.support.vendors import MYSQL, POSTGRESQL

CHART = Path(__file__).resolve().parents[2] / "chart"
ADDRESSES = ("127.0.0.1", "127.0.0.2")

type Object = dict[str, Any]
type Files = dict[str, tuple[bytes, int]]  # content and mode, by path


def render(values: Object) -> list[Object]:
    """Return the objects of the release `sy` in the namespace `rails`. Raises UnavailableError without Helm."""
    helm = shutil.which("helm")
    if helm is None:
        raise UnavailableError("helm is not installed")
    images = {"postgresql": {"image": POSTGRESQL.image}, "mysql": {"image": MYSQL.image}}
    rendered = subprocess.run(
        [helm, "template", "sy", str(CHART), "--namespace", "rails", "--values", "-"],
        input=json.dumps({"bundled": images} | values),
        capture_output=True,
        text=True,
        check=True,
    )
    return [found for found in yaml.safe_load_all(rendered.stdout) if found]


@dataclass
class RenderedServers:
    """The servers of a release. A server that is started again keeps its data and its port."""

    network: Network
    objects: list[Object]
    containers: dict[str, Container] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def data(self, kind: str, name: str) -> dict[str, bytes]:
        """Return the data of a Secret or a ConfigMap."""
        decode = b64decode if kind == "Secret" else str.encode
        return {key: decode(value) for key, value in self._named(kind, name)["data"].items()}

    def start(self, alias: str) -> None:
        """Start the server of an alias, in a new container."""
        name = f"sy-switchyard-db-{alias}"
        pod = self._named("StatefulSet", name)["spec"]["template"]["spec"]
        (server,) = pod["containers"]
        security, locked = pod["securityContext"], server["securityContext"]
        if alias in self.containers:
            self.containers.pop(alias).remove(force=True, v=True)
        engine = self.network.client
        assert engine is not None
        port = self.ports.setdefault(alias, free_port())
        files = self._files(pod, server)
        ports: dict[str, Any] = {f"{server['ports'][0]['containerPort']}/tcp": [(each, port) for each in ADDRESSES]}
        container = self.containers[alias] = engine.containers.create(
            server["image"],
            server["args"],
            entrypoint=server["command"],
            name=f"{self.network.name}-{alias}",
            labels={LABEL: str(os.getpid())},
            environment={entry["name"]: self._value(entry) for entry in server["env"]},
            mounts=[
                Mount(_path_of(server, "data"), f"{self.network.name}-{alias}", type="volume"),
                *(Mount(directory, None, type="volume") for directory in files),
            ],
            tmpfs={_path_of(server, volume["name"]): "" for volume in pod["volumes"] if "emptyDir" in volume},
            user=f"{security['runAsUser']}:{security['runAsGroup']}",
            read_only=locked["readOnlyRootFilesystem"],
            cap_drop=locked["capabilities"]["drop"],
            security_opt=["no-new-privileges"],
            ports=ports,
        )
        for directory, content in files.items():
            container.put_archive(directory, _archive(content, group=security["fsGroup"]))
        self.network.connect(container, aliases=[name])
        container.start()

    def probe(self, alias: str, kind: str) -> bool:
        """Return True if the probe of this kind in the StatefulSet of the alias succeeds."""
        pod = self._named("StatefulSet", f"sy-switchyard-db-{alias}")["spec"]["template"]["spec"]
        return self.run(alias, *pod["containers"][0][kind]["exec"]["command"])[0] == 0

    def run(self, alias: str, *command: str) -> tuple[int, str]:
        """Return the exit code and the output of a command in the container."""
        code, output = self.containers[alias].exec_run(list(command))
        assert code is not None
        assert isinstance(output, bytes)
        return code, output.decode()

    def said(self, alias: str) -> str:
        """Return the log of the container."""
        return str(self.containers[alias].logs().decode())

    def environ(self, directory: Path) -> dict[str, str]:
        """Return the variables of the service's databases, with the ports of this machine and files in `directory`."""
        pod = self._named("Deployment", "sy-switchyard")["spec"]["template"]["spec"]
        (projected,) = [volume["projected"] for volume in pod["volumes"] if volume["name"] == "secrets"]
        for path, (content, _) in self._projected(projected).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        environ = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"] if "value" in entry}
        for alias, port in self.ports.items():
            variable = f"DATABASE_{alias.upper()}_URL"
            before, _, after = environ[variable].partition("@")
            environ[variable] = f"{before}@127.0.0.1:{port}/{after.partition('/')[2]}"
        return {
            name: value.replace("/run/secrets/switchyard", str(directory))
            for name, value in environ.items()
            if name.startswith("DATABASE_")
        }

    def remove(self) -> None:
        """Remove the containers and the data of all servers."""
        engine = self.network.client
        assert engine is not None
        for alias, container in self.containers.items():
            container.remove(force=True, v=True)
            engine.volumes.get(f"{self.network.name}-{alias}").remove()

    def _named(self, kind: str, name: str) -> Object:
        (found,) = [each for each in self.objects if each["kind"] == kind and each["metadata"]["name"] == name]
        return found

    def _value(self, entry: Object) -> str:
        if "value" in entry:
            return str(entry["value"])
        at = entry["valueFrom"]["secretKeyRef"]
        return self.data("Secret", at["name"])[at["key"]].decode()

    def _files(self, pod: Object, server: Object) -> dict[str, Files]:
        """Return the files of ConfigMaps and Secrets that the server finds, by directory."""
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        found: dict[str, Files] = {}
        for mount in server["volumeMounts"]:
            volume, path = volumes.get(mount["name"], {}), Path(mount["mountPath"])
            if "projected" in volume:
                found[str(path)] = self._projected(volume["projected"])
            elif "configMap" in volume:
                content = self._configured(volume["configMap"])
                one = {path.name: content[mount["subPath"]]} if "subPath" in mount else None
                found[str(path.parent if one else path)] = one or content
        return found

    def _configured(self, volume: Object) -> Files:
        data = self.data("ConfigMap", volume["name"])
        return {item["path"]: (data[item["key"]], volume["defaultMode"]) for item in volume["items"]}

    def _projected(self, volume: Object) -> Files:
        return {
            item["path"]: (self.data("Secret", source["secret"]["name"])[item["key"]], volume["defaultMode"])
            for source in volume["sources"]
            for item in source["secret"].get("items", [])
        }


def _path_of(server: Object, volume: str) -> str:
    (path,) = [mount["mountPath"] for mount in server["volumeMounts"] if mount["name"] == volume]
    return str(path)


def _archive(files: Files, *, group: int) -> bytes:
    """Return files of root and of a group in the form that Docker unpacks, as the kubelet makes them for `fsGroup`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.gid = len(content), mode, group
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def rendered_servers(values: Object) -> Iterator[RenderedServers]:
    """Yield the servers of a release with these values, not yet started; remove them after the block.

    Raises UnavailableError without an engine, an image or Helm.
    """
    with network(POSTGRESQL.image, MYSQL.image) as made:
        servers = RenderedServers(made, render(values))
        try:
            yield servers
        finally:
            servers.remove()
