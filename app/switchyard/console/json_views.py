"""The console's data for its page and for programs, as JSON. No host, user, database name or password."""

from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from switchyard.console.access import console_access_required
from switchyard.console.console_data import console_data
from switchyard.console.page.context import page_context, page_parts
from switchyard.console.route_question import QuestionError, answer


@never_cache
@require_safe
@non_atomic_requests
@console_access_required
def data(request: HttpRequest) -> JsonResponse:
    """Answer what happened on each alias in the last fifteen minutes, in all processes that share METRICS_DIR.

    With the parameter `parts` the answer also holds the changing parts of the page as HTML, so that one template makes
    them for the first load and for each update. Queries: those of `console_access_required`.
    """
    if "parts" not in request.GET:
        return JsonResponse(console_data())
    context = page_context(request.GET.dict())
    return JsonResponse(context["data"] | {"parts": page_parts(context)})


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
