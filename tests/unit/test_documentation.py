"""The documents name everything that a reader looks for: an addition without a line in the documents fails here."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import yaml
from django.core.management import find_commands

import switchyard
from switchyard.environment.roles import VARIABLE
from switchyard.telemetry.metrics import layout

ROOT = Path(__file__).parents[2]
CHECK_ID = re.compile(r"switchyard\.[EW]\d{3}")


def document(name: str) -> str:
    """Return the text of one of the project's documents."""
    return (ROOT / name).read_text()


def pages() -> str:
    """Return the text of the README and the pages of docs/, without the decisions."""
    return "\n".join(page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))


def rows(name: str) -> set[str]:
    """Return the code in the first cells of the document's tables."""
    cells = re.findall(r"^\|([^|]+)\|", document(name), re.MULTILINE)
    return {term for cell in cells for term in re.findall(r"`([^`]+)`", cell)}


def sources(directory: str) -> Iterator[Path]:
    """Yield the Python modules below a directory."""
    yield from sorted((ROOT / directory).rglob("*.py"))


def read_variables(tree: ast.Module) -> Iterator[str]:
    """Yield the variables that a module reads by `env.<reader>(os.environ, "NAME", ...)` or `(environ, ...)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("env"), attr=reader),
                args=[
                    ast.Attribute(value=ast.Name("os"), attr="environ") | ast.Name("environ"),
                    ast.Constant(str(name)),
                    *_,
                ],
            ):
                yield name
                if reader in {"secret", "secrets"}:
                    yield f"{name}_FILE"


def undocumented(named: set[str], tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of each value that is not named, and whose map is not named either."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if path in named:
            continue
        if isinstance(value, dict) and value:
            yield from undocumented(named, value, f"{path}.")
        else:
            yield path


def test_settings__environment_variables() -> None:
    """Every variable that the service reads is in docs/settings.md."""
    about = re.search(r"<about>([A-Z_|]+)\)", VARIABLE.pattern)
    assert about
    read = {f"DATABASE_<ALIAS>_{suffix}" for suffix in about[1].split("|")}
    for module in (*sources("app/config"), *sources("app/switchyard/environment")):
        read.update(read_variables(ast.parse(module.read_text())))

    assert {"API_TOKEN_FILE", "DATABASE_<ALIAS>_URL", "METRICS_DIR"} <= read
    assert read - rows("docs/settings.md") == set()


def test_checks__ids() -> None:
    """docs/checks.md names every check, and no other."""
    known = {found for module in sources("app/switchyard") for found in CHECK_ID.findall(module.read_text())}

    assert known
    assert set(CHECK_ID.findall(document("docs/checks.md"))) == known


def test_metrics__families() -> None:
    """Every family of counters, and every label of one, is in docs/metrics.md."""
    families = layout().families
    wanted = {*(family.name for family in families), *(label for family in families for label in family.labels)}

    assert wanted - rows("docs/metrics.md") == set()


def test_chart__values() -> None:
    """docs/chart.md names every value of the chart, or its map; the schema says which values an alias has."""
    tree = yaml.safe_load(document("chart/values.yaml"))
    entry = json.loads(document("chart/values.schema.json"))["definitions"]["database"]["properties"]
    tree["databases"] = {"<alias>": dict.fromkeys(entry)}

    assert {"image", "bundled"} <= set(tree)
    assert list(undocumented(rows("docs/chart.md"), tree)) == []


def test_documents__make_targets() -> None:
    """`make` lists every target that is no file, or a page names it."""
    makefile = document("Makefile")
    (benches,) = re.findall(r"^BENCHES := (.*)$", makefile, re.MULTILINE)
    makefile = makefile.replace("$(BENCHES:%=bench-%)", " ".join(f"bench-{name}" for name in benches.split()))
    targets = {name for line in re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE) for name in line.split()}
    listed = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", pages()))

    assert {"run", "test"} <= targets
    assert targets - listed - named == set()


def test_documents__commands() -> None:
    """A page names every management command that the package adds to Django's."""
    (stock,) = django.__path__
    (ours,) = switchyard.__path__
    added = set(find_commands(f"{ours}/management")) - set(find_commands(f"{stock}/core/management"))
    named = set(re.findall(r"manage\.py (\w+)", pages()))

    assert "routes" in added
    assert added - named == set()
