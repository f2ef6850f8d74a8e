"""The declaration, on the parent's model, that its deletions are recorded. It is a constraint for Django's migrations.

So `makemigrations` finds that a reference was added, changed or removed, `migrate` and `sqlmigrate` make the triggers,
and SQLite makes them again with a table that it copies. The field adds it to the parent's `Meta.constraints`.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table
from django.db.backends.utils import truncate_name
from django.db.models import BaseConstraint, Model

from switchyard.crossdb.references.triggers.registry import triggers_of

_MAX_NAME_LENGTH = 50  # of 63 on PostgreSQL and 64 on MySQL: triggers add an ending


class RecordDeletions(BaseConstraint):
    """Record each deletion of a row of this model, for the children that refer to the row by `reference`.

    `reference` is `app.Model.field` of the child, `name` begins the names of the triggers. With `by="signals"` there is
    only the table of tombstones, and Django's signals fill it. `makemigrations` writes this declaration.

        >>> from switchyard.crossdb import RecordDeletions
        >>> RecordDeletions(reference="blog.Post.author", name="deletions_blog_post_author_id").reference
        'blog.Post.author'
    """

    def __init__(self, *, reference: str, name: str, by: str = "triggers") -> None:
        super().__init__(name=name)
        self.reference, self.by = reference, by

    def deconstruct(self) -> Any:
        """Return the arguments for migrations."""
        _path, args, kwargs = super().deconstruct()
        by = {} if self.by == "triggers" else {"by": self.by}
        return "switchyard.crossdb.RecordDeletions", args, {**kwargs, "reference": self.reference, **by}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordDeletions) and self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash((self.name, self.reference))

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Accept each row: nothing is constrained."""

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        """Make the triggers after the table that is being created. Nothing stands in its own definition."""
        schema_editor.deferred_sql.extend(self._statements(model, schema_editor))

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        """Make the table of tombstones if it is not there, and the triggers, of which the last one is returned."""
        *others, last = self._statements(model, schema_editor)
        for statement in others:
            schema_editor.execute(statement, params=None)
        return last

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        """Remove the triggers. The tombstones stay: some may be waiting."""
        triggers = triggers_of(schema_editor.connection.vendor)
        if self.by != "triggers":
            return None
        *others, last = self._filled(triggers.removed, model, schema_editor)
        for statement in others:
            schema_editor.execute(statement, params=None)
        return last

    def _statements(self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor) -> list[Statement]:
        triggers = triggers_of(schema_editor.connection.vendor)
        made = triggers.made if self.by == "triggers" else ()
        return self._filled((*triggers.tombstones, *made), model, schema_editor)

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
                **{f"trigger_{event}": quote(f"{self.name}_{event}") for event in ("delete", "update", "truncate")},
            )
            for template in templates
        ]


def attach_to_parent(field: Any, parent: type[Model]) -> None:
    """Add the declaration of the reference to the constraints of the parent's concrete model."""
    options = parent._meta.concrete_model._meta  # type: ignore[union-attr]
    declared = RecordDeletions(reference=label_of(field), name=_name(field), by=field.recorded_by)
    if declared not in options.constraints:
        options.constraints = [*options.constraints, declared]
        options.original_attrs["constraints"] = options.constraints  # migrations read only options that it names


def label_of(field: Any) -> str:
    """Return `app.Model.field`."""
    return f"{field.model._meta.label}.{field.name}"


def _name(field: Any) -> str:
    return truncate_name(f"deletions_{field.model._meta.db_table}_{field.column}", _MAX_NAME_LENGTH)


def _text(value: str) -> str:
    """Return the text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
