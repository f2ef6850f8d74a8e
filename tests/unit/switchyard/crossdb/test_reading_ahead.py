"""Batches of rows that a thread reads while the caller works."""

import contextvars
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from switchyard.crossdb import reading_ahead

SIZE = 3
FULL = [*range(SIZE)]


def read_ahead(batches: Iterator[list[int]]) -> Iterator[list[int]]:
    """Read batches of SIZE rows ahead."""
    return reading_ahead.read_ahead(batches, SIZE, lambda: True)


def numbered(count: int) -> Iterator[list[int]]:
    """Yield so many full batches."""
    return ([number, *FULL[1:]] for number in range(count))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_read_ahead__order(count: int) -> None:
    """All batches come, in their order."""
    assert [chunk[0] for chunk in read_ahead(numbered(count))] == [*range(count)]


def test_read_ahead__one_small_batch() -> None:
    """A batch that is not full is the last one: no thread is started for it."""
    before = threading.active_count()

    chunks = read_ahead(iter([[1, 2]]))

    assert next(chunks) == [1, 2]
    assert threading.active_count() == before


def test_read_ahead__not_allowed() -> None:
    """Batches that must not be read in a thread come all the same, and no thread is started."""
    before = threading.active_count()

    batches = reading_ahead.read_ahead(numbered(3), SIZE, lambda: False)

    assert [next(batches)[0], next(batches)[0]] == [0, 1]
    assert threading.active_count() == before
    assert len([*batches]) == 1


def test_read_ahead__while_the_caller_works() -> None:
    """Two batches are read before the caller asks for the second one, and no third one."""
    second_and_third = threading.Barrier(2)
    read: list[int] = []

    def source() -> Iterator[list[int]]:
        for number in range(5):
            read.append(number)
            if number == 2:
                second_and_third.wait(timeout=30)
            yield FULL

    chunks = read_ahead(source())
    next(chunks)
    second_and_third.wait(timeout=30)

    next(chunks)
    assert max(read) <= 3
    assert sum(1 for _ in chunks) == 3


@pytest.mark.parametrize("allowed", [True, False])
def test_read_ahead__memory(allowed: bool) -> None:
    """The first batch is not kept while the caller works with later ones."""

    class Batch(list[int]):
        """A list that can be referred to weakly."""

    batches = reading_ahead.read_ahead((Batch(FULL) for _ in range(5)), SIZE, lambda: allowed)
    first = weakref.ref(next(batches))
    next(batches)
    gc.collect()

    assert first() is None
    assert sum(1 for _ in batches) == 3


def test_read_ahead__failing_source() -> None:
    """An error of the source reaches the caller after the batches before it."""

    def source() -> Iterator[list[int]]:
        yield FULL
        yield FULL
        raise RuntimeError("The server is gone.")

    chunks = read_ahead(source())

    assert [len(next(chunks)), len(next(chunks))] == [SIZE, SIZE]
    with pytest.raises(RuntimeError, match="The server is gone"):
        next(chunks)


def test_read_ahead__abandoned() -> None:
    """The thread ends when the caller needs no more batches."""
    chunks = read_ahead(numbered(100))
    next(chunks)

    chunks.close()  # type: ignore[attr-defined]

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("switchyard-reader")] == []


def test_read_ahead__context_of_the_caller() -> None:
    """The source is read in the context of the caller, which says where reads go."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    def source() -> Iterator[list[int]]:
        for _ in range(3):
            seen.append(variable.get())
            yield FULL

    variable.set("caller's")
    list(read_ahead(source()))

    assert seen == ["caller's"] * 3
