"""Queries: how they are executed, compiled and described."""

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, models
from django.db.models import Count, Exists, F, Field, Lookup, Q, QuerySet, Sum, Value
from django.db.models.expressions import Col, Star
from django.db.models.functions import Collate
from django.db.models.lookups import In
from django.db.models.query import ModelIterable
from django.db.models.sql import AND, OR, DeleteQuery, UpdateQuery
from django.db.models.sql.compiler import (
    SQLAggregateCompiler,
    SQLCompiler,
    SQLDeleteCompiler,
    SQLInsertCompiler,
    SQLUpdateCompiler,
)
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, ROW_COUNT, SINGLE
from django.db.models.sql.datastructures import MultiJoin
from tests.support.kinds import Kind, Special
from tests.support.noting import parameters
from tests.support.related import Article, Label, Paragraph

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Order
from switchyard.crossdb import execution
from switchyard.testing import assert_queries

in_testcase = pytest.mark.django_db(databases=["default", "analytics"])
NOON = models.DateTimeField().to_python("2026-01-02T12:00:00Z")

# Each use of a queryset, and the result types of its executions: (type, chunked).
USES: dict[str, tuple[Callable[[Any], Any], list[tuple[Any, bool]]]] = {
    "list": (list, [(MULTI, False)]),
    "values": (lambda rows: list(rows.values("kind")), [(MULTI, False)]),
    "iterator": (lambda rows: list(rows.iterator(2)), [(MULTI, True)]),
    "count": (lambda rows: rows.count(), [(SINGLE, False)]),
    "count of a slice": (lambda rows: rows.order_by("pk")[:2].count(), [(SINGLE, False)]),
    "exists": (lambda rows: rows.exists(), [(SINGLE, False)]),
    "get": (lambda rows: rows.get(user_id=1), [(MULTI, False)]),
    "first": (lambda rows: rows.first(), [(MULTI, False)]),
    "aggregate": (lambda rows: rows.aggregate(Sum("user_id")), [(SINGLE, False)]),
    "groups": (lambda rows: list(rows.values("kind").annotate(Count("pk"))), [(MULTI, False)]),
    "in_bulk": (lambda rows: rows.in_bulk(), [(MULTI, False)]),
    "dates": (lambda rows: list(rows.datetimes("at", "hour")), [(MULTI, False)]),
    "union": (lambda rows: list(rows.union(rows.filter(user_id=1))), [(MULTI, False)]),
    "subquery": (lambda rows: list(rows.filter(pk__in=rows.values("pk"))), [(MULTI, False)]),
    "explain": (lambda rows: rows.explain(), [(MULTI, False)]),
    "update": (lambda rows: rows.update(kind="b"), [(ROW_COUNT, False)]),
    "delete": (lambda rows: rows.delete(), [(ROW_COUNT, False)]),
    "raw delete": (lambda rows: rows._raw_delete("analytics"), [(ROW_COUNT, False)]),
    "delete of an instance": (lambda rows: rows.get(user_id=1).delete(), [(MULTI, False), (ROW_COUNT, False)]),
}


@pytest.fixture
def events() -> QuerySet[AnalyticsEvent]:
    """Return three events."""
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user_id=key, kind="a", at=NOON) for key in (1, 2, 3)])
    return AnalyticsEvent.objects.all()


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, bool]]:
    """Return the list to which each call of `SQLCompiler.execute_sql()` adds its result type."""
    noted: list[tuple[Any, bool]] = []

    def note(self: Any, result_type: Any = MULTI, chunked_fetch: bool = False, chunk_size: int = 100) -> Any:
        noted.append((result_type, chunked_fetch))
        return execution._execute_sql(self, result_type, chunked_fetch=chunked_fetch, chunk_size=chunk_size)

    monkeypatch.setattr(SQLCompiler, "execute_sql", note)
    return noted


def compiler_of(queryset: QuerySet[Any, Any]) -> Any:
    """Return the compiler of the queryset on SQLite."""
    return queryset.query.get_compiler("analytics")


