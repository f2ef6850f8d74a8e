"""docs/adding.md works as printed: in a fresh clone, its commands run, its files are written, its output appears.

A newcomer who follows the page adds an app with its alias, a second replica and a metric. No other file is edited.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.service import OURS, running

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding.md").read_text()
# A fenced block; files and differences are for the last path before the block.
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED_FILE = re.compile(r"`((?:app|docs)/[\w./]+\.\w+)`")
# Not a newcomer's: the variables of this service, and those of the run that this test belongs to.
OTHERS = re.compile(f"{OURS.pattern}|PYTHONPATH|DJANGO_|COVERAGE_|PYTEST_")
PYTEST = [".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
METRICS_TEST = "tests/unit/test_documentation.py::test_metrics__families"
# The tests of the service and of the documentation, and those of the package that see each app and each alias: all
# unit tests pass in the clone, but take minutes, as those do that start processes.
UNIT_TESTS = [
    *("tests/unit/config", "tests/unit/accounts", "tests/unit/analytics", "tests/unit/reporting", "tests/unit/legacy"),
    *("tests/unit/switchyard/health", "tests/unit/test_documentation.py"),
    "tests/unit/switchyard/migrations/test_per_alias.py",
]


@dataclass
class Newcomer:
    """A clone, and the terminal of somebody who follows the page there."""

    clone: Path
    environ: dict[str, str]  # of a new terminal
    exported: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)  # those of the page -> those of the running service
    outputs: list[tuple[str, str, str]] = field(default_factory=list)  # command, output, output on the page

    def follow(self, section: str) -> None:
        """Do what a section of the page says. The service that it starts stops at its end."""
        with ExitStack() as services:
            for block, path in blocks(section):
                match block["kind"]:
                    case "console":
                        for command, shown in commands(block["text"]):
                            self.type(command, shown, services)
                    case "sh":
                        self.exported |= exports(block["text"])
                    case "python":
                        (self.clone / path).write_text(block["text"])
                    case "diff":
                        self.apply(path, block["text"])

    def type(self, command: str, shown: str, services: ExitStack) -> None:
        """Run a command of the page, and keep its output beside the output that the page shows."""
        if command.startswith("export "):
            self.exported |= exports(command)
        elif command == "make run":
            service = services.enter_context(running(self.environ | self.exported, app=self.clone / "app"))
            self.ports = {"localhost:8000": service.port, "localhost:9464": service.metrics_port}
        elif command == "make lint":
            self.output_of("tests/lint")
        else:
            self.outputs.append((command, self.output_of(command), shown))

    def output_of(self, command: str) -> str:
        """Return what a command prints that succeeds without a warning."""
        script = "".join(f"export {name}='{value}'\n" for name, value in self.exported.items()) + command
        for on_page, port in self.ports.items():
            script = script.replace(on_page, f"localhost:{port}")
        ended = self.ran("bash", "-eu", "-o", "pipefail", "-c", script)
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
        assert "Warning" not in ended.stderr, f"{command}\n{ended.stderr}"
        return ended.stdout

    def ran(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone, in a new terminal."""
        return subprocess.run(command, cwd=self.clone, env=self.environ, capture_output=True, text=True, check=False)

    def apply(self, path: str, difference: str) -> None:
        """Replace the lines of a difference in a file, which has them once."""
        lines = difference.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        text = (self.clone / path).read_text()
        assert text.count(before) == 1, f"{path} has these lines {text.count(before)} times:\n{before}"
        (self.clone / path).write_text(text.replace(before, after))


def sections() -> dict[str, str]:
    """Return the page's sections by their headings."""
    heads = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:]
    return dict(zip(heads[::2], heads[1::2], strict=True))


def blocks(section: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield each block of a section with the path of the file that the text before it names last."""
    end = 0
    for block in BLOCK.finditer(section):
        named = NAMED_FILE.findall(section[end : block.start()])
        yield block, named[-1] if named else ""
        end = block.end()


def commands(console: str) -> list[tuple[str, str]]:
    """Return the commands of a block, each with the output that the page shows."""
    parts = [part.partition("\n") for part in re.split(r"^\$ ", console, flags=re.MULTILINE) if part]
    return [(command, output) for command, _, output in parts]


def exports(text: str) -> dict[str, str]:
    """Return the variables of `export` lines, whose values may be quoted."""
    return {name: quoted or plain for name, quoted, plain in re.findall(r"(\w+)=(?:'([^']*)'|(\S+))", text)}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """A newcomer with a fresh clone, who has followed the whole page there."""
    clone = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():  # else it is deleted, and not committed yet
            shutil.copy2(ROOT / name, clone / name)
    (clone / ".venv").symlink_to(sys.prefix)
    (clone / "build").mkdir()
    if (ROOT / ".mypy_cache").exists():  # it spares mypy a minute
        shutil.copytree(ROOT / ".mypy_cache", clone / ".mypy_cache")
    environ = {name: value for name, value in os.environ.items() if not OTHERS.match(name)}
    environ["PYTHONPATH"] = str(clone / "app")  # as if the environment were the clone's own
    who = Newcomer(clone, environ)
    assert who.ran("bash", "-c", "git init --quiet && git add --all").returncode == 0  # tests/lint lists git's files
    with running(environ, app=clone / "app"):
        pass
    for section in sections().values():
        who.follow(section)
    return who


def test_page__has_all_recipes() -> None:
    """The page has the four recipes, and they have commands: the tests below are not empty."""
    assert {"An app", "An alias", "A replica", "A metric"} <= sections().keys()
    assert len(re.findall(r"^\$ ", PAGE, re.MULTILINE)) > 10


def test_page__output(newcomer: Newcomer) -> None:
    """Each command prints what the page shows."""
    actual = [(command, output.strip()) for command, output, _ in newcomer.outputs]

    assert actual == [(command, shown.strip()) for command, _, shown in newcomer.outputs]


def test_lint__of_an_import_that_the_table_does_not_allow(newcomer: Newcomer) -> None:
    """The new app is held to its line in the table: it may not import `accounts`, which the line does not name."""
    module = newcomer.clone / "app" / "billing" / "apps.py"
    complete = module.read_text()
    module.write_text(f"from accounts.models import User\n{complete}")
    ran = newcomer.ran(".venv/bin/lint-imports", "--no-cache")
    module.write_text(complete)

    assert ran.returncode == 1
    assert "billing.apps imports accounts.models; of the packages" in ran.stdout


def test_unit_tests__of_the_clone(newcomer: Newcomer) -> None:
    """The unit tests pass with the new app, alias and metric."""
    ran = newcomer.ran(*PYTEST, *UNIT_TESTS)

    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr


def test_unit_tests__of_a_metric_without_documentation(newcomer: Newcomer) -> None:
    """A test names the metric until its row is in docs/metrics.md."""
    page = newcomer.clone / "docs" / "metrics.md"
    complete = page.read_text()
    page.write_text("".join(line for line in complete.splitlines(keepends=True) if "invoices" not in line))
    ran = newcomer.ran(*PYTEST, "tests/unit/test_documentation.py")
    page.write_text(complete)

    assert re.findall(r"^FAILED (\S+)", ran.stdout, re.MULTILINE) == [METRICS_TEST]
    assert "switchyard_invoices_total" in ran.stdout
