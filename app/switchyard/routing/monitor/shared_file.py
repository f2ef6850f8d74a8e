"""The file in which one process tells the others what its probes of an owner and its replicas know, and its lock.

The kernel releases the lock when the process ends. Each content appears complete, by a rename. All times are
`time.monotonic()`, which all processes of a machine share.
"""

import fcntl
import json
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connections

from switchyard.positions import ServerStatus, parse, serialize
from switchyard.routing.monitor.probes.probe import ProbeState
from switchyard.routing.monitor.probes.volatile_functions import Catalog
from switchyard.routing.topology.direct import direct_settings
from switchyard.routing.topology.replication import Sample, Shutdown

# The keys of an alias' settings that decide which servers its probes reach.
_ADDRESS = ("ENGINE", "HOST", "PORT", "NAME")
_POSITIONS = ("position", "replayed")  # the fields of a status, and of a shutdown, that are not plain


class ServerGauges(NamedTuple):
    """The verdict about an alias, for metrics. `server_gauges` of telemetry reads the file without this module."""

    vendor: str
    server_version: str
    replica_of: str  # empty for an owner
    reason: str  # why a replica may not be read, or an owner not written; empty if it may
    sampled_at: float | None  # None before the first answer
    lag_seconds: float | None
    lag_bytes: int | None
    pending_migrations: int | None  # of an owner; None if they are not known


class Published(NamedTuple):
    """The content of a file."""

    written_at: float
    probes: Mapping[str, ProbeState]  # by the name of the probe
    catalog_at: float = 0.0  # of the owner's functions, which are in a file of their own
    servers: Mapping[str, ServerGauges] = {}  # by alias
    shutdown: Shutdown | None = None  # with the time at which this process saw the promotion


# Processes of another release, which write other fields, share nothing.
_FIELDS = [each._fields for each in (Published, ProbeState, Sample, ServerStatus, ServerGauges, Shutdown)]


class SharedFile:
    """The file of one owner in the directory, with its lock. `aliases` are the owner and its replicas."""

    def __init__(self, directory: str | Path, aliases: Sequence[str]) -> None:
        name = f"monitor-{aliases[0]}-{_digest(aliases)}"
        self._path = Path(directory) / name
        self._lock: int | None = None
        self.leads = False

    def lead(self) -> bool:
        """Return True if this process leads, from now on or since an earlier call."""
        if not self.leads:
            if self._lock is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self.leads = True
        return True

    def close(self) -> None:
        """Let another process lead. A forked child closes its copy, and the parent keeps the lock."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock, self.leads = None, False

    def write(self, published: Published) -> None:
        """Replace the content. Only the leading process writes."""
        _replace(self._path, _to_json(published))

    def read(self) -> Published | None:
        """Return the newest content; None before the first."""
        try:
            return _from_json(self._path.read_text())
        except FileNotFoundError:
            return None

    def write_catalog(self, catalog: Catalog) -> None:
        """Replace the functions of the owner."""
        content = [sorted(catalog.read_only), sorted(catalog.overloaded), catalog.loaded_at]
        _replace(self._path.with_suffix(".functions"), json.dumps(content, separators=(",", ":")))

    def read_catalog(self) -> Catalog:
        """Return the functions of the owner that the leading process has loaded."""
        read_only, overloaded, loaded_at = json.loads(self._path.with_suffix(".functions").read_text())
        return Catalog(frozenset(read_only), frozenset(overloaded), loaded_at=loaded_at)

    def request(self) -> None:
        """Ask the leading process to look for a change of the servers at once."""
        self._path.with_suffix(".request").touch()

    def requested_at(self) -> int:
        """Return a number that changes with each request."""
        try:
            return self._path.with_suffix(".request").stat().st_mtime_ns
        except FileNotFoundError:
            return 0


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text)
    draft.replace(path)


def _digest(aliases: Sequence[str]) -> str:
    """Return a name for the servers of the aliases and for the fields of the file."""
    settings = [(alias, connections.settings[alias]) for alias in aliases]
    addresses = [
        (alias, *(str(each[key]) for each in (given, direct_settings(given)) for key in _ADDRESS))
        for alias, given in settings
    ]
    return sha256(repr((addresses, _FIELDS)).encode()).hexdigest()[:12]


def _to_json(published: Published) -> str:
    plain = {
        **published._asdict(),
        "probes": {name: _plain_state(state) for name, state in published.probes.items()},
        "servers": {alias: gauges._asdict() for alias, gauges in published.servers.items()},
        "shutdown": published.shutdown and _with_positions(published.shutdown._asdict(), serialize),
    }
    return json.dumps(plain, separators=(",", ":"))


def _from_json(text: str) -> Published:
    plain = json.loads(text)
    given = {
        "probes": {name: _state(state) for name, state in plain["probes"].items()},
        "servers": {alias: ServerGauges(**gauges) for alias, gauges in plain["servers"].items()},
        "shutdown": plain["shutdown"] and Shutdown(**_with_positions(plain["shutdown"], parse)),
    }
    return Published(**{**plain, **given})


# A field with a plain value needs no line here. One with another value has a pair of functions, as `sample` has.
def _plain_state(state: ProbeState) -> dict[str, Any]:
    return {**state._asdict(), "sample": state.sample and _plain_sample(state.sample)}


def _state(plain: Mapping[str, Any]) -> ProbeState:
    return ProbeState(**{**plain, "sample": plain["sample"] and _sample(plain["sample"])})


def _plain_sample(sample: Sample) -> dict[str, Any]:
    return {"begun_at": sample.begun_at, "status": _with_positions(sample.status._asdict(), serialize)}


def _sample(plain: Mapping[str, Any]) -> Sample:
    return Sample(plain["begun_at"], ServerStatus(**_with_positions(plain["status"], parse)))


def _with_positions(fields: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    return {**fields, **{name: fields[name] and convert(fields[name]) for name in _POSITIONS if name in fields}}
