"""Lists of recent events that the processes of METRICS_DIR share: equal events are one entry, and old ones go.

A process keeps its events in memory for a second at most, and merges them into the file of the list then. The file
appears complete, by a rename, so that readers need no lock. Without METRICS_DIR a process has lists of its own. No
Django and no settings.
"""

import fcntl
import json
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

KEPT_SECONDS = 15 * 60
KEPT_OF_AN_ALIAS = 20

type Entry = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One list: its name, the keys whose values tell two entries apart, and the key of the time of the last event."""

    name: str
    identity: tuple[str, ...]  # with `alias`
    last_at: str
    merge: Callable[[Entry, Entry], Entry]  # the entry of both, of which the second one came later


def taken[T](waiting: deque[T]) -> Iterator[T]:
    """Yield and remove what waits. Another thread may do so at the same time."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


def merged(kind: Kind, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield what is kept of the entries: equal ones merged, the newest ones of each alias, the newest first.

    Of two equal entries the later one comes later.
    """
    found: dict[tuple[Any, ...], Entry] = {}
    for entry in entries:
        identity = tuple(entry[key] for key in kind.identity)
        found[identity] = kind.merge(found[identity], entry) if identity in found else entry
    newest = sorted(found.values(), key=lambda entry: -entry[kind.last_at])
    kept: dict[str, int] = defaultdict(int)
    for entry in newest:
        kept[entry["alias"]] += 1
        recent = entry[kind.last_at] > newest[0][kind.last_at] - KEPT_SECONDS
        if recent and kept[entry["alias"]] <= KEPT_OF_AN_ALIAS:
            yield entry


class Entries:
    """The list of one kind."""

    def __init__(self, kind: Kind, directory: Path | None) -> None:
        self._kind = kind
        self._path = None if directory is None else directory / kind.name
        self._own: list[Entry] = []  # without a directory
        self._own_lock = Lock()

    def add(self, entries: Sequence[Entry]) -> None:
        """Merge these entries into the list. Raises OSError if the file cannot be written."""
        if not entries:
            return
        with self._locked():
            self._replace(merged(self._kind, [*self._all(), *entries]))

    def newest(self, now: float) -> list[Entry]:
        """Return the entries whose last event is no older than fifteen minutes, the newest first."""
        return [entry for entry in self._all() if entry[self._kind.last_at] > now - KEPT_SECONDS]

    def _all(self) -> list[Entry]:
        if self._path is None:
            return self._own
        try:
            entries: list[Entry] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return []
        return entries

    def _replace(self, entries: Iterable[Entry]) -> None:
        if self._path is None:
            self._own = list(entries)
            return
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(list(entries), separators=(",", ":")))
        draft.replace(self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._path is None:
            with self._own_lock:
                yield
            return
        # Never the file itself, which each rename replaces.
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # a child that another thread forked keeps the lock open
            os.close(lock)
