"""docs/examples/shop, a project of another team: its settings load, its checks pass, its migrations are complete."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.documents import ROOT

SHOP = ROOT / "docs" / "examples" / "shop"
OTHERS = re.compile(r"DATABASE|DJANGO_|SECRET_KEY|ALLOWED_HOSTS|METRICS_|WEB_")
SERVERS = {
    "DATABASE_DEFAULT_URL": "postgres://app:pw@primary.example.com/shop",
    "DATABASE_VISITS_URL": "mysql://app:pw@visits.example.com/shop",
}
REQUESTS = """
import json
import django
django.setup()
from django.test import Client
from switchyard.telemetry import snapshot

client = Client(headers={"host": "localhost"})
body = {"name": "lamp", "price_cents": 4900}
answers = [client.post("/products", body, content_type="application/json"), client.get("/products/1")]
counted = {
    "/".join(dict(labels)[label] for label in ("alias", "app", "operation")): value
    for (name, labels), value in snapshot().items()
    if name == "switchyard_queries_total" and value
}
print(json.dumps([[each.status_code, each.json()] for each in answers] + [counted]))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the project."""
    return Path(shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*")))


def python(shop: Path, *arguments: str, **environ: str) -> str:
    """Run Python in the project, with these variables and without the caller's; return what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not OTHERS.match(name)}
    ran = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=shop,
        env=inherited | {"PYTHONPATH": str(ROOT / "app"), "DJANGO_SETTINGS_MODULE": "shop.settings"} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_shop__settings(shop: Path) -> None:
    """The settings load with the addresses of a PostgreSQL and a MySQL, and without a key, as in a migration Job."""
    code = "from shop import settings as s; print([e['ENGINE'] for e in s.DATABASES.values()], s.SWITCHYARD['OWNERS'])"

    printed = python(shop, "-c", code, **SERVERS)

    assert printed.startswith("['django.db.backends.postgresql', 'django.db.backends.mysql']")
    assert printed.endswith("'catalog': 'default', 'visits': 'visits'}\n")


def test_shop__checks(shop: Path) -> None:
    """`check` finds nothing."""
    assert python(shop, "manage.py", "check", "--fail-level=WARNING") == (
        "System check identified no issues (0 silenced).\n"
    )


def test_shop__migrations(shop: Path) -> None:
    """The migrations make the models."""
    assert python(shop, "manage.py", "makemigrations", "--check", "--dry-run") == "No changes detected\n"


def test_shop__queries(shop: Path) -> None:
    """Each app is migrated, written and read on its own alias, and the queries are counted there."""
    python(shop, "manage.py", "migrate_all")

    *answers, counted = json.loads(python(shop, "-c", REQUESTS, SECRET_KEY="only-for-tests"))

    assert answers == [[201, {"id": 1}], [200, {"name": "lamp", "visits": 1}]]
    assert counted == {
        "default/catalog/write": 1,
        "default/catalog/read": 1,
        "visits/visits/write": 1,
        "visits/visits/read": 1,
    }
