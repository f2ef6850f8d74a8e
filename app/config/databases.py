"""DATABASES from the environment: a pure function. (First cut: the embedded default only.)"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Topology:
    """What the environment says about databases, in the words of Django's and Switchyard's settings."""

    databases: dict[str, dict[str, Any]]
    owners: dict[str, str]
    replicas: dict[str, list[str]]
    optional: frozenset[str] = frozenset()
    absent: dict[str, str] = field(default_factory=dict)  # app label -> alias it would need


def topology(environ: Mapping[str, str], *, data_dir: Path) -> Topology:
    """Return the databases that the environment describes; without a DATABASE_* variable, SQLite files."""
    sqlite = {
        "ENGINE": "django.db.backends.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 10},
    }
    databases: dict[str, dict[str, Any]] = {
        alias: {**sqlite, "NAME": str(data_dir / f"{alias}.sqlite3")}
        for alias in ("default", "analytics", "legacy")
    }
    databases["replica"] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"file:{data_dir / 'default.sqlite3'}?mode=ro",
        "OPTIONS": {"uri": True, "timeout": 10},
        "TEST": {"MIRROR": "default"},
    }
    owners = dict.fromkeys(("accounts", "admin", "auth", "contenttypes", "sessions"), "default")
    owners |= {"analytics": "analytics", "reporting": "analytics", "legacy": "legacy"}
    return Topology(databases=databases, owners=owners, replicas={"default": ["replica"]})
