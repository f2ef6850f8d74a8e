"""The warning of unapplied migrations, which `runserver` and other commands print: of all owners, each of its own."""

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from switchyard.migrations import migrating, pending


def install() -> None:
    """Give every command the warning of this module. Django's asks `default` about the migrations of all apps."""
    BaseCommand.check_migrations = warn_of_unapplied  # type: ignore[assignment, method-assign]


def warn_of_unapplied(command: BaseCommand) -> None:
    """Print the number of unapplied migrations of each owner, and the owners that cannot be read."""
    lines = [line for alias in migrating() if (line := _line(alias))]
    if lines:
        lines.append("Your project may not work properly until you run 'python manage.py migrate_all'.")
        command.stdout.write(command.style.NOTICE("\n" + "\n".join(lines)))


def _line(alias: str) -> str:
    try:
        names = pending(alias)
    except DatabaseError as error:
        return f"The migrations of '{alias}' cannot be read ({type(error).__name__})."
    labels = sorted({name.partition(".")[0] for name in names})
    return f"'{alias}' has {len(names)} unapplied migration(s) of: {', '.join(labels)}." if names else ""
