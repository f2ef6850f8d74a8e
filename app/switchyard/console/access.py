"""Who may read the data of the console: a member of staff with a session, or a client with a token."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from switchyard.conf import conf
from switchyard.telemetry.bearer_tokens import holds_token


def console_access_required[**P](
    view: Callable[P, HttpResponse],
) -> Callable[P, HttpResponse]:
    """Answer 401 to a client without session and token, and 403 to a user who is no member of staff, as JSON.

    Queries: none for a token of SWITCHYARD["CONSOLE_TOKENS"]; otherwise the session and the user, on their owner.
    """

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        request: Any = args[0]
        return refusal(request) or view(*args, **kwargs)

    return guarded


def refusal(request: HttpRequest) -> JsonResponse | None:
    """Return the answer to a client who may not read the console; None for one who may."""
    if holds_token(request.headers.get("Authorization", ""), conf.console_tokens):
        return None
    user = getattr(request, "user", None)  # absent without AuthenticationMiddleware
    if user is not None and user.is_active and user.is_staff:
        return None
    if user is not None and user.is_authenticated:
        return JsonResponse({"error": "This user is no member of staff. Sign in as one who is."}, status=403)
    return JsonResponse(
        {
            "error": "Sign in as a member of staff, or send a token of SWITCHYARD['CONSOLE_TOKENS'] in the header"
            " Authorization, after 'Bearer '."
        },
        status=401,
        headers={"WWW-Authenticate": "Bearer"},
    )
