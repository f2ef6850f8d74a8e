"""The console, a page for people. Its parts come again with the data that the page polls."""

from django.contrib.admin.views.decorators import staff_member_required
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from switchyard.console.page.context import page_context


@never_cache
@require_safe
@non_atomic_requests
@staff_member_required
def console(request: HttpRequest) -> HttpResponse:
    """Show the state and the load of all aliases, and where each model is read and written, to a member of staff.

    Queries: the session and the user, on their owner. Everything on the page comes from memory.
    """
    return render(request, "switchyard/console.html", page_context(request.GET.dict()))
