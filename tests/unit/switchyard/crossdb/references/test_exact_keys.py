"""Keys that a collation takes for equal: which parents exist, and which children are reached."""

import pytest
from tests.support import spelled_keys
from tests.support.spelled_keys import STICKERS, Label, stick, stuck

from switchyard.crossdb.references.exact_keys import children_of
from switchyard.crossdb.references.worker import children
from switchyard.crossdb.references.worker.children import parents_among, reach
from switchyard.testing import assert_queries

# Tables are made and removed, which SQLite refuses inside a transaction.
pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


def test_children_of__another_case() -> None:
    """A child whose key differs in its case is no child, though its column takes both for equal."""
    with spelled_keys.tables():
        stick("abc", "ABC", "Zoë")

        assert [child.label_id for child in children_of(STICKERS, ["ABC", "Zoë"]).order_by("id")] == ["ABC", "Zoë"]


def test_reach__many_children_of_another_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that differ in their case only are not read: more of them cost no more queries."""
    monkeypatch.setattr(children, "CHILDREN_SIZE", 2)
    with spelled_keys.tables():
        Label.objects.using("default").create(code="abc")
        stick(*["abc"] * 9, "ABC")

        with assert_queries(analytics=3, default=1):  # one child is read, asked for and changed; then there is none
            list(reach(STICKERS, ["ABC"]))

        assert stuck() == ["abc"] * 9 + [None]


def test_parents_among__another_case() -> None:
    """The parents' column decides, and keys that are left are asked for by the hundred."""
    with spelled_keys.tables(parents="nocase"):
        Label.objects.using("default").bulk_create([Label(code="abc"), Label(code="xyz")])
        missing = [f"missing{number}" for number in range(250)]

        with assert_queries(default=4):
            assert parents_among(STICKERS, ["ABC", "abc", "XYZ", *missing]) == {"ABC", "abc", "XYZ"}


def test_parents_among__both_spellings() -> None:
    """A key of another case has a parent also if the parent's own spelling is asked for beside it."""
    with spelled_keys.tables(parents="nocase"):
        Label.objects.using("default").create(code="abc")

        assert parents_among(STICKERS, ["ABC", "abc", "xyz"]) == {"ABC", "abc"}


def test_parents_among__exact_column() -> None:
    """Where the parents' column is exact, two queries are enough, and one if all parents exist."""
    with spelled_keys.tables():
        Label.objects.using("default").create(code="abc")

        with assert_queries(default=2):
            assert parents_among(STICKERS, ["ABC", "abc"]) == {"abc"}
        with assert_queries(default=1):
            assert parents_among(STICKERS, ["abc"]) == {"abc"}


def test_reach__parent_of_another_case() -> None:
    """Children of a key whose parent is spelled otherwise stay, also beside those of the parent's own spelling."""
    with spelled_keys.tables(parents="nocase", children="binary"):
        Label.objects.using("default").create(code="abc")
        stick("ABC", "abc", "xyz")

        list(reach(STICKERS, ["ABC", "abc", "xyz"]))

        assert stuck() == ["ABC", "abc", None]
