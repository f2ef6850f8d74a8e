"""The field of a reference to a row of another database."""

from collections.abc import Callable
from typing import Any, Literal, get_args

from django.core import checks
from django.core.exceptions import ValidationError
from django.db.models import CASCADE, DO_NOTHING, SET_NULL, ForeignKey, Model, Q, QuerySet
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.lookups import IExact

from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.references import joins
from switchyard.crossdb.references.deletions import attach_to_parent
from switchyard.crossdb.references.errors import CrossDatabaseJoinError
from switchyard.crossdb.references.fallback import record_by_signal
from switchyard.crossdb.references.lookups import RelatedInAcrossDatabases
from switchyard.routing.topology.ownership import app_of_rows, owner_of, owner_of_app
from switchyard.routing.topology.tables import has_owner

OnDelete = Callable[..., Any]
RecordedBy = Literal["triggers", "signals"]

_HISTORICAL = "__fake__"  # the module of the models that migrations make
_RULES = (CASCADE, SET_NULL, DO_NOTHING)


class _Parent(ForwardManyToOneDescriptor):  # type: ignore[type-arg]  # has no parameters at run time
    """The attribute that holds the parent. Django's asks the routers whether both rows may be related."""

    def __set__(self, instance: Any, value: Any) -> None:
        field: Any = self.field
        parent = field.remote_field.model._meta
        if value is not None and not isinstance(value, parent.concrete_model):
            raise ValueError(
                f'Cannot assign "{value!r}": "{instance._meta.object_name}.{field.name}" must be a '
                f'"{parent.object_name}" instance.'
            )
        setattr(instance, field.attname, None if value is None else getattr(value, field.target_field.attname))
        field.set_cached_value(instance, value)