@in_testcase
@pytest.mark.parametrize("use", USES)
def test_execute_sql__each_execution(
    use: str, events: QuerySet[AnalyticsEvent], executed: list[tuple[Any, bool]]
) -> None:
    """Each statement of a queryset is one call of `SQLCompiler.execute_sql()`, with the known type of result."""
    run, expected = USES[use]

    with assert_queries(analytics=len(expected)):
        run(events)

    assert executed == expected


def test_execute_sql__signature() -> None:
    """The replacement takes the arguments of Django's method, with the same defaults."""
    django, ours = (
        [(each.name, each.default) for each in inspect.signature(function).parameters.values()]
        for function in (execution._execute_sql, execution._planned_execute_sql)
    )

    assert django == ours
    assert [name for name, _ in django] == ["self", "result_type", "chunked_fetch", "chunk_size"]
    assert [default for _, default in django[1:]] == [MULTI, False, GET_ITERATOR_CHUNK_SIZE]


def test_execute_sql__of_subclasses() -> None:
    """Only inserts, which have no condition, and updates, which call the method, have a method of their own."""
    subclasses = (SQLAggregateCompiler, SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler)

    assert all(issubclass(each, SQLCompiler) for each in subclasses)
    assert {each for each in subclasses if "execute_sql" in vars(each)} == {SQLInsertCompiler, SQLUpdateCompiler}


@in_testcase
def test_execute_sql__results(events: QuerySet[AnalyticsEvent]) -> None:
    """MULTI gives lists of rows, SINGLE one row or None, ROW_COUNT a number; an impossible query gives nothing."""
    keys = events.order_by("user_id").values("user_id")
    updated = events.query.chain(UpdateQuery)
    updated.add_update_values({"kind": "c"})

    assert [row for some in execution._execute_sql(compiler_of(keys), MULTI) for row in some] == [(1,), (2,), (3,)]
    assert execution._execute_sql(compiler_of(keys), SINGLE) == (1,)
    assert execution._execute_sql(compiler_of(keys.filter(user_id=9)), SINGLE) is None
    assert execution._execute_sql(updated.get_compiler("analytics"), ROW_COUNT) == 3
    assert list(execution._execute_sql(compiler_of(keys.filter(pk__in=[])), MULTI)) == []
    assert execution._execute_sql(compiler_of(keys.filter(pk__in=[])), SINGLE) is None


@in_testcase
def test_execute_sql__chunked(events: QuerySet[AnalyticsEvent]) -> None:
    """A chunked execution gives lists of at most `chunk_size` rows as they are read."""
    chunks = execution._execute_sql(compiler_of(events), MULTI, chunked_fetch=True, chunk_size=2)

    assert [len(chunk) for chunk in chunks] == [2, 1]


@in_testcase
def test_compiler__compiles_again() -> None:
    """A compiler compiles its query again after an expression failed, and each expression as often as it is named."""
    compiled: list[str] = []

    class Named(Lookup):
        prepare_rhs = False

        def as_sql(self, compiler: Any, connection: Any) -> Any:
            compiled.append(self.rhs)
            if len(compiled) == 1:
                raise ZeroDivisionError
            return compiler.compile(self.lhs)

    condition = Named(F("user_id"), "x")
    compiler = compiler_of(AnalyticsEvent.objects.filter(condition | Q(condition), kind="a").order_by("-user_id"))
    with pytest.raises(ZeroDivisionError):
        compiler.as_sql()
    compiled.clear()
    compiled.append("failed before")
    first, again = compiler.as_sql(), compiler.as_sql()

    assert first == again
    assert compiled == ["failed before", "x", "x", "x", "x"]


def test_lookup__keeps_what_it_is_given() -> None:
    """With `prepare_rhs = False` a lookup keeps the object on its right side, also in the copies that Django makes."""
    given = object()

    class Named(Lookup):
        prepare_rhs = False

    users = User.objects.filter(Named(F("id"), given)).exclude(pk=1).order_by("pk")
    condition = users.query.chain().where.children[0]

    assert isinstance(condition, Named)
    assert condition.rhs is given
    assert (type(condition.lhs), condition.lhs.target) == (Col, User._meta.pk)
    assert "resolve_expression" in vars(Lookup)


