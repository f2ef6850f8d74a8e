"""The notes that Helm prints after an installation."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.chart.objects import CHART, Object
from tests.chart.secret_store import SecretStore
from tests.chart.test_modes import EXTERNAL, ONLY_DEFAULT

type Notes = Callable[[Object], str]


@pytest.fixture
def notes(helm: str, store: SecretStore, tmp_path: Path) -> Notes:
    """Return a function that returns the notes of a release with these values."""

    def of(values: Object) -> str:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values))
        result = subprocess.run(
            [
                *(helm, "install", "sy", str(CHART), "--namespace", "rails", "--values", str(file)),
                *("--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", store.address),
            ],
            env={**os.environ, "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.partition("\nNOTES:\n")[2]

    return of


def test_notes__of_bundled_servers(notes: Notes) -> None:
    """They name the servers that are not for production, and the engines that are."""
    text = " ".join(notes({}).split())

    assert (
        "The bundled servers (analytics, default, legacy, replica) are for development, CI and demonstrations" in text
    )
    assert "the database engine is a managed service or CloudNativePG" in text


def test_notes__without_bundled_servers(notes: Notes, store: SecretStore) -> None:
    """Without such a server they do not speak of one."""
    store.add("team-db", **{"web-password": "secret"})
    text = notes({"databases": ONLY_DEFAULT | {"default": EXTERNAL | {"tls": {"mode": "require"}}}})

    assert "default: external, postgresql, db.example.org:5432" in text
    assert "bundled" not in text
