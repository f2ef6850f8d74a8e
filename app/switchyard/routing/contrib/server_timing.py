"""The `Server-Timing` header: which aliases a request used, by which rules, and for how long.

Only with SWITCHYARD["SERVER_TIMING"]; without it, nothing of this module is installed.
https://www.w3.org/TR/server-timing/
"""

import re
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from switchyard.routing.contrib.request_record import RequestRecord, install, recording

type _View = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

HEADER = "Server-Timing"
_NO_TOKEN = re.compile(r"[^\w.-]", re.ASCII)


def timed(get_response: _View) -> _View:
    """Return `get_response` with the header on each response, sync or async as it was.

    The queries of a streaming body run after the headers have left, and are not in them.
    """
    install()

    def respond(request: HttpRequest) -> HttpResponseBase:
        with recording() as record:
            return _add_header(record, cast(HttpResponseBase, get_response(request)))

    async def respond_async(request: HttpRequest) -> HttpResponseBase:
        with recording() as record:
            return _add_header(record, await cast(Awaitable[HttpResponseBase], get_response(request)))

    return markcoroutinefunction(respond_async) if iscoroutinefunction(get_response) else respond


def header(record: RequestRecord) -> str:
    """Return the value of the header, with an entry for each alias; empty if the request used no database."""
    return ", ".join(_entry(record, alias) for alias in record.aliases())


def _entry(record: RequestRecord, alias: str) -> str:
    rules = ", ".join(f"{count} {rule}" for rule, count in sorted(record.rules[alias].items()))
    description = f';desc="{rules}"' if rules else ""
    return f"db-{_NO_TOKEN.sub('_', alias)}{description};dur={record.seconds[alias] * 1000:.3f}"


def _add_header(record: RequestRecord, response: HttpResponseBase) -> HttpResponseBase:
    if value := header(record):
        before = response.headers.get(HEADER)
        response.headers[HEADER] = f"{before}, {value}" if before else value
    return response
