"""Delete the children of parents that are gone, or set their reference to NULL."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from django.db.models import Value

from switchyard.crossdb.key_list import KeyList
from switchyard.crossdb.references.exact_keys import children_of, has_text_key, with_exact_keys
from switchyard.crossdb.references.registry import Reference

CHILDREN_SIZE = 1_000  # rows that one transaction changes
_KEYS_SIZE = 100  # keys that one statement asks for one by one


class Reached(NamedTuple):
    """The result of one statement: rows of the child's table that it changed, and keys whose parents exist."""

    children: int
    existing: Collection[Any]


def reach(reference: Reference, keys: Collection[Any]) -> Iterator[Reached]:
    """Reach the children of these parents, as far as the parents do not exist, by bounded batches.

    The children are read first and the parents' owner is asked afterwards, so that a child that was inserted after its
    parent came back stays: such a child is not among those that were read before. Queries of each batch: one read on
    each owner, and one write on the child's owner.
    """
    gone, skipped = set(keys), set[Any]()
    while gone and (children := _children(reference, gone, skipped)):
        existing = parents_among(reference, {key for _, key in children if key in gone})
        gone -= existing
        reached = {pk: key for pk, key in children if key in gone}
        # A field may read another key than its column holds: such a row is no child of these parents.
        skipped.update(pk for pk, key in children if key not in gone and key not in existing)
        yield Reached(_change(reference, reached) if reached else 0, existing)


def parents_among(reference: Reference, keys: Collection[Any]) -> set[Any]:
    """Return the keys whose parents exist on their owner now.

    One query. One more for texts if some exist and others do not: a collation may take two of them for equal. If it
    does, one more for each 100 of the keys that are left.
    """
    found = set(reference.parents().filter(KeyList("pk", keys)).values_list("pk", flat=True))
    existing = found & set(keys)
    missing = set(keys) - existing
    are_equal = found != existing  # to keys of parents that are spelled otherwise
    if not are_equal and existing and has_text_key(reference):
        are_equal = reference.parents().filter(KeyList("pk", missing)).exists()
    return existing.union(_equal_to_others(reference, list(missing))) if are_equal else existing


def _equal_to_others(reference: Reference, keys: list[Any]) -> Iterator[Any]:
    """Yield the keys that the parent's column takes for equal to another key."""
    for begin in range(0, len(keys), _KEYS_SIZE):
        first, *others = (
            reference.parents().filter(KeyList("pk", [key])).order_by().values_list(Value(position), flat=True)
            for position, key in enumerate(keys[begin : begin + _KEYS_SIZE], begin)
        )
        yield from (keys[position] for position in first.union(*others, all=True))


def _children(reference: Reference, keys: Collection[Any], skipped: Collection[Any]) -> list[tuple[Any, Any]]:
    column = reference.field.attname
    rows = children_of(reference, keys).values_list("pk", column)
    return list((rows.exclude(pk__in=skipped) if skipped else rows)[:CHILDREN_SIZE])


def _change(reference: Reference, reached: Mapping[Any, Any]) -> int:
    # A child may have got another parent since it was read. Plain lists: MySQL compares two tables of JSON row by row.
    keys = set(reached.values())
    children = reference.children().filter(pk__in=list(reached), **{f"{reference.field.attname}__in": keys})
    children = with_exact_keys(children, reference, keys)
    if not reference.cascades:
        return children.update(**{reference.field.attname: None})
    _, deleted = children.delete()
    return deleted.get(reference.field.model._meta.label, 0)
