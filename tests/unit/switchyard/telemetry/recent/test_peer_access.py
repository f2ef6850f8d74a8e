"""The name of a pod, and the tokens that open its record."""

import stat
from pathlib import Path

import pytest

from switchyard.telemetry.recent.peer_access import allow, allows, pod_id


def test_pod_id__once(tmp_path: Path) -> None:
    """The first process names the pod; the others keep the name, and leave no other file behind."""
    allow(tmp_path, ["a"])
    first = pod_id(tmp_path)
    allow(tmp_path, ["b"])

    assert pod_id(tmp_path) == first
    assert len(first) == 16
    assert {path.name for path in tmp_path.iterdir()} == {"pod", "pod.tokens"}


def test_pod_id__of_two_pods(tmp_path: Path) -> None:
    """Two pods have two names."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        allow(tmp_path / name, ["a"])

    assert pod_id(tmp_path / "one") != pod_id(tmp_path / "two")


@pytest.mark.parametrize(
    ("sent", "allowed"),
    [
        ("Bearer new", True),
        ("bearer old", True),
        ("Bearer  new ", True),
        ("Bearer", False),
        ("Bearer ", False),
        ("new", False),
        ("Basic new", False),
        ("Bearer ne", False),
        ("", False),
    ],
)
def test_allows__tokens(tmp_path: Path, sent: str, allowed: bool) -> None:
    """A client with one of the tokens is let in, and nobody else."""
    allow(tmp_path, ["new", "old"])

    assert allows(tmp_path, sent) is allowed


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer x"])
def test_allows__before_the_service_has_started(tmp_path: Path, sent: str) -> None:
    """Without tokens nobody is let in."""
    assert not allows(tmp_path, sent)


def test_allow__secret(tmp_path: Path) -> None:
    """Other users of the machine cannot read the tokens."""
    allow(tmp_path, ["a"])

    assert stat.S_IMODE((tmp_path / "pod.tokens").stat().st_mode) == 0o600