@in_testcase
def test_query__explains_a_copy(events: QuerySet[AnalyticsEvent], monkeypatch: pytest.MonkeyPatch) -> None:
    """The query that `explain()` executes has `explain_info`, and the query of the queryset has none."""
    seen: list[Any] = []

    def note(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(self.query.explain_info)
        return execution._execute_sql(self, *args, **kwargs)

    monkeypatch.setattr(SQLCompiler, "execute_sql", note)
    events.explain()
    list(events.all())

    assert [info is not None for info in seen] == [True, False]


@in_testcase
def test_compiler__order() -> None:
    """`get_order_by()` gives the expressions of the order, with their direction; none without an order."""
    compiler = compiler_of(AnalyticsEvent.objects.order_by("-user_id", "pk"))
    compiler.as_sql()
    first, second = compiler.get_order_by()
    key = compiler.query.resolve_ref("user_id")

    assert (first[0].expression, first[0].descending, second[0].descending) == (key, True, False)
    assert compiler_of(AnalyticsEvent.objects.all()).get_order_by() == []


def test_query__marks_of_a_slice() -> None:
    """The marks are the begin and the end of the slice; without an end `high_mark` is None."""
    users = User.objects.order_by("pk")
    queries = [users.query, users[:3].query, users[2:5].query, users[2:].query]

    assert [(query.low_mark, query.high_mark) for query in queries] == [(0, None), (0, 3), (2, 5), (2, None)]
    assert [query.is_sliced for query in queries] == [False, True, True, True]


def test_query__tree_of_conditions() -> None:
    """`where` has the conditions of `filter()` as children; `|` and `exclude()` are nodes of their own."""
    where = User.objects.filter(pk=1).filter(Q(pk=2) | Q(pk=3)).exclude(pk=4).query.where
    plain, either, negated = where.children

    assert (where.connector, where.negated, hasattr(plain, "children")) == (AND, False, False)
    assert (either.connector, either.negated, len(either.children)) == (OR, False, 2)
    assert negated.negated


def test_query__leaves_of_the_conditions() -> None:
    """The leaves of `where` are the lookups at each depth, with the expression that a name was given as `rhs`."""
    given = Exists(User.objects.all())
    query = User.objects.filter(pk=1).exclude(Q(pk=2) | Q(pk=given)).query

    leaves: Any = list(query.where.leaves())
    assert [type(each.rhs) for each in leaves] == [int, int, Exists]
    assert {each.lhs.target for each in leaves} == {User._meta.pk}


def test_options__model_of_a_relation() -> None:
    """A model that Django made for a relation names the model of the relation, whose relations name it."""
    through: Any = Article.tags.through

    assert through._meta.auto_created is Article
    assert not Label._meta.auto_created
    relations: Any = Article._meta.many_to_many
    assert [each.name for each in relations if each.remote_field.through is through] == ["tags"]


def test_query__forms() -> None:
    """Unions, `distinct()` and groups are marked; a plain query has no mark."""
    users, plain = User.objects.all(), User.objects.filter(pk=1).query

    assert (plain.combinator, plain.distinct, plain.distinct_fields, plain.group_by) == (None, False, (), None)
    assert users.union(users).query.combinator == "union"
    assert users.values("email").distinct().query.distinct
    assert users.distinct("email").query.distinct_fields == ("email",)
    assert users.values("email").annotate(Count("pk")).query.group_by is not None


def test_query__selected_expressions() -> None:
    """`select` has the named columns, `annotation_select` the shown annotations, `annotations` all of them."""
    plain, named = User.objects.all().query, User.objects.values("id").query
    with_alias = User.objects.alias(hidden=Value(1)).annotate(shown=F("id")).query
    one = User.objects.values(key=F("id")).query

    assert [column.target for column in named.select] == [User._meta.pk]
    assert (plain.select, plain.default_cols, named.default_cols) == ((), True, False)
    assert (list(with_alias.annotation_select), list(with_alias.annotations)) == (["shown"], ["hidden", "shown"])
    assert (list(one.annotation_select), one.values_select, one.extra_select) == (["key"], (), {})
    assert list(User.objects.extra(select={"y": "1"}).query.extra_select) == ["y"]


def test_queryset__makes_instances() -> None:
    """A queryset without `values()` makes instances."""
    assert User.objects.only("id")._iterable_class is ModelIterable
    assert User.objects.values("id")._iterable_class is not ModelIterable
    assert User.objects.values_list("id", flat=True)._iterable_class is not ModelIterable


@in_testcase
def test_query__of_count(events: QuerySet[AnalyticsEvent], monkeypatch: pytest.MonkeyPatch) -> None:
    """`count()` executes a query whose only column is COUNT(*), and of a slice another one over a subquery."""
    compilers: list[Any] = []

    def note(self: Any, *args: Any, **kwargs: Any) -> Any:
        compilers.append(self)
        return execution._execute_sql(self, *args, **kwargs)

    monkeypatch.setattr(SQLCompiler, "execute_sql", note)
    events.count()
    events.order_by("pk")[:2].count()
    plain, sliced = compilers
    (count,) = plain.query.annotation_select.values()

    assert (type(count), type(count.get_source_expressions()[0]), count.filter) == (Count, Star, None)
    assert (plain.query.select, plain.query.default_cols, plain.query.is_sliced) == ((), False, False)
    assert isinstance(sliced, SQLAggregateCompiler)
    assert not isinstance(plain, SQLAggregateCompiler)


@in_testcase
def test_query__of_writes(events: QuerySet[AnalyticsEvent], monkeypatch: pytest.MonkeyPatch) -> None:
    """`update()` executes an UpdateQuery with its fields, `delete()` a DeleteQuery."""
    queries: list[Any] = []

    def note(self: Any, *args: Any, **kwargs: Any) -> Any:
        queries.append(self.query)
        return execution._execute_sql(self, *args, **kwargs)

    monkeypatch.setattr(SQLCompiler, "execute_sql", note)
    events.update(kind="b", user_id=F("user_id") + 1)
    events.delete()
    events._raw_delete("analytics")
    updated, deleted, raw = queries

    assert isinstance(updated, UpdateQuery)
    assert [field.name for field, _model, _value in updated.values] == ["kind", "user"]
    assert (type(deleted), type(raw)) == (DeleteQuery, DeleteQuery)


def test_update_query__related_updates() -> None:
    """The columns of a parent's table are updates of their own."""
    query = Special.objects.all().query.chain(UpdateQuery)
    query.add_update_values({"extra": "y", "text": "z"})

    assert list(query.related_updates) == [Kind]
    assert [field.name for field, _model, _value in query.values] == ["extra"]


@in_testcase
def test_query__is_changed_by_a_probe(events: QuerySet[AnalyticsEvent]) -> None:
    """A copy of a query gets another limit and one other column, and keeps its conditions and its order."""
    ordered = events.filter(user_id__gt=1).order_by("-user_id")[:1]
    query = ordered.query.chain()
    query.clear_limits()
    query.set_limits(high=9)
    query.select_related = False
    query.clear_select_clause()
    query.add_annotation(F("user_id"), "switchyard_key")
    compiler = query.get_compiler("analytics")

    assert list(compiler.results_iter(execution._execute_sql(compiler, MULTI))) == [(3,), (2,)]
    assert [event.user_id for event in ordered] == [3]
    assert User.objects.all().query.select_related is False


@in_testcase
def test_compiler__converters(events: QuerySet[AnalyticsEvent]) -> None:
    """The converters of the selected columns give the values that the queryset gives."""
    moments = events.values_list("at", flat=True)[:1]
    compiler = compiler_of(moments)
    sql, params = compiler.as_sql()
    converters = compiler.get_converters([expression for expression, *_ in compiler.select])
    with connections["analytics"].cursor() as cursor:
        cursor.execute(sql, params)
        stored = cursor.fetchall()

    assert [list(row) for row in compiler.apply_converters(stored, converters)] == [[NOON]]
    assert list(moments) == [NOON]


@in_testcase
def test_cursor_wrapper__fetches_by_the_cursor_inside() -> None:
    """A wrapper passes `execute()` on to its `cursor`, and so `fetchmany()` and `close()`."""
    with connections["analytics"].cursor() as cursor:
        cursor.cursor = other = connections["analytics"].connection.cursor()
        cursor.execute("SELECT 7")

        assert cursor.fetchmany(2) == [(7,)]
        assert cursor.cursor is other


def test_mysqlclient__unbuffered_cursor() -> None:
    """SSCursor does not store its result, ends with an empty tuple, and has the methods that Django's wrapper calls."""
    cursors = pytest.importorskip("MySQLdb.cursors")
    backend = pytest.importorskip("django.db.backends.mysql.base")
    buffered = cursors.Cursor

    assert issubclass(cursors.SSCursor, cursors.CursorUseResultMixIn)
    assert not issubclass(cursors.SSCursor, cursors.CursorStoreResultMixIn)
    assert issubclass(buffered, cursors.CursorStoreResultMixIn)
    assert buffered.execute is cursors.SSCursor.execute
    assert parameters(cursors.SSCursor.fetchmany) == ["self", "size"]
    assert parameters(backend.CursorWrapper.__init__) == ["self", "cursor"]


@in_testcase
def test_in__of_a_resolved_query(events: QuerySet[AnalyticsEvent]) -> None:
    """`In` with a query that was resolved for the outer query is compiled as a subquery of it."""
    outer = events.filter(user_id__gt=1)
    compiler = compiler_of(outer)
    compiler.as_sql()
    column = outer.query.resolve_ref("user_id")
    inner = events.filter(kind="a").values("user_id").query.resolve_expression(outer.query)
    sql, params = compiler.compile(In(column, inner))

    assert sql.count("SELECT") == 1
    assert "U0" in sql
    assert tuple(params) == ("a",)


def test_foreign_key__target_field() -> None:
    """A foreign key names the field that it references; other fields have no such attribute."""
    assert Order._meta.get_field("customer").target_field.name == "id"
    assert not hasattr(Field(), "target_field")


def test_query__table_of_the_query() -> None:
    """A column of the model itself has the alias `base_table`, and a column of a joined table another one."""
    query = Kind.objects.filter(parent__text="x", text="y").query
    joined, own = (condition.lhs for condition in query.where.children)

    assert own.alias == query.base_table != joined.alias
    assert own.target.null is False


def test_query__path_to_several_rows() -> None:
    """The walk over names ends at a relation to several rows with an error, which has the path up to there."""
    query = Paragraph.objects.annotate(named=F("text")).query
    assert list(query.annotations) == ["named"]
    query.names_to_path(["article", "text"], query.get_meta(), allow_many=False)

    with pytest.raises(MultiJoin) as raised:
        query.names_to_path(["article", "paragraphs", "text"], query.get_meta(), allow_many=False)

    (first, _), (second, path) = raised.value.names_with_path
    assert (first, second) == ("article", "paragraphs")
    assert path[-1].to_opts is Paragraph._meta


def test_lookup__keeps_its_arguments() -> None:
    """A lookup keeps its arguments, works without them, and is copied by its state."""
    lookup: Any = In(F("text"), ["a"])
    assert lookup._constructor_args == ((F("text"), ["a"]), {})
    assert "_constructor_args" in lookup.__getstate__()

    del lookup._constructor_args

    assert copy.copy(lookup) == lookup
    assert " IN (a)" in str(Kind.objects.filter(lookup).query)


@in_testcase
def test_queryset__pickle_runs_it(events: QuerySet[AnalyticsEvent]) -> None:
    """The pickle of a queryset runs it, that of its query does not, and a queryset is made again from its parts."""
    rows = events.using("analytics")
    with assert_queries(analytics=1):
        pickle.dumps(rows)
    with assert_queries():
        query = pickle.loads(pickle.dumps(rows.all().query))

    made: Any = QuerySet(AnalyticsEvent, using=rows._db, hints=rows._hints)
    made.query = query

    assert (made.db, list(made)) == ("analytics", list(rows))


def test_collate__has_its_collation() -> None:
    """The expression has the name of its collation, and the field of its column."""
    collated: Any = Kind.objects.annotate(collated=Collate("text", "NOCASE")).query.annotations["collated"]

    assert collated.collation == "NOCASE"
    assert collated.output_field is Kind._meta.get_field("text")
