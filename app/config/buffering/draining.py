"""The stop of a worker: /readyz fails first, and the socket closes when balancers had time to notice.

gunicorn's own worker stops accepting at SIGTERM. Until a balancer has asked again, it sends requests that are refused.
"""

import signal
import time
from typing import Any

from django.conf import settings
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # gunicorn has no types

from switchyard.health.stopping import stop_serving


class DrainingWorker(ThreadWorker):  # type: ignore[misc]  # as above
    """Serve on for DRAIN_SECONDS after SIGTERM, then stop as gunicorn's threaded worker does."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._closes_at: float | None = None  # time.monotonic(); None before SIGTERM

    def handle_exit(self, sig: int, frame: object) -> None:
        """Let /readyz fail from now on. A second signal changes nothing."""
        if self._closes_at is None:
            stop_serving()
            self._closes_at = time.monotonic() + settings.DRAIN_SECONDS
            self.method_queue.defer(lambda: None)  # wakes the main loop

    def murder_pending(self) -> None:
        """Stop once the time is over: the main loop calls this in each turn, at least once a second."""
        if self._closes_at is not None and time.monotonic() >= self._closes_at:
            super().handle_exit(signal.SIGTERM, None)
        super().murder_pending()
