"""What Django's commands do with an alias: a table of rules, and the hook that applies it to each command.

A rule refuses an alias on which the command would mislead, or gives the command other objects of Django for its run. It
holds for the subclasses of Django's commands, too, which other packages bring. docs/commands.md shows the table to
people. `migrate` and `makemigrations` have modules of their own in `commands/`.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import router
from django.db.models import Model

from switchyard.crossdb.references.contrib.fixtures import install_for_xml
from switchyard.crossdb.references.triggers.flush import sql_flush_with_tombstones
from switchyard.management.refusals import (
    refuse_empty,
    refuse_other_owner,
    refuse_replica,
    unmanaged_notice,
    with_models,
)
from switchyard.migrations._patching import patched
from switchyard.migrations._per_alias import ShownLoader
from switchyard.routing import allow_writes
from switchyard.routing.monitor.monitor import under_test
from switchyard.routing.topology.ownership import database_aliases, is_read_only, is_unmanaged, owner_of, replicated_by
from switchyard.routing.topology.tables import CACHE_APP, cache_tables


class Call(NamedTuple):
    """One run of a command."""

    command: BaseCommand
    name: str
    args: tuple[str, ...]
    options: Mapping[str, Any]

    @property
    def alias(self) -> str:
        """The value of `--database`."""
        alias: str = self.options["database"]
        return alias

    @property
    def line(self) -> str:
        """The command with its arguments, without options."""
        return " ".join((self.name, *self.args))


class Rule(NamedTuple):
    """`refuse` raises CommandError for a wrong alias; the command runs inside the block of `inside`."""

    refuse: Callable[[Call], None] = lambda _call: None
    inside: Callable[[Call], AbstractContextManager[Any]] = lambda _call: nullcontext()


class RowsRouter:
    """The question that `dumpdata` and `loaddata` ask of a model: are its rows on the alias?

    Django asks whether the model migrates there, which is false for a replica and for an unmanaged owner.
    """

    def allow_migrate_model(self, alias: str, model: type[Model]) -> bool:
        """Return True if the alias, or the owner that it replicates, has the rows of the model."""
        owner = replicated_by(alias) or alias
        return owner_of(model) == owner if is_unmanaged(owner) else router.allow_migrate_model(owner, model)


def _owner_of_labels(call: Call) -> None:
    refuse_replica(call.line, call.alias)
    refuse_other_owner(call.line, call.alias, with_models(call.args))


def _rows_of_labels(call: Call) -> None:
    refuse_other_owner(call.line, call.alias, with_models(label.partition(".")[0] for label in call.args))


def _owner_of_users(call: Call) -> None:
    refuse_replica(call.name, call.alias)
    _rows_of_users(call)


def _rows_of_users(call: Call) -> None:
    refuse_other_owner(call.line, call.alias, [settings.AUTH_USER_MODEL.partition(".")[0]])


def _rows_of_user(call: Call) -> None:
    user = call.options["username"]  # without it Django takes the name of the user of the shell
    _rows_of_users(call._replace(args=(user,) if user else ()))


def _owner_of_content_types(call: Call) -> None:
    refuse_replica(call.name, call.alias)
    refuse_other_owner(call.name, call.alias, ["contenttypes"])


def _owner_of_caches(call: Call) -> None:
    if (call.args or cache_tables()) and not under_test():  # Django makes each test database with this command
        refuse_other_owner(call.name, call.alias, [CACHE_APP])
        refuse_replica(call.name, call.alias)


def _owner_of_migration(call: Call) -> None:
    label, line = (
        call.options["app_label"],
        "{name} {app_label} {migration_name}".format(name=call.name, **call.options),
    )
    refuse_replica(line, call.alias)
    refuse_other_owner(line, call.alias, with_models([label]))
    _managed(call)


def _own_migrations(call: Call) -> None:
    labels = call.options["app_label"]
    refuse_other_owner(" ".join([call.name, *labels]), call.alias, with_models(labels))


def _managed_owner(call: Call) -> None:
    refuse_replica(call.name, call.alias)
    if not under_test():  # Django empties each test database with this command
        _managed(call)


def _owner(call: Call) -> None:
    refuse_replica(call.line, call.alias)


def _managed(call: Call) -> None:
    if notice := unmanaged_notice(call.alias):
        raise CommandError(notice)


def _one_database(_call: Call) -> None:
    if len(database_aliases()) > 1:
        raise CommandError(
            "testserver makes a test database for 'default' only, and requests would use the databases of the other "
            "aliases. Run tests with a live server, or runserver with settings that name databases for tests."
        )


def _writes(call: Call) -> AbstractContextManager[Any]:
    owner = replicated_by(call.alias) or call.alias
    return allow_writes(owner, reason=call.name) if is_read_only(owner) else nullcontext()


def _dumps_rows(_call: Call) -> AbstractContextManager[Any]:
    from django.core.management.commands import dumpdata  # noqa: PLC0415 - costs time at each start

    dumpdata.router = RowsRouter()  # type: ignore[attr-defined]
    return nullcontext()


def _loads_rows(call: Call) -> AbstractContextManager[Any]:
    from django.core.management.commands import loaddata  # noqa: PLC0415 - as above

    loaddata.router = RowsRouter()  # type: ignore[attr-defined]
    install_for_xml()
    return _writes(call)


@contextmanager
def _flushes(call: Call) -> Iterator[None]:
    from django.core.management.commands import flush  # noqa: PLC0415 - as above

    with _writes(call), patched(flush, sql_flush=sql_flush_with_tombstones):
        yield


def _shows_flush(_call: Call) -> AbstractContextManager[Any]:
    from django.core.management.commands import sqlflush  # noqa: PLC0415 - as above

    return patched(sqlflush, sql_flush=sql_flush_with_tombstones)


def _shows_own_migrations(call: Call) -> AbstractContextManager[Any]:
    from django.core.management.commands import showmigrations  # noqa: PLC0415 - as above

    if notice := unmanaged_notice(call.alias):
        (call.options.get("stdout") or sys.stdout).write(f"{notice}\n")
    return patched(showmigrations, MigrationLoader=ShownLoader)


_CORE, _CONTRIB = "django.core.management.commands.", "django.contrib."
RULES = {
    f"{_CORE}createcachetable": Rule(_owner_of_caches, _writes),
    f"{_CORE}dumpdata": Rule(_rows_of_labels, _dumps_rows),
    f"{_CORE}flush": Rule(_managed_owner, _flushes),
    f"{_CORE}loaddata": Rule(_owner, _loads_rows),
    f"{_CORE}showmigrations": Rule(_own_migrations, _shows_own_migrations),
    f"{_CORE}sqlflush": Rule(_managed_owner, _shows_flush),
    f"{_CORE}sqlmigrate": Rule(_owner_of_migration),
    f"{_CORE}sqlsequencereset": Rule(_owner_of_labels),
    f"{_CORE}testserver": Rule(_one_database),
    f"{_CONTRIB}auth.management.commands.changepassword": Rule(_rows_of_user, _writes),
    f"{_CONTRIB}auth.management.commands.createsuperuser": Rule(_owner_of_users, _writes),
    f"{_CONTRIB}contenttypes.management.commands.remove_stale_contenttypes": Rule(_owner_of_content_types, _writes),
}


def install() -> None:
    """Apply the rules to every command. A second call changes nothing."""
    execute: Callable[..., str | None] = BaseCommand.execute
    if hasattr(execute, "applies_rules"):
        return

    @wraps(execute)
    def execute_by_rule(command: BaseCommand, /, *args: Any, **options: Any) -> str | None:
        if isinstance(alias := options.get("database"), str):
            refuse_empty(alias)
        module = next((cls.__module__ for cls in type(command).__mro__ if cls.__module__ in RULES), "")
        if not module:
            return execute(command, *args, **options)
        call = Call(command, module.rpartition(".")[2], args, options)
        RULES[module].refuse(call)
        with RULES[module].inside(call):
            return execute(command, *args, **options)

    execute_by_rule.applies_rules = True  # type: ignore[attr-defined]
    BaseCommand.execute = execute_by_rule  # type: ignore[assignment, method-assign]
