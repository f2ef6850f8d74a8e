"""The targets of `migrate_all --to`: each names one app and its migration. The owner of the app is the alias."""

from collections import defaultdict

from django.core.management.base import CommandError
from django.db.migrations.exceptions import AmbiguityError

from switchyard.management.refusals import unmanaged_notice
from switchyard.migrations._per_alias import OwnedLoader
from switchyard.migrations._plan import Target
from switchyard.routing.topology.ownership import owner_of_app


def targets_by_alias(names: list[str]) -> dict[str, list[Target]]:
    """Return the targets of each alias; refuse unknown and ambiguous names, and two targets of one app.

    A name is `<app>.<migration>`, the migration's beginning is enough, or `<app>.zero`.
    """
    loader = OwnedLoader(None)
    found: dict[str, list[Target]] = defaultdict(list)
    for name in names:
        app, _, migration = name.partition(".")
        if not migration or app not in loader.migrated_apps:
            raise CommandError(f"--to {name}: give <app>.<migration> or <app>.zero, of an app with migrations.")
        alias = owner_of_app(app)
        if notice := unmanaged_notice(alias):
            raise CommandError(f"--to {name}: {notice}")
        if app in {label for label, _ in found[alias]}:
            raise CommandError(f"--to {name}: '{app}' has another target already. Give one for each app.")
        found[alias].append((app, None if migration == "zero" else _whole_name(loader, app, migration)))
    return dict(found)


def _whole_name(loader: OwnedLoader, app: str, beginning: str) -> str:
    try:
        found: str = loader.get_migration_by_prefix(app, beginning).name
    except AmbiguityError as error:
        names = sorted(name for label, name in loader.disk_migrations if label == app and name.startswith(beginning))
        raise CommandError(f"--to {app}.{beginning}: ambiguous, name one of {', '.join(names)}.") from error
    except KeyError as error:
        raise CommandError(f"--to {app}.{beginning}: '{app}' has no migration that begins so.") from error
    return found
