"""The console's data for its page and for programs, as JSON. No host, user, database name or password."""

import socket
import time
from contextlib import suppress

from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from switchyard.console import load
from switchyard.console.access import console_access_required
from switchyard.console.alias_data import aliases_data
from switchyard.console.route_question import QuestionError, answer
from switchyard.routing.monitor import monitor
from switchyard.telemetry.recent import recorder
from switchyard.telemetry.recent.ring import INTERVAL_SECONDS


@never_cache
@require_safe
@non_atomic_requests
@console_access_required
def data(_request: HttpRequest) -> JsonResponse:
    """Answer what happened on each alias in the last fifteen minutes, in all processes that share METRICS_DIR.

    Queries: those of `console_access_required`. Everything else comes from memory.
    """
    monitor.ensure_running()
    recorder.ensure_running()
    now = time.time()
    recent = recorder.recent()
    with suppress(OSError):  # a full METRICS_DIR; the thread of the recorder logs it
        recent.flush()
    recording = recent.history.recording(now)
    violations = recent.violations.newest(now)
    return JsonResponse(
        {
            "at": now,
            "interval_seconds": INTERVAL_SECONDS,
            "times": recording.times,
            "pods": [socket.gethostname()],
            "aliases": aliases_data(recording, violations),
            "decisions": load.decisions(recording),
            "statements": recent.statements.newest(now),
            "violations": violations,
        }
    )


@never_cache
@require_safe
@non_atomic_requests
@console_access_required
def route(request: HttpRequest) -> JsonResponse:
    """Answer where a model is read and written in the circumstances that the parameters name, and by which rule.

    Queries: those of `console_access_required`. 400 for wrong parameters.
    """
    try:
        return JsonResponse(answer(request.GET.dict()))
    except QuestionError as error:
        return JsonResponse({"error": str(error)}, status=400)
