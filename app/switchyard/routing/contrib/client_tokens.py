"""The tokens of an HTTP client: in cookies and in a header of its requests and of the responses.

A response removes only cookies that its request carried, and each content has a cookie of its own name. So the answers
to concurrent requests may arrive in any order: none removes or replaces a position that its request did not carry.
"""

import re

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

from switchyard.positions import Position
from switchyard.routing.session import token
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.token import TokenEntry
from switchyard.routing.session.transfer import accept_tokens, entries_to_issue

COOKIE = "switchyard_position"  # the names of all cookies with tokens begin with it
HEADER = "Switchyard-Position"
_META_KEY = "HTTP_SWITCHYARD_POSITION"  # `request.headers` would copy all headers
# Directives with which shared caches keep a response for all clients. https://www.rfc-editor.org/rfc/rfc9111#section-3
_FOR_ALL_CLIENTS = re.compile(r"\b(public|s-maxage)\b", re.IGNORECASE)

type _Required = dict[str, Position | PendingPosition]


def _a_second_later(entry: TokenEntry) -> TokenEntry:
    """Return an entry of other content that requires no less, if the position is unknown; else the same entry."""
    return entry if entry.written_before is None else entry._replace(written_before=entry.written_before + 1)


class ClientTokens:
    """What one request carried, and what its response must tell the client."""

    __slots__ = ("_cookies", "_entries", "_header", "_required", "consistency")

    def __init__(self, request: HttpRequest) -> None:
        """Read the tokens of the request. No query."""
        # Django's test client sends deleted cookies with an empty value.
        self._cookies = {name: value for name, value in request.COOKIES.items() if value and name.startswith(COOKIE)}
        self._header: str | None = request.META.get(_META_KEY)
        self._entries: tuple[TokenEntry, ...] | None = ()
        if self._cookies or self._header:
            # A header that is sent twice arrives as one header, joined by a comma.
            sent = (text.strip() for text in (self._header or "").split(","))
            self.consistency, self._entries = accept_tokens((*self._cookies.values(), *sent))
        else:
            self.consistency = ConsistencyState()
        self._required: _Required = dict(self.consistency.required)

    def put_on(self, response: HttpResponseBase) -> None:
        """Put a changed token on the response. Queries as those of `entries_to_issue()`.

        A response that shared caches keep for all clients gets none.
        """
        carried = bool(self._cookies or self._header)
        if not carried and self.consistency.is_empty:
            return
        # Before the position is read: that resolves pending positions.
        requires_more = self.consistency.required != self._required
        decided = carried and (self.consistency.has_chosen_replica or requires_more)
        if not _FOR_ALL_CLIENTS.search(response.headers.get("Cache-Control", "")):
            entries = entries_to_issue(self.consistency)
            if entries == self._entries and requires_more:
                # A write in the same second as the token: a concurrent answer may remove the cookie that was carried.
                entries = tuple(_a_second_later(entry) for entry in entries)
            reads_on = self.consistency.has_chosen_replica and any(each.last_replica or each.server for each in entries)
            if reads_on or entries != self._entries:
                self._set(token.encode(entries), response)
                decided = True
        if decided:
            patch_vary_headers(response, ("Cookie", HEADER))

    def _set(self, text: str, response: HttpResponseBase) -> None:
        """Set the header, and a cookie in place of those that the request carried."""
        name = f"{COOKIE}_{token.token_id(text)}"
        if text or self._header:
            response.headers[HEADER] = text
        if text and self._cookies.get(name) != text:
            response.set_cookie(
                name,
                text,
                httponly=True,
                samesite="Lax",
                secure=settings.SESSION_COOKIE_SECURE,
                path=settings.SESSION_COOKIE_PATH,
                domain=settings.SESSION_COOKIE_DOMAIN,
            )
        for obsolete in self._cookies:
            if not text or obsolete != name:
                response.delete_cookie(
                    obsolete, path=settings.SESSION_COOKIE_PATH, domain=settings.SESSION_COOKIE_DOMAIN, samesite="Lax"
                )
        patch_cache_control(response, private=True)  # the token is of one client
