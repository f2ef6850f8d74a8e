"""The tour of the README works as printed: each command runs, and its output is compared."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.support.service import embedded_environ, running

README = Path(__file__).resolve().parents[2] / "README.md"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


def steps() -> list[tuple[str, str]]:
    """Return the commands of the tour, with the output that the README shows."""
    tour = README.read_text().split("## A first tour")[1].split("\n## ")[0]
    blocks = "".join(re.findall(r"```console\n(.*?)```", tour, re.DOTALL))
    return (
        [(command, output) for command, _, output in (part.partition("\n") for part in blocks.split("$ ") if part)]
        if blocks
        else []
    )


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The output of the tour's commands, run in one shell against a service with new sample data."""
    environ = embedded_environ(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("drivers"))
    script = "".join(f"{command}\nprintf '\\036'\n" for command, _ in steps())
    with running(environ) as service:
        for written, used in (("localhost:8000", service.port), ("localhost:9464", service.metrics_port)):
            script = script.replace(written, f"localhost:{used}")
        ran = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout.split("\036")[:-1]


def test_tour__commands():
    """The tour has commands: the test below is not empty."""
    assert len(steps()) > 5


def test_tour__outputs(printed: list[str]):
    """Each command prints the output in the README, except the times at which rows were created."""
    actual = [TIME.sub("<now>", output).strip() for output in printed]

    assert actual == [TIME.sub("<now>", output).strip() for _, output in steps()]
