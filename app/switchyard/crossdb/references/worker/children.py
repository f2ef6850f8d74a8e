"""Delete the children of parents that are gone, or set their reference to NULL."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from switchyard.crossdb.key_list import KeyList
from switchyard.crossdb.references.registry import Reference

CHILDREN_SIZE = 1_000  # rows that one transaction changes


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
        # A collation may take other keys for equal: their rows are no children of these parents.
        skipped.update(pk for pk, key in children if key not in gone and key not in existing)
        yield Reached(_change(reference, reached) if reached else 0, existing)


def parents_among(reference: Reference, keys: Collection[Any]) -> set[Any]:
    """Return the keys whose parents exist on their owner now. One query; more if a collation found other keys."""
    found = set(reference.parents().filter(KeyList("pk", keys)).values_list("pk", flat=True))
    existing = found & set(keys)
    if existing != found:
        existing |= {key for key in set(keys) - existing if reference.parents().filter(pk=key).exists()}
    return existing


def _children(reference: Reference, keys: Collection[Any], skipped: Collection[Any]) -> list[tuple[Any, Any]]:
    column = reference.field.attname
    rows = reference.children().filter(KeyList(column, keys)).values_list("pk", column)
    return list((rows.exclude(pk__in=skipped) if skipped else rows)[:CHILDREN_SIZE])


def _change(reference: Reference, reached: Mapping[Any, Any]) -> int:
    # A child may have got another parent since it was read. Plain lists: MySQL compares two tables of JSON row by row.
    keys = {f"{reference.field.attname}__in": set(reached.values())}
    children = reference.children().filter(pk__in=reached, **keys)
    if not reference.cascades:
        return children.update(**{reference.field.attname: None})
    _, deleted = children.delete()
    return deleted.get(reference.field.model._meta.label, 0)
