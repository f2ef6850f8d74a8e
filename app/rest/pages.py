"""Pages by key: `after` is the last key of the page before, so that each page costs the same."""

from collections.abc import Iterable
from typing import Annotated, Any, Protocol, TypedDict

from ninja import Schema
from pydantic import Field

from rest.fields import LARGEST_KEY


class Cursor(Schema):
    """The start of a page, and its largest number of items."""

    after: Annotated[int, Field(ge=0, le=LARGEST_KEY, description="The `next` of the page before.")] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Page[Item](Schema):
    """Items in the order of their keys; `next` is null on the last page."""

    items: list[Item]
    next: int | None


class Keyed(Protocol):
    """A row that has a key."""

    @property
    def pk(self) -> Any: ...


class Fetch(Protocol):
    """Return the first `limit` rows with a key greater than `after`, in the order of their keys."""

    def __call__(self, *, after: int, limit: int) -> Iterable[Keyed]: ...


class Rows(TypedDict):
    """A Page before it is serialized."""

    items: list[Any]
    next: int | None


def page(fetch: Fetch, cursor: Cursor) -> Rows:
    """Fetch one row more than the page holds: it shows whether another page follows, without a count."""
    rows = list(fetch(after=cursor.after, limit=cursor.limit + 1))
    items = rows[: cursor.limit]
    return {"items": items, "next": items[-1].pk if len(rows) > cursor.limit else None}