class CrossDatabaseForeignKey(ForeignKey):  # type: ignore[type-arg]  # as above
    """Refer to a row of another owner: a column with the parent's key and an index, without a constraint.

    The attribute loads the parent from its owner, or a replica of it; `prefetch_related()` and `attach()` load many at
    once. Forms, the admin, filters by the key and serializers treat the field as any relation. A query that would join
    the databases raises CrossDatabaseJoinError. `to` is a model with a primary key of one integer, UUID or text column.

    `on_delete` is `CASCADE`, `SET_NULL` or `DO_NOTHING` of Django. A deletion of the parent, also by raw SQL, is
    recorded in the parent's database and transaction, and `manage.py crossdb_worker` deletes the children, or sets
    their reference to NULL, soon afterwards. A change of the parent's key counts as its deletion. `makemigrations` adds
    the triggers to the parent's app. With `recorded_by="signals"` Django's `post_delete` records deletions, where the
    server allows no triggers: those of raw SQL are then found by `manage.py crossdb_audit` only.

    With `check_on_save=True` each key that `save()`, `bulk_create()` or `update()` writes is looked up on the parent's
    owner, by one query for each key, and ValidationError is raised if the parent is missing.

        >>> from django.db import models
        >>> from switchyard.crossdb import CrossDatabaseForeignKey
        >>> field = CrossDatabaseForeignKey("accounts.User", on_delete=models.CASCADE)
        >>> field.db_constraint, field.crosses_databases
        (False, True)
    """

    forward_related_accessor_class = _Parent
    crosses_databases = True

    def __init__(
        self,
        to: type[Model] | str,
        on_delete: OnDelete,
        *,
        recorded_by: RecordedBy = "triggers",
        check_on_save: bool = False,
        **options: Any,
    ) -> None:
        if on_delete not in _RULES:
            names = ", ".join(rule.__name__ for rule in _RULES)
            given = getattr(on_delete, "__name__", repr(on_delete))
            raise ValueError(f"on_delete of a CrossDatabaseForeignKey is one of {names}, not {given}.")
        if recorded_by not in get_args(RecordedBy):
            ways = " or ".join(map(repr, get_args(RecordedBy)))
            raise ValueError(f"recorded_by of a CrossDatabaseForeignKey is {ways}, not {recorded_by!r}.")
        if refused := options.keys() & {"to_field", "db_constraint", "parent_link"}:
            raise TypeError(
                f"A CrossDatabaseForeignKey takes no {', '.join(sorted(refused))}: it refers to the primary key, and no"
                " server keeps a constraint. Leave the argument out."
            )
        joins.install()
        self.on_delete, self.recorded_by, self.check_on_save = on_delete, recorded_by, check_on_save
        # Django does nothing on this side of the deletion: the worker does.
        super().__init__(to, DO_NOTHING, db_constraint=False, **options)

    @property
    def joins_databases(self) -> bool:
        """Return True if parents and children have two owners. Without owners there is one database."""
        labels = {app_of_rows(model) for model in (self.model, self.related_model)}
        return all(map(has_owner, labels)) and len(set(map(owner_of_app, labels))) > 1

    @property
    def records_deletions(self) -> bool:
        """Return True if a deletion of the parent must reach the children."""
        return self.on_delete is not DO_NOTHING

    def deconstruct(self) -> Any:
        """Return the arguments for migrations."""
        name, _path, args, kwargs = super().deconstruct()
        del kwargs["db_constraint"]
        kwargs["on_delete"] = self.on_delete
        if self.recorded_by != "triggers":
            kwargs["recorded_by"] = self.recorded_by
        if self.check_on_save:
            kwargs["check_on_save"] = True
        return name, "switchyard.crossdb.CrossDatabaseForeignKey", args, kwargs

    def contribute_to_related_class(self, cls: type[Model], related: Any) -> None:
        """Let the parent's deletions be recorded, once both models are there.

        Historical models record none, nor do models of another registry, such as those of a test.
        """
        super().contribute_to_related_class(cls, related)
        is_of_project = self.model.__module__ != _HISTORICAL and self.model._meta.apps is cls._meta.apps
        if not self.records_deletions or not is_of_project:
            return
        attach_to_parent(self, cls)
        if self.recorded_by == "signals":
            record_by_signal(self, cls)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Return the key to write. Raises ValidationError for a missing parent if `check_on_save` is set."""
        is_key = value is not None and not hasattr(value, "resolve_expression")
        if self.check_on_save and is_key and self.model.__module__ != _HISTORICAL:
            parent: Any = self.remote_field.model
            if not parent._base_manager.using(owner_of(parent)).filter(pk=value).exists():
                raise ValidationError(
                    {self.name: ValidationError(f"{parent._meta.label} {value} does not exist.", code="invalid")}
                )
        return super().get_db_prep_save(value, connection)

    def get_extra_restriction(self, alias: str, related_alias: str) -> Any:
        """Refuse the join. Django asks for the restrictions of a join when it writes the join, in both directions."""
        if self.joins_databases:
            raise CrossDatabaseJoinError(self)
        return super().get_extra_restriction(alias, related_alias)

    def get_choices(self, *args: Any, limit_choices_to: Any = None, **kwargs: Any) -> Any:
        """Return the parents. A filter of the admin limits them by a queryset to those that have children."""
        keys = limit_choices_to.get("pk__in") if isinstance(limit_choices_to, dict) else None
        if isinstance(keys, QuerySet) and self.joins_databases:
            others = {name: value for name, value in limit_choices_to.items() if name != "pk__in"}
            limit_choices_to = Q(CrossDatabaseIn("pk", keys), **others)
        return super().get_choices(*args, limit_choices_to=limit_choices_to, **kwargs)  # type: ignore[misc]

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Check the definition as Django checks a foreign key."""
        return [*super().check(**kwargs), *self._check_rule()]

    def _check_rule(self) -> list[checks.CheckMessage]:
        if self.on_delete is not SET_NULL or self.null:
            return []
        return [
            checks.Error(
                "Field specifies on_delete=SET_NULL, but cannot be null.",
                hint="Set null=True argument on the field, or change the on_delete rule.",
                obj=self,
                id="fields.E320",
            )
        ]


CrossDatabaseForeignKey.register_lookup(RelatedInAcrossDatabases)
CrossDatabaseForeignKey.register_lookup(IExact)  # of the admin's search for '=user_id', as a plain column has it
