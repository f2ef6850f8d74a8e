"""Migrations that a test writes in place of the migrations of an app."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent

import pytest


@pytest.fixture
def write_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: object
) -> Iterator[Callable[[str, dict[str, str]], None]]:
    """Return a function that replaces the migrations of an app: `write(app, {name: body of the Migration class})`."""
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
