"""What `migrate_all` would do, by alias: the dry run of a migration and of a rollback."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from django.core.management.base import CommandError
from django.db import DatabaseError, connections

from switchyard.migrations._exit_codes import DO_NOT_RETRY, exit_code_of
from switchyard.migrations._plan import Step, Target, plan, sql
from switchyard.migrations._sqlite_directory import make_sqlite_directory


@dataclass(frozen=True)
class PlannedStep:
    """One migration of the plan, as it is printed. `sql` is empty unless it was asked for."""

    migration: str
    backwards: bool
    operations: list[str]
    sql: list[str] = field(default_factory=list)


def plans(targets: Mapping[str, list[Target] | None], *, with_sql: bool) -> dict[str, list[PlannedStep]]:
    """Return the plan of each alias. Raises CommandError for an alias that cannot be read.

    Raises CommandError for a migration that cannot be undone, too: a rollback would stop half-way.
    """
    found = {alias: _steps(alias, names) for alias, names in targets.items()}
    for step in (step for steps in found.values() for step in steps if step.irreversible):
        raise CommandError(
            f"'{step.name}' cannot be undone: {'; '.join(step.irreversible)}. Nothing was undone.",
            returncode=DO_NOT_RETRY,
        )
    return {
        alias: [
            PlannedStep(
                step.name,
                step.backwards,
                [operation.describe() for operation in step.migration.operations],
                sql(alias, step) if with_sql else [],
            )
            for step in steps
        ]
        for alias, steps in found.items()
    }


def as_json(found: Mapping[str, list[PlannedStep]]) -> str:
    """Return the plans as a JSON object of the aliases."""
    return json.dumps({alias: [asdict(step) for step in steps] for alias, steps in found.items()}, indent=2)


def as_lines(found: Mapping[str, list[PlannedStep]]) -> Iterator[str]:
    """Yield the plans as lines. All but the SQL are comments of SQL, so that the output can be run or reviewed."""
    for alias, steps in found.items():
        yield f"-- {alias}: {len(steps) or 'nothing'} to do"
        for step in steps:
            yield f"--   {'undo' if step.backwards else 'apply'} {step.migration}"
            yield from step.sql or [f"--     {text}" for text in step.operations]


def _steps(alias: str, targets: list[Target] | None) -> list[Step]:
    try:
        make_sqlite_directory(connections[alias])
        return plan(alias, targets)
    except DatabaseError as error:
        raise CommandError(
            f"The migrations of '{alias}' cannot be read: {str(error).strip()}", returncode=exit_code_of(error)
        ) from error
