"""A prefetch across databases that streams: rows of one database with their rows of another one, in bounded memory.

`attachment.py` finds the rows of one keyword; this module reads the outer rows and puts both together.
"""

from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import ExitStack
from itertools import batched
from operator import add
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesListIterable

from switchyard.crossdb.attachment import Attachment, Keyed, form_of, refuse_deferred
from switchyard.crossdb.columns import refuse_other_than_queryset
from switchyard.crossdb.counting import counted, owner_of_rows
from switchyard.crossdb.reading_ahead import read_ahead, reads_one_cursor

# Measured with a million rows: smaller batches are slower, and larger ones take memory and no less time.
ROWS_OF_VALUES, ROWS_OF_INSTANCES = 10_000, 5_000  # in a batch; an instance takes a kilobyte


def attach(queryset: QuerySet[Any, Any], /, **rows: QuerySet[Any, Any] | Keyed) -> Generator[Any]:
    """Yield the rows of `queryset` in their order, each with its row of another queryset, on any database.

    A keyword gives the name and the other queryset. The key is in the field `<name>_id` of the outer rows, or in the
    column of the field `<name>`, and is the primary key of the other queryset's model. `Keyed` names another pair.

    - Instances get an attribute. If it is a ForeignKey, no query follows its use; without a row it is None, or raises
      DoesNotExist where the field is not `null=True`, as after `prefetch_related()`.
    - Tuples of `values_list()` get one more element for each keyword, dictionaries of `values()` one more key. The key
      must be among their columns.
    - The other queryset gives instances, dictionaries, tuples, or single values of `values_list(..., flat=True)`.

    NULL and a key without a row give None. The two databases share no snapshot: a row may be deleted meanwhile. Text
    keys are equal if all characters are, also where a collation ignores case.

    Queries: one on the alias of `queryset`. For each batch of 10,000 rows, or 5,000 if there are instances, at most one
    on the alias of each other queryset, for the keys that are not among the last 20,000. The routers choose each alias
    when its query runs, unless `using()` names it.

    Memory: a few batches, for any number of rows, where Django has server-side cursors. On MySQL and MariaDB the driver
    keeps all rows of `queryset` until the end. A thread reads the next two batches of tuples and dictionaries from
    PostgreSQL meanwhile.

    Raises FieldError if a key or a column is missing, or if a keyword would replace a field or a column, and TypeError
    for rows of another form and for other objects than querysets, before any query; FieldError for a key that is no
    value of the other field, at its batch.

        >>> from switchyard.crossdb import Keyed, attach
        >>> ada = User.objects.create(pk=7, username="ada")
        >>> events = [Event(user_id=key, kind="login", at=NOW) for key in (ada.pk, 404)]
        >>> stored = Event.objects.bulk_create(events)
        >>> users = User.objects.using("default")
        >>> [event.owner for event in attach(Event.objects.order_by("id"), owner=Keyed(users, key="user_id"))]
        [<User: ada>, None]
        >>> kinds = Event.objects.order_by("id").values_list("kind", "user_id")
        >>> list(attach(kinds, user=users.values_list("username", flat=True)))
        [('login', 7, 'ada'), ('login', 404, None)]
    """
    return _rows(_batches(queryset, _attachments(queryset, rows)))


def aattach(queryset: QuerySet[Any, Any], /, **rows: QuerySet[Any, Any] | Keyed) -> AsyncGenerator[Any]:
    """Yield the rows of `attach()` to an `async for`. Arguments, rows, queries and errors are those of `attach()`.

    >>> from asgiref.sync import async_to_sync
    >>> from switchyard.crossdb import aattach
    >>> ada = User.objects.create(pk=7, username="ada")
    >>> event = Event.objects.create(user_id=ada.pk, kind="login", at=NOW)
    >>> async def names():
    ...     users = User.objects.using("default")
    ...     return [event.user.username async for event in aattach(Event.objects.all(), user=users)]
    >>> async_to_sync(names)()
    ['ada']
    """
    return _arows(_batches(queryset, _attachments(queryset, rows)))


def _attachments(queryset: QuerySet[Any, Any], rows: dict[str, QuerySet[Any, Any] | Keyed]) -> list[Attachment]:
    refuse_other_than_queryset("attach()", queryset)
    if form_of(queryset) is FlatValuesListIterable:
        raise TypeError(
            "attach() has nothing to attach to in single values. Leave out flat=True: the rows are then tuples."
        )
    if not rows:
        raise TypeError("attach() needs a keyword with a queryset: attach(events, user=User.objects.all()).")
    return [Attachment(queryset, name, given) for name, given in rows.items()]


def _rows(batches: Iterable[Iterable[Any]]) -> Generator[Any]:
    for batch in batches:
        yield from batch


async def _arows(batches: Generator[Iterable[Any]]) -> AsyncGenerator[Any]:
    """Run each step of the batches in the thread of the connections, as Django's `aiterator()` does."""
    step: Any = sync_to_async(next)  # mypy knows one of the two signatures
    try:
        while (batch := await step(batches, None)) is not None:
            for row in batch:
                yield row
    finally:
        await sync_to_async(batches.close)()


def _batches(queryset: QuerySet[Any, Any], attachments: Sequence[Attachment]) -> Generator[Iterable[Any]]:
    form = form_of(queryset)
    has_instances = ModelIterable in {form, *(form_of(each.queryset) for each in attachments)}
    size = ROWS_OF_INSTANCES if has_instances else ROWS_OF_VALUES
    with ExitStack() as stack:
        for each in attachments:
            each.execution = stack.enter_context(counted(queryset, owner_of_rows(each.queryset), "attach"))
        outer = queryset.using(queryset.db)  # asked once: each question is a decision of the routers
        batches = batched(outer.iterator(chunk_size=size), size)
        # An instance may run code of the program when it is made, which belongs to the program's thread.
        for batch in read_ahead(batches, size, lambda: form is not ModelIterable and reads_one_cursor(outer)):
            if form is ModelIterable:
                for each in attachments:
                    refuse_deferred(batch[0], each.key_attname)
            columns = [each.values_for(batch) for each in attachments]
            if form is ValuesListIterable:
                yield map(add, batch, zip(*columns, strict=True))
            else:
                for each, column in zip(attachments, columns, strict=True):
                    _set(form, each, batch, column)
                yield batch


def _set(form: type, attachment: Attachment, batch: Sequence[Any], column: Sequence[Any]) -> None:
    name, relation = attachment.name, attachment.relation
    if form is not ModelIterable:
        for row, value in zip(batch, column, strict=True):
            row[name] = value
    elif relation is not None:
        for row, value in zip(batch, column, strict=True):
            relation.set_cached_value(row, value)
    else:
        for row, value in zip(batch, column, strict=True):
            setattr(row, name, value)
