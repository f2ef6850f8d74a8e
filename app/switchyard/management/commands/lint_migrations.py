"""`lint_migrations`: refuse migrations that break the code that still runs, unless they say so."""

import json
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from switchyard.migrations._contract import Finding, findings
from switchyard.migrations._per_alias import OwnedLoader
from switchyard.routing.topology.ownership import is_unmanaged, owner_of_app


class Command(BaseCommand):
    """Print the operations that break older code, by owner. Reads the files of migrations, and no database."""

    help = (
        "Fails if a migration breaks the code of the release before it, which runs during an upgrade and after a "
        "rollback: it drops, renames or narrows what that code uses, or adds a column that its inserts do not fill."
    )
    requires_system_checks = ("switchyard",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "To pass: split the change. First ship what older code survives (a nullable column, a new table); when no "
            "running code uses the old one any more, ship a migration that removes it, with `contract = True` in its "
            "Migration class. SQL of a RunSQL is not judged: its migration says `contract = True`, or `contract = "
            "False` if older code survives it. Checked are the project's own apps, not those of installed packages. "
            "Exit code: 0 none found, 1 found."
        )
        parser.add_argument("app_label", nargs="*", help="Check only these apps.")
        parser.add_argument("--json", action="store_true", help="Print a JSON list with an object for each operation.")

    def handle(self, *app_labels: str, **options: Any) -> None:
        loader = OwnedLoader(None)
        labels = set(options["app_label"] or _own_labels())
        if unknown := labels - loader.migrated_apps - set(apps.app_configs):
            raise CommandError(f"No installed app is named {', '.join(sorted(unknown))}.")
        checked = sorted(
            key for key in loader.graph.nodes if key[0] in labels and not is_unmanaged(owner_of_app(key[0]))
        )
        found = [(owner_of_app(key[0]), finding) for key in checked for finding in findings(loader, key)]
        if options["json"]:
            self.stdout.write(json.dumps([{"alias": alias, **asdict(each)} for alias, each in found], indent=2))
        elif not found:
            self.stdout.write(f"{len(checked)} migrations: older code survives each, or it is marked as contract.")
        if found:
            lines = [] if options["json"] else [_line(alias, each) for alias, each in found]
            raise CommandError("\n".join([*lines, "Split each change, or mark its migration: see --help."]))


def _own_labels() -> list[str]:
    """Return the labels of the apps that no package manager has installed."""
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    return [
        config.label for config in apps.get_app_configs() if not installed & set(Path(config.path).resolve().parents)
    ]


def _line(alias: str, found: Finding) -> str:
    return f"{alias}: {found.migration}: {found.operation}: {found.reason}."
