"""What `make kind-up` says on a machine that lacks something."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "k8s-dev" / "kind-up"


@pytest.mark.parametrize("missing", ["docker", "kind", "kubectl", "helm"])
def test_kind_up__without_a_tool(missing: str, tmp_path: Path) -> None:
    """One line names the tool, before anything is done."""
    for tool in {"docker", "kind", "kubectl", "helm"} - {missing}:
        (tmp_path / tool).symlink_to("/bin/false")
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)

    bash = shutil.which("bash") or "bash"
    result = subprocess.run([bash, SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"kind-up: {missing} is not installed; it needs docker, kind, kubectl and helm"
    ]
