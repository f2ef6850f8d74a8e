"""Empty SQLite files behind the four aliases, and migrations written for one test."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker
from tests.connected import connected

from config.databases import topology


@pytest.fixture
def empty_databases(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """The aliases of the embedded default, on files of this test only; yields their directory."""
    with django_db_blocker.unblock(), connected(topology({}, data_dir=tmp_path).databases):
        yield tmp_path


@pytest.fixture
def tables() -> Callable[[str], set[str]]:
    """Return what makes the set of an alias' tables."""

    def names(alias: str) -> set[str]:
        return set(connections[alias].introspection.table_names())

    return names


@pytest.fixture
def recorded() -> Callable[[str], set[str]]:
    """Return what makes the set of the rows of an alias' django_migrations."""

    def rows(alias: str) -> set[str]:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            return {f"{app}.{name}" for app, name in cursor.fetchall()}

    return rows


@pytest.fixture
def write_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: object
) -> Iterator[Callable[[str, dict[str, str]], None]]:
    """Return what replaces an app's migrations by those given: name -> body of the Migration class."""
    monkeypatch.syspath_prepend(tmp_path)
    modules: dict[str, str] = {}

    def write(app: str, bodies: dict[str, str]) -> None:
        package = f"migrations_of_{app}"
        folder = tmp_path / package
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        for name, body in bodies.items():
            source = "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
            (folder / f"{name}.py").write_text(source + indent(body.strip() + "\n", "    "))
        modules[app] = package
        settings.MIGRATION_MODULES = dict(modules)  # type: ignore[attr-defined]

    yield write
    for name in [name for name in sys.modules if name.startswith("migrations_of_")]:
        del sys.modules[name]
