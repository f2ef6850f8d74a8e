"""/readyz for Kubernetes and people: states only. No host, no user and no error text."""

from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from switchyard.health.readiness import Readiness, Status

_readiness = Readiness()


@never_cache
@require_safe
@non_atomic_requests
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 while the service can serve requests, all ("ok") or some ("degraded"), and 503 otherwise.

    Queries: the migrations of each owner until they are applied, and one `SELECT 1` on each alias that the monitor does
    not watch; over connections of its own, which metrics do not count. A verdict is reused for 1.5 seconds.
    """
    verdict = _readiness.verdict()
    return JsonResponse(
        {"status": verdict.status, "aliases": dict(verdict.aliases)},
        status=503 if verdict.status is Status.UNAVAILABLE else 200,
    )
