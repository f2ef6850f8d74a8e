"""What the worker has done, for its log: at most one line a minute."""

import logging
import time
from collections import Counter
from collections.abc import Mapping

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0


class Progress:
    """The difference of the worker's totals since the last line. `totals` has counts by outcome for each reference."""

    def __init__(self, totals: Mapping[str, Counter[str]]) -> None:
        self._totals = totals
        self._logged = {label: Counter(total) for label, total in totals.items()}
        self._logged_at = time.monotonic()

    def log(self, *, at_once: bool = False) -> None:
        """Log what was done since the last line, once a minute, or at once; nothing if nothing was done.

        The record has the attributes `seconds`, and `references`: reference -> outcome -> count.
        """
        now = time.monotonic()
        seconds = now - self._logged_at
        if seconds < INTERVAL_SECONDS and not at_once:
            return
        done = {label: dict(total - self._logged[label]) for label, total in self._totals.items()}
        if done := {label: counts for label, counts in done.items() if counts}:
            logger.info("deletions", extra={"seconds": round(seconds, 3), "references": done})
        self._logged = {label: Counter(total) for label, total in self._totals.items()}
        self._logged_at = now
