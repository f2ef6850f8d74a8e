"""The declaration, on the parent's model, that its deletions are recorded. It is a constraint for Django's migrations.

So `makemigrations` finds that a reference was added, changed or removed, `migrate` and `sqlmigrate` make the triggers,
and SQLite makes them again with a table that it copies. The field adds it to the parent's `Meta.constraints`.
"""

import re
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table
from django.db.backends.utils import truncate_name
from django.db.models import BaseConstraint, Model

from switchyard.crossdb.references.triggers.postgresql import POSTGRESQL
from switchyard.crossdb.references.triggers.registry import triggers_of

_EVENTS = ("delete", "update", "truncate")
_MAX_NAME_LENGTH = 50  # of 63 on PostgreSQL and 64 on MySQL: triggers add an ending


class RecordDeletions(BaseConstraint):
    """Record each deletion of a row of this model, for the children that refer to the row by `reference`.

    `reference` is `app.Model.field` of the child, `name` begins the names of the triggers, `key` is the column of this
    model's primary key: the triggers name the column, so another column needs other triggers. With `by="signals"` there
    is only the table of tombstones, and Django's signals fill it. `makemigrations` writes this declaration.

        >>> from switchyard.crossdb import RecordDeletions
        >>> RecordDeletions(reference="blog.Post.author", name="deletions_blog_post_author_id").reference
        'blog.Post.author'
    """

    def __init__(self, *, reference: str, name: str, key: str = "id", by: str = "triggers") -> None:
        super().__init__(name=name)
        self.reference, self.key, self.by = reference, key, by

    def deconstruct(self) -> Any:
        """Return the arguments for migrations."""
        _path, args, kwargs = super().deconstruct()
        key = {} if self.key == "id" else {"key": self.key}
        by = {} if self.by == "triggers" else {"by": self.by}
        return "switchyard.crossdb.RecordDeletions", args, {**kwargs, "reference": self.reference, **key, **by}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordDeletions) and self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash((self.name, self.reference))

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Accept each row: nothing is constrained."""

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        """Make the triggers after the table that is being created. Nothing stands in its own definition."""
        statements = [*self._independent(model, schema_editor), *self._triggers(model, schema_editor)]
        schema_editor.deferred_sql.extend(statements)

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        """Make the table of tombstones if it is not there. Return the last trigger; the others follow at the end.

        Django asks for this statement also while it creates the table of a model with `db_default`: so no trigger is
        made here. https://github.com/django/django/blob/6.1.3/django/db/backends/base/schema.py#L282
        """
        *independent, last = self._independent(model, schema_editor)
        for statement in independent:
            schema_editor.execute(statement, params=None)
        if self.by != "triggers":
            return last
        schema_editor.execute(last, params=None)
        *others, last = self._triggers(model, schema_editor)
        schema_editor.deferred_sql.extend(others)
        return last

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        """Remove the triggers, also those that this migration would make. The tombstones stay: some may be waiting."""
        waiting = [each for each in schema_editor.deferred_sql if not self._is_own(each)]
        schema_editor.deferred_sql[:] = waiting
        if self.by != "triggers":
            return None
        triggers = triggers_of(schema_editor.connection.vendor)
        *others, last = self._filled(triggers.removed, model, schema_editor)
        for statement in others:
            schema_editor.execute(statement, params=None)
        return last

    def _is_own(self, statement: Any) -> bool:
        parts: Any = statement.parts if isinstance(statement, Statement) else {}
        return bool(parts.get("recorded_by") == self.name)

    def trigger_names(self, vendor: str) -> list[str]:
        """Return the names of the triggers that record deletions on this vendor's servers."""
        made = " ".join(triggers_of(vendor).made) if self.by == "triggers" else ""
        return [f"{self.name}_{event}" for event in _EVENTS if f"%(trigger_{event})s" in made]

    def deleted_by_row(self, model: type[Model], connection: Any) -> str:
        """Return the statement that lets the trigger for DELETE see also the deletions on a partition (PostgreSQL)."""
        (statement,) = self._filled((POSTGRESQL.deleted_by_row,), model, connection.schema_editor())
        return str(statement)

    def _independent(self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor) -> list[Statement]:
        """Return the statements that do not name the parent's table."""
        triggers = triggers_of(schema_editor.connection.vendor)
        functions = triggers.functions if self.by == "triggers" else ()
        return self._filled((*triggers.tombstones, *functions), model, schema_editor)

    def _triggers(self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor) -> list[Statement]:
        made = triggers_of(schema_editor.connection.vendor).made if self.by == "triggers" else ()
        return self._filled(made, model, schema_editor)

    def _filled(
        self, templates: tuple[str, ...], model: type[Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> list[Statement]:
        quote = schema_editor.quote_name
        key: Any = model._meta.pk
        return [
            Statement(
                template,
                table=Table(model._meta.db_table, quote),  # SQLite renames the table before it runs the statement
                key=quote(key.column),
                key_name=_text(key.column),
                reference=_text(self.reference),
                recorded_by=self.name,
                **{f"trigger_{event}": quote(f"{self.name}_{event}") for event in _EVENTS},
            )
            for template in templates
        ]


def attach_to_parent(field: Any, parent: type[Model]) -> None:
    """Add the declaration of the reference to the constraints of the parent's concrete model."""
    options = parent._meta.concrete_model._meta  # type: ignore[union-attr]
    key = options.pk.column
    if key is None:  # a composite key, which Django's check of the field refuses
        return
    declared = RecordDeletions(reference=label_of(field), name=_name(field), key=key, by=field.recorded_by)
    if declared not in options.constraints:
        options.constraints = [*options.constraints, declared]
        options.original_attrs["constraints"] = options.constraints  # migrations read only options that it names


def label_of(field: Any) -> str:
    """Return `app.Model.field`."""
    return f"{field.model._meta.label}.{field.name}"


def _name(field: Any) -> str:
    name = f"deletions_{field.model._meta.db_table}_{field.column}"
    return truncate_name(re.sub(r"\W", "_", name, flags=re.ASCII), _MAX_NAME_LENGTH)  # servers count bytes


def _text(value: str) -> str:
    """Return the text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
