"""/readyz and /startupz for Kubernetes, /healthz for people and scripts. No host, no user and no text of an error."""

from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from switchyard.conf import conf
from switchyard.health.readiness import Readiness, Status
from switchyard.health.report import alias_details
from switchyard.telemetry.bearer_tokens import holds_token

_readiness = Readiness()


@never_cache
@require_safe
@non_atomic_requests
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 while the service can serve requests, all ("ok") or some ("degraded"), and 503 otherwise.

    A process that stops answers 503 ("stopping"), while it still serves. Queries: on each alias that the monitor does
    not watch, one `SELECT 1`, and the migrations of an owner until they are applied; over connections of its own, which
    metrics do not count. A verdict is reused for 1.5 seconds.
    """
    verdict = _readiness.verdict()
    return JsonResponse(
        {"status": verdict.status, "aliases": dict(verdict.aliases)}, status=_http_status(verdict.status)
    )


@never_cache
@require_safe
@non_atomic_requests
def startupz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 once every required owner was up and migrated, and 503 before. Queries as `readyz()`."""
    if not _readiness.was_ready:
        _readiness.verdict()
    return JsonResponse({"started": _readiness.was_ready}, status=200 if _readiness.was_ready else 503)


@never_cache
@require_safe
@non_atomic_requests
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer as `readyz()`, with the details of each alias, to a client with a token of SWITCHYARD["HEALTH_TOKENS"]."""
    if not holds_token(request.headers.get("Authorization", ""), conf.health_tokens):
        return JsonResponse(
            {"error": "Send a token of SWITCHYARD['HEALTH_TOKENS'] in the header Authorization, after 'Bearer '."},
            status=401,
            headers={"WWW-Authenticate": "Bearer"},
        )
    verdict = _readiness.verdict()
    return JsonResponse(
        {"status": verdict.status, "aliases": alias_details(verdict)}, status=_http_status(verdict.status)
    )


def _http_status(status: Status) -> int:
    return 200 if status in {Status.OK, Status.DEGRADED} else 503
