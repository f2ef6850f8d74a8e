"""The views of the benchmarks. Each response has the found value and its alias."""

import json
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from tests.bench.service.models import Row


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """Answer without a database."""
    return HttpResponse("alive")


@require_safe
def read(request: HttpRequest, key: str) -> HttpResponse:
    """Read from the alias that the routers choose."""
    return JsonResponse(found(key))


@require_safe
def read_wired(request: HttpRequest, key: str) -> HttpResponse:
    """Read from the replica, whatever the routers choose."""
    row = Row.objects.using("replica").get(key=key)
    return JsonResponse({"value": row.value, "alias": row._state.db})


@require_safe
def visit(request: HttpRequest, key: str, value: int) -> HttpResponse:
    """Write in a request with a safe method, and read the value back."""
    put(key, value)
    return JsonResponse(found(key))


@csrf_exempt
@require_POST
def write(request: HttpRequest, then: str, key: str, value: int) -> HttpResponseBase:
    """Write, and read as the request says."""
    if then == "atomic":
        with transaction.atomic():
            put(key, value)
            return JsonResponse(found(key))
    put(key, value)
    match then:
        case "get":
            return JsonResponse(found(key))
        case "stream":
            return StreamingHttpResponse(_streamed(key), content_type="application/json")
        case "redirect":
            return HttpResponseRedirect(f"/rows/{key}", status=303)
    return HttpResponse(status=204)


def put(key: str, value: int) -> None:
    """Write the value; the first value of a key creates its row."""
    if value == 1:
        Row.objects.create(key=key, value=value)
    else:
        Row.objects.filter(key=key).update(value=value)


def found(key: str) -> dict[str, Any]:
    """Return the value of the key, and the alias of its row."""
    try:
        row = Row.objects.get(key=key)
    except Row.DoesNotExist:
        return {"value": None, "alias": None}
    return {"value": row.value, "alias": row._state.db}


def _streamed(key: str) -> Iterator[str]:
    yield json.dumps(found(key))
