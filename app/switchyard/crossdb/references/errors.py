"""Errors of references across databases."""

from django.core.exceptions import FieldError


class CrossDatabaseJoinError(FieldError):
    """A query that would join two databases by a reference."""

    def __init__(self, reference: str, name: str, parent: str) -> None:
        super().__init__(
            f"{reference} leads to {parent}, which is on another database, and no query can join the two. Use"
            f" prefetch_related('{name}') or attach() in place of select_related('{name}'), and"
            f" CrossDatabaseIn('{name}', {parent.rpartition('.')[2]}.objects.filter(...)) in place of a filter that"
            " names a column of the other side."
        )
