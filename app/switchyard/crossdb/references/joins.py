"""Leave references out of `select_related()` without names, which follows every foreign key that is not NULL.

The admin calls it for a list that shows a relation. With the name of the reference it stays an error.
https://github.com/django/django/blob/6.1.3/django/db/models/query_utils.py#L440
"""

from functools import wraps
from typing import Any

from django.db.models.sql import compiler


def install() -> None:
    """Replace the question of the compiler whether to follow a field. A second call changes nothing."""
    descend = compiler.select_related_descend  # type: ignore[attr-defined]
    if hasattr(descend, "leaves_out_references"):
        return

    @wraps(descend)
    def followed(field: Any, restricted: bool, *args: Any, **kwargs: Any) -> bool:
        if not restricted and getattr(field, "crosses_databases", False):
            return False
        return bool(descend(field, restricted, *args, **kwargs))

    followed.leaves_out_references = True  # type: ignore[attr-defined]
    compiler.select_related_descend = followed  # type: ignore[attr-defined]
