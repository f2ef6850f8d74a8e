"""The condition over a list of keys."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import F, Q
from tests.support.kinds import OTHER, Kind, made

from switchyard.crossdb.key_list import KeyList, key_list_sql, prepared_keys

databases = pytest.mark.django_db(databases=["default"], transaction=True)
FIELDS = ("text", "empty", "nothing", "fraction", "price", "blob", "moment", "day", "pause", "key", "address", "flag")


@pytest.fixture
def kinds(db: None) -> Iterator[tuple[Kind, Kind]]:
    """Two rows that differ in each field; `nothing` of the first row is NULL."""
    with made("default"):
        yield Kind.objects.create(), Kind.objects.create(**{**OTHER, "parent": None})


def found(condition: Any) -> list[int]:
    """Return the rows of the condition on `default`."""
    return list(Kind.objects.using("default").filter(condition).order_by("id").values_list("id", flat=True))


@databases
@pytest.mark.parametrize("field", FIELDS)
def test_key_list__each_type(field: str, kinds: tuple[Kind, Kind]) -> None:
    """A key of each type finds the row that `field__in` finds."""
    keys = [getattr(kinds[1], field)]

    assert found(KeyList(field, keys)) == [kinds[1].pk]
    assert found(Q(**{f"{field}__in": keys})) == [kinds[1].pk]


@databases
def test_key_list__values_of_another_type(kinds: tuple[Kind, Kind]) -> None:
    """The field converts a key that is a text."""
    assert found(KeyList("id", [str(kinds[0].pk)])) == [kinds[0].pk]
    assert found(KeyList("key", [str(kinds[1].key)])) == [kinds[1].pk]


@databases
def test_key_list__one_parameter(kinds: tuple[Kind, Kind]) -> None:
    """More keys than SQLite has parameters are one parameter, and each of them is looked for."""
    queryset = Kind.objects.using("default").filter(KeyList("id", range(100_000)))

    assert queryset.count() == 2
    assert len(queryset.query.sql_with_params()[1]) == 1


@databases
def test_key_list__keys_that_fit_in_no_column(kinds: tuple[Kind, Kind]) -> None:
    """An integer of more than 64 bits matches nothing, and does not disturb the other keys."""
    assert found(KeyList("id", [2**63, -(2**70), kinds[0].pk])) == [kinds[0].pk]
    assert found(KeyList("id", [2**63])) == []


@databases
def test_key_list__text_with_a_nul(kinds: tuple[Kind, Kind]) -> None:
    """A text with U+0000 and one that JSON escapes are compared as they are."""
    texts = ["a\0b", 'quote " and \\ backslash', "\u2028 ä 🚉"]
    for row, text in zip(kinds, texts, strict=False):
        Kind.objects.filter(pk=row.pk).update(text=text)

    assert found(KeyList("text", [*texts, "a"])) == [row.pk for row in kinds]


@databases
def test_key_list__without_keys(kinds: tuple[Kind, Kind]) -> None:
    """No key, or only NULL, matches no row, and `exclude()` returns all rows."""
    assert found(KeyList("id", [])) == []
    assert found(KeyList("nothing", [None])) == []
    assert found(~Q(KeyList("id", []))) == [row.pk for row in kinds]


@databases
def test_key_list__null_in_the_column(kinds: tuple[Kind, Kind]) -> None:
    """`exclude()` keeps the row with NULL."""
    assert found(~Q(KeyList("nothing", [0]))) == [kinds[0].pk]
    assert found(~Q(KeyList("nothing", [7, None]))) == [row.pk for row in kinds]


@databases
def test_key_list__null_of_an_outer_join(kinds: tuple[Kind, Kind]) -> None:
    """`exclude()` keeps the row without a parent, though the parent's column is NOT NULL."""
    parent, child = kinds
    Kind.objects.filter(pk=child.pk).update(parent=parent)

    assert found(KeyList("parent__text", ["Ada"])) == [child.pk]
    assert found(~Q(KeyList("parent__text", ["Ada"]))) == [parent.pk]


@databases
def test_key_list__no_test_of_null_without_need(kinds: tuple[Kind, Kind]) -> None:
    """The SQL for a column that is NOT NULL has no second condition."""
    assert "IS NOT NULL" not in str(Kind.objects.filter(KeyList("id", [1])).query)
    assert "IS NOT NULL" in str(Kind.objects.filter(KeyList("nothing", [1])).query)


@databases
def test_key_list__foreign_key(kinds: tuple[Kind, Kind]) -> None:
    """The keys of a foreign key are prepared by the field that it references."""
    parent, child = kinds
    Kind.objects.filter(pk=child.pk).update(parent=parent)

    assert found(KeyList("parent", [str(parent.pk)])) == [child.pk]
    assert found(KeyList("parent_id", [parent.pk])) == [child.pk]


@databases
def test_key_list__wherever_a_q_is(kinds: tuple[Kind, Kind]) -> None:
    """The condition combines with others, takes an expression, and works in annotations and updates."""
    first, second = kinds
    one = KeyList("id", [first.pk])

    assert found(one | Q(nothing=0)) == [first.pk, second.pk]
    assert found(one & Q(nothing=0)) == []
    assert found(KeyList(F("id") + 1, [second.pk])) == [first.pk]
    assert list(Kind.objects.using("default").annotate(one=one).order_by("id").values_list("one", flat=True)) == [1, 0]
    assert Kind.objects.filter(one).update(text="x") == 1
    assert Kind.objects.using("default").get(text="x").pk == first.pk


@databases
def test_key_list_sql__without_keys(kinds: tuple[Kind, Kind]) -> None:
    """EmptyResultSet says that no row can match."""
    with pytest.raises(EmptyResultSet):
        key_list_sql('"id"', connections["default"], Kind._meta.pk, [])


@databases
def test_prepared_keys__wrong_value(kinds: tuple[Kind, Kind]) -> None:
    """A value that the field cannot convert is its error."""
    with pytest.raises(ValueError, match="expected a number"):
        prepared_keys(["ada"], connections["default"], Kind._meta.pk)
