"""Relations, constraints, fixtures and the admin, as references across databases use them."""

import inspect
from typing import Any, ClassVar

import django
import pytest
from django.apps.registry import Apps
from django.contrib import admin
from django.contrib.admin import sites
from django.contrib.admin.models import LogEntry
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import Permission
from django.core import serializers
from django.core.management import call_command
from django.core.management.commands import makemigrations
from django.core.serializers import base, xml_serializer
from django.db import connections, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table
from django.db.backends.utils import truncate_name
from django.db.migrations import AddConstraint, RemoveConstraint
from django.db.migrations.state import ModelState
from django.db.migrations.writer import MigrationWriter, OperationWriter
from django.db.models import BaseConstraint, F, ForeignKey, OuterRef
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.fields.related_lookups import RelatedIn
from django.db.models.lookups import IExact
from django.db.models.sql import Query, compiler
from django.test import RequestFactory
from tests.support.kinds import Kind, Special
from tests.support.noting import parameters
from tests.support.scratch_tables import scratch_tables

from accounts.models import User

in_testcase = pytest.mark.django_db(databases=["default"])
in_transactions = pytest.mark.django_db(databases=["default"], transaction=True)


@pytest.mark.filterwarnings("ignore:Calling select_related")
@pytest.mark.parametrize(("names", "restricted"), [((), False), (("content_type",), True)])
def test_select_related__asks_for_each_field(
    names: tuple[str, ...], restricted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler asks a function of its module whether it follows a field; its second argument tells named ones."""
    asked: list[tuple[str, bool]] = []
    descend = compiler.select_related_descend  # type: ignore[attr-defined]

    def note(field: Any, restricted: bool, *args: Any, **kwargs: Any) -> bool:
        asked.append((field.name, bool(restricted)))
        return bool(descend(field, restricted, *args, **kwargs))

    monkeypatch.setattr(compiler, "select_related_descend", note)
    sql = str(Permission.objects.select_related(*names).query)

    assert ("content_type", restricted) in asked
    assert 'JOIN "django_content_type"' in sql


@pytest.mark.parametrize(
    "queryset",
    [
        lambda: Special.objects.filter(parent__text="x"),
        lambda: Kind.objects.select_related("parent"),
        lambda: Kind.objects.order_by("parent__text"),
        lambda: Kind.objects.values("parent__text"),
        lambda: Permission.objects.filter(content_type__model="x"),
    ],
)
def test_join__asks_for_restrictions(queryset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each join over a relation asks the relation for further conditions, with the aliases of both tables."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(ForeignKey, "get_extra_restriction", lambda _self, *aliases: asked.append(aliases))

    str(queryset().query)

    assert [len(aliases) for aliases in asked].count(2) == len(asked) > 0


def test_join__asks_for_restrictions_of_the_other_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join from the parent asks as well, and a filter by the key of a relation asks for nothing."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(ForeignKey, "get_extra_restriction", lambda _self, *aliases: asked.append(aliases))

    str(User.objects.filter(logentry__action_flag=1).query)
    assert len(asked) == 1
    str(LogEntry.objects.filter(user=1, user__pk=1, user__id__in=[1]).order_by("user_id").values("user").query)
    assert len(asked) == 1


def test_descriptor__of_a_relation() -> None:
    """A class of the field makes the attribute, which has the field; the field caches the object for it."""

    class Noted(ForwardManyToOneDescriptor):  # type: ignore[type-arg]
        def __set__(self, instance: Any, value: Any) -> None:
            setattr(instance, self.field.attname, getattr(value, self.field.target_field.attname))
            self.field.set_cached_value(instance, value)

    class Own(ForeignKey):  # type: ignore[type-arg]
        forward_related_accessor_class = Noted

    class Child(models.Model):
        user = Own(User, models.DO_NOTHING, related_name="+")

        class Meta:
            apps = Apps()
            app_label = "accounts"

        def __str__(self) -> str:
            return str(self.pk)

    ada = User(pk=7)
    child = Child(user=ada)

    assert (child.user, child.user_id) == (ada, 7)


def test_foreign_key__tells_its_parent() -> None:
    """The field is told when both models are there, also for historical models, whose module has a name of its own."""
    told: list[tuple[str, str]] = []

    class Own(ForeignKey):  # type: ignore[type-arg]
        def contribute_to_related_class(self, cls: type[models.Model], related: Any) -> None:
            super().contribute_to_related_class(cls, related)
            assert related is self.remote_field
            told.append((cls.__name__, self.model.__module__))

    meta = type("Meta", (), {"apps": Apps(), "app_label": "accounts"})
    parent = Own("accounts.Parent", models.DO_NOTHING)
    type("Child", (models.Model,), {"__module__": __name__, "Meta": meta, "parent": parent})
    assert told == []
    type("Parent", (models.Model,), {"__module__": __name__, "Meta": meta})
    assert told == [("Parent", __name__)]
    historical = Apps()
    ModelState("accounts", "Parent", [("id", models.BigAutoField(primary_key=True))]).render(historical)
    ModelState("accounts", "Child", [("parent", Own("accounts.Parent", models.DO_NOTHING, primary_key=True))]).render(
        historical
    )
    assert told[1:] == [("Parent", "__fake__")]


@in_testcase
def test_get_choices__of_the_admins_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter by a relation asks the field for its choices; one of related rows limits them by a queryset of keys."""
    asked: list[dict[str, Any]] = []

    def note(_self: Any, **arguments: Any) -> list[Any]:
        asked.append(arguments)
        return []

    monkeypatch.setattr(ForeignKey, "get_choices", note)
    changes = admin.ModelAdmin(LogEntry, admin.AdminSite("x"))
    field = LogEntry._meta.get_field("user")
    request = RequestFactory().get("/")
    for kind in (admin.RelatedFieldListFilter, admin.RelatedOnlyFieldListFilter):
        kind(field, request, {}, LogEntry, changes, "user")

    plain, related = asked
    assert plain.get("limit_choices_to") is None
    assert isinstance(related["limit_choices_to"]["pk__in"], models.QuerySet)


def test_related_in__is_made_of_a_column_and_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup's class gets the column and the resolved query, which keeps its alias and says if it names columns."""
    made: list[tuple[Any, Any]] = []

    class Noted(RelatedIn):
        def __new__(cls, lhs: Any = None, rhs: Any = None) -> Any:
            made.append((lhs, rhs))
            return RelatedIn(lhs, rhs)

    monkeypatch.setattr(ForeignKey, "class_lookups", {"in": Noted}, raising=False)
    ForeignKey._clear_cached_class_lookups()  # type: ignore[attr-defined]
    try:
        users = User.objects.using("default")
        for source in (users, users.values("pk")):
            LogEntry.objects.filter(user__in=source)
    finally:
        monkeypatch.undo()
        ForeignKey._clear_cached_class_lookups()  # type: ignore[attr-defined]

    (column, plain), (_, named) = made
    assert column.target == LogEntry._meta.get_field("user")
    assert isinstance(plain, Query)
    assert plain._db == "default"  # type: ignore[attr-defined]
    assert [query.has_select_fields for _, query in made] == [False, True]
    queryset = models.QuerySet(User, query=named.clone())
    assert queryset._iterable_class is models.query.ModelIterable


def test_query__refers_to_the_outer_query() -> None:
    """A query that is resolved for another one lists the columns of that one which it names."""
    outer = LogEntry.objects.all().query
    plain, referring = (
        User.objects.filter(pk__gte=value).query.resolve_expression(outer) for value in (1, OuterRef("user_id"))
    )

    assert plain.get_external_cols() == []
    assert [column.target.name for column in referring.get_external_cols()] == ["user"]


@in_testcase
def test_iexact__of_a_foreign_key() -> None:
    """The lookup compares the column of a foreign key as a text."""
    LogEntry.objects.create(user=User.objects.create(pk=7, username="ada"), action_flag=1)
    column = LogEntry.objects.all().query.resolve_ref("user_id")

    assert LogEntry.objects.filter(IExact(F("user_id"), "7")).count() == 1
    assert LogEntry.objects.filter(IExact(column, "ada")).count() == 0


class Noted(BaseConstraint):
    """A constraint that defers a statement, and notes what it is asked for."""

    asked: ClassVar[list[str]] = []

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        """Defer the statement after the table."""
        self.asked.append("constraint_sql")
        table = Table(model._meta.db_table, schema_editor.quote_name)
        schema_editor.deferred_sql.append(Statement("CREATE INDEX noted_index ON %(table)s (id)", table=table))

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return a statement."""
        self.asked.append("create_sql")
        return Statement("SELECT 1 -- %(table)s", table=Table(model._meta.db_table, schema_editor.quote_name))

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return a statement."""
        self.asked.append("remove_sql")
        return Statement("SELECT 2 -- %(table)s", table=Table(model._meta.db_table, schema_editor.quote_name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Noted) and self.name == other.name

    __hash__ = None  # type: ignore[assignment]


class Parent(models.Model):
    """A model whose constraint comes after it."""

    text = models.CharField(max_length=9)

    class Meta:
        apps = Apps()
        app_label = "accounts"
        db_table = "test_noted"

    def __str__(self) -> str:
        return self.text


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Noted:
    """Give the parent a constraint, as an option that the model names itself."""
    constraint = Noted(name="noted")
    monkeypatch.setattr(Noted, "asked", [])
    monkeypatch.setattr(Parent._meta, "constraints", [constraint])
    monkeypatch.setitem(Parent._meta.original_attrs, "constraints", [constraint])
    return constraint


def test_options__constraints_of_a_state(declared: Noted) -> None:
    """The state of a model has copies of its constraints if the model names the option, and no option otherwise."""
    found = ModelState.from_model(Parent).options["constraints"]
    del Parent._meta.original_attrs["constraints"]

    assert found == [declared]
    assert found[0] is not declared
    assert ModelState.from_model(Parent).options["constraints"] == []
    assert Special._meta.concrete_model is Special


def indexes() -> list[str]:
    """Return the names of the table's indexes."""
    with connections["default"].cursor() as cursor:
        return list(connections["default"].introspection.get_constraints(cursor, "test_noted"))


@in_transactions
def test_schema_editor__deferred_statements(declared: Noted) -> None:
    """Deferred statements run after their table, and name the table that takes the place of a copied one."""
    longer: Any = models.CharField(max_length=30, null=True)
    longer.set_attributes_from_name("text")
    longer.model = Parent
    with scratch_tables("default", (Parent,)):
        assert "noted_index" in indexes()
        with connections["default"].schema_editor() as editor:
            editor.alter_field(Parent, Parent._meta.get_field("text"), longer)
        assert "noted_index" in indexes()
    assert Noted.asked == ["constraint_sql", "constraint_sql"]


@in_transactions
def test_constraint__is_asked_for_its_sql(declared: Noted) -> None:
    """A table is made with `constraint_sql`; the base class of editors adds and removes with the other two."""
    with scratch_tables("default", (Parent,)), connections["default"].schema_editor() as editor:
        BaseDatabaseSchemaEditor.add_constraint(editor, Parent, declared)
        BaseDatabaseSchemaEditor.remove_constraint(editor, Parent, declared)

    assert Noted.asked == ["constraint_sql", "create_sql", "remove_sql"]
    assert declared.deconstruct()[1:] == ((), {"name": "noted"})
    assert parameters(BaseConstraint.constraint_sql) == ["self", "model", "schema_editor"]
    assert parameters(BaseConstraint.validate)[:3] == ["self", "model", "instance"]


def test_truncate_name__is_stable() -> None:
    """A long name is cut and gets a digest: the same for the same name."""
    long = "deletions_" + "a" * 60

    assert truncate_name("short", 50) == "short"
    assert len(truncate_name(long, 50)) == 50
    assert truncate_name(long, 50) == truncate_name(long, 50) != truncate_name(long + "b", 50)


def test_options__local_fields() -> None:
    """A model with a table of its own has the inherited fields not among its local ones."""
    assert [field.name for field in Special._meta.local_fields] == ["kind_ptr", "extra"]


def test_operation__written_by_its_arguments() -> None:
    """A migration has an operation with the name and the arguments that the operation gives."""
    lines, imports = OperationWriter(RemoveConstraint("parent", "noted"), indentation=0).serialize()

    assert "migrations.RemoveConstraint(" in lines
    assert RemoveConstraint("parent", "noted").deconstruct()[0] == "RemoveConstraint"
    assert AddConstraint("parent", Noted(name="noted")).deconstruct()[0] == "AddConstraint"
    assert imports == set()


@pytest.mark.django_db(databases="__all__")
def test_makemigrations__writes_by_one_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gives all changes to one method before it writes a file, and each migration knows its path."""
    changes: list[Any] = []

    def note(_self: Any, found: Any, *_args: Any) -> None:
        changes.append(found)

    monkeypatch.setattr(makemigrations.Command, "write_migration_files", note)
    call_command("makemigrations", "accounts", empty=True, skip_checks=True, verbosity=0)

    ((migration,),) = (found["accounts"] for found in changes)
    assert MigrationWriter(migration).path.endswith(f"accounts/migrations/{migration.name}.py")


@in_testcase
def test_deserializers__look_for_natural_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON calls a function of the module with the alias, XML a method of an object that has it."""
    asked: list[Any] = []
    entry = LogEntry(pk=1, user=User.objects.create(username="ada"), action_flag=1)
    texts = {kind: serializers.serialize(kind, [entry], use_natural_foreign_keys=True) for kind in ("json", "xml")}
    deserialize = base.deserialize_fk_value  # type: ignore[attr-defined]
    handle: Any = xml_serializer.Deserializer._handle_fk_field_node  # type: ignore[attr-defined]

    def of_json(field: Any, value: Any, using: str, handle_forward_references: bool) -> Any:
        asked.append(("json", field.name, using))
        return deserialize(field, value, using, handle_forward_references)

    def of_xml(self: Any, node: Any, field: Any) -> Any:
        asked.append(("xml", field.name, self.db))
        return handle(self, node, field)

    monkeypatch.setattr(base, "deserialize_fk_value", of_json)
    monkeypatch.setattr(xml_serializer.Deserializer, "_handle_fk_field_node", of_xml)
    for kind, text in texts.items():
        (loaded,) = serializers.deserialize(kind, text, using="default")
        assert loaded.object.user_id == entry.user_id

    assert {("json", "user", "default"), ("xml", "user", "default")} <= set(asked)
    assert inspect.getmodule(base.DeserializedObject.save_deferred_fields) is base


class Shown(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list with a relation."""

    list_display = ("id", "user")


@in_testcase
def test_change_list__joins_what_it_shows() -> None:
    """The list joins the relations that it shows by one method, from Django 6.1 on with the names of another one.

    A third method names the column that orders a relation.
    """
    request = RequestFactory().get("/")
    request.user = User(pk=1, is_superuser=True)
    changes: Any = Shown(LogEntry, admin.AdminSite("shown")).get_changelist_instance(request)

    assert changes.queryset.query.select_related
    assert "user" in changes.list_display
    assert changes.lookup_opts is LogEntry._meta
    assert changes.get_ordering_field("user") == "user"
    assert parameters(ChangeList.apply_select_related) == ["self", "qs"]
    assert hasattr(ChangeList, "get_select_related_fields") == (django.VERSION >= (6, 1))
    if django.VERSION >= (6, 1):
        assert changes.get_select_related_fields() == ["user"]


def test_sites__all() -> None:
    """Each site is listed as long as it lives."""
    site = admin.AdminSite("listed")

    assert site in sites.all_sites
    assert admin.site in list(sites.all_sites)
