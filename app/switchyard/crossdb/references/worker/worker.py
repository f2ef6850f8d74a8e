"""The loop of the worker: a batch of each reference in turn, until it is told to stop."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from django.db import Error, close_old_connections, connections

from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import Tombstone
from switchyard.crossdb.references.unknown import unknown_references
from switchyard.crossdb.references.worker import claims
from switchyard.crossdb.references.worker.children import reach
from switchyard.crossdb.references.worker.progress import Progress
from switchyard.crossdb.references.worker.stopping import Stop
from switchyard.telemetry import count
from switchyard.telemetry.metrics import REFERENCE_CHILDREN, TOMBSTONES

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0  # after a round without work
MAX_PAUSE_SECONDS = 60.0  # of a reference whose databases do not answer


class Worker:
    """Handles the tombstones of some references. Several workers share the work."""

    def __init__(self, references: Iterable[Reference]) -> None:
        self.references = list(references)
        self.totals = {reference.label: Counter[str]() for reference in self.references}
        self.turned_at = time.monotonic()  # when the loop last began a batch
        self.reached = not self.references  # once every owner has answered
        self._failures = Counter[str]()  # in a row, by reference
        self._not_before = dict.fromkeys(self.totals, 0.0)
        self._answered: set[str] = set()

    def warn_of_unknown(self) -> None:
        """Log the references that only tombstones name: no worker takes them."""
        for alias in sorted({reference.parent_owner for reference in self.references}):
            with suppress(Error):  # an owner that does not answer: the rounds report it
                for each in unknown_references(alias, self.references):
                    logger.warning(
                        "'%s' has %d tombstones of %s, whose deletions no installed model records. %s",
                        *(alias, each.open_tombstones.count(), each.label, each.remedy),
                    )

    def run(self, stop: Stop) -> None:
        """Work until the stop is requested. The log has what was done: a line a minute at most, and one at the end."""
        progress = Progress(self.totals)
        while not stop.is_set():
            if not self.round(stop):
                stop.wait(PAUSE_SECONDS)
            progress.log()
        progress.log(at_once=True)

    def run_once(self, stop: Stop) -> bool:
        """Handle all that is due, and return False if a reference could not be handled."""
        while not stop.is_set() and self.round(stop):
            pass
        return not +self._failures

    def round(self, stop: Stop) -> int:
        """Handle at most one batch of each reference, and return the number of tombstones."""
        handled = 0
        for reference in self.references:
            self.turned_at = time.monotonic()  # also in a pause: a supervisor must not restart a worker that waits
            if not stop.is_set() and time.monotonic() >= self._not_before[reference.label]:
                handled += self._turn(reference)
        return handled

    def _turn(self, reference: Reference) -> int:
        close_old_connections()
        label = reference.label
        try:
            batch = claims.claim(reference)
            self._handle(reference, batch)
        except Error as error:
            self._failures[label] += 1
            pause = min(2.0 ** self._failures[label], MAX_PAUSE_SECONDS)
            self._not_before[label] = time.monotonic() + pause
            logger.warning(
                "The deletions for %s wait at least %.0f s, because '%s' or '%s' failed: %s.",
                label,
                pause,
                reference.parent_owner,
                reference.child_owner,
                type(error).__name__,
                extra=_attributes(reference),
            )
            return 0
        if self._failures.pop(label, 0):
            logger.info("The deletions for %s go on.", label, extra=_attributes(reference))
        self._answered.add(label)
        self.reached = self._answered == self.totals.keys()
        return len(batch)

    def _handle(self, reference: Reference, batch: Sequence[Tombstone]) -> None:
        """Handle a batch; after an error of the rows its halves, so that a failing tombstone holds up no other one."""
        if not batch:
            return
        try:
            self._reach(reference, batch)
        except Exception as error:  # a receiver of a signal may raise any error
            if isinstance(error, Error) and _is_unreachable(reference):
                raise
            if len(batch) == 1:
                self._fail(reference, batch[0], error)
                return
            middle = len(batch) // 2
            self._handle(reference, batch[:middle])
            self._handle(reference, batch[middle:])

    def _reach(self, reference: Reference, batch: Sequence[Tombstone]) -> None:
        keys = {tombstone.parent_key: reference.key(tombstone.parent_key) for tombstone in batch}
        existing = set[Any]()
        for reached in reach(reference, keys.values()):
            self.turned_at = time.monotonic()
            existing.update(reached.existing)
            self._count(reference, "deleted" if reference.cascades else "set_null", reached.children)
        texts = {text for text, key in keys.items() if key in existing}
        claims.end(reference, batch, existing=texts)
        self._count(reference, "parent_exists", sum(each.parent_key in texts for each in batch))
        self._count(reference, "handled", sum(each.parent_key not in texts for each in batch))

    def _fail(self, reference: Reference, tombstone: Tombstone, error: Exception) -> None:
        is_set_aside = claims.fail(reference, tombstone, error)
        self._count(reference, "set_aside" if is_set_aside else "failed", 1)
        logger.log(
            logging.ERROR if is_set_aside else logging.WARNING,
            "The children of %s %s could not be reached%s.",
            reference.label,
            tombstone.parent_key,
            f", {claims.MAX_ATTEMPTS} times: the tombstone is set aside" if is_set_aside else "",
            exc_info=error,
            extra=_attributes(reference),
        )

    def _count(self, reference: Reference, outcome: str, amount: int) -> None:
        if amount:
            self.totals[reference.label][outcome] += amount
            metric = REFERENCE_CHILDREN if outcome in {"deleted", "set_null"} else TOMBSTONES
            count(metric, reference.parent_owner, reference.child_owner, outcome, amount=amount)


def _attributes(reference: Reference) -> dict[str, str]:
    """Return what a record of the log holds beside its text."""
    return {"reference": reference.label, "source": reference.parent_owner, "target": reference.child_owner}


def _is_unreachable(reference: Reference) -> bool:
    """Return True if the connection of an owner does not serve: then every tombstone would fail."""
    aliases = reference.parent_owner, reference.child_owner
    return not all(connections[alias].connection is not None and connections[alias].is_usable() for alias in aliases)
