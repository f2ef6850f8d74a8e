"""/readyz for Kubernetes and people: states only, no host, no user, no error text."""

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
    """Answer 200 while requests can be served, also in part ("degraded"), else 503."""
    verdict = _readiness.verdict()
    return JsonResponse(
        {"status": verdict.status, "aliases": dict(verdict.aliases)},
        status=503 if verdict.status is Status.UNAVAILABLE else 200,
    )
