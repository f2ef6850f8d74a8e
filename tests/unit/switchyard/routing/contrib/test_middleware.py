"""The middleware gives each request a routing context, and the client its token."""

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Any

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.models import Group
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path
from tests.support.browser import Browser
from tests.support.published import at, lagging, replayed, sampled

from accounts.models import User
from switchyard.routing import RoutingMiddleware, allow_writes, use_primary, use_replica
from switchyard.routing.contrib.client_tokens import COOKIE, HEADER
from switchyard.routing.errors import AllowWritesError
from switchyard.routing.selection.select import decide
from switchyard.routing.session import transfer
from switchyard.routing.session.context import RoutingContext, current, is_process_context
from switchyard.routing.session.token import TokenEntry, decode, encode
from switchyard.routing.session.tracking import record_read, record_write
from switchyard.routing.topology.replication import ReplicationSet
from switchyard.sql.classifier import classify

REQUESTS = 10_000
INSERT = classify("INSERT INTO accounts_user (id) VALUES (1)", "postgresql")


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReplicationSet]:
    """A replica at 4 of an owner at 9."""
    monkeypatch.setattr(transfer, "_read_position", lambda _owner: at(9))
    with lagging("replica") as group:
        replayed(group, replica=4)
        yield group


def token(lsn: int) -> str:
    return encode([TokenEntry("default", at(lsn))])


def position_cookie(response: HttpResponseBase) -> Any:
    """Return the only cookie that the response sets or deletes."""
    (cookie,) = response.cookies.values()
    assert cookie.key.startswith(COOKIE)
    return cookie


def request_of(method: str = "GET", *, cookie: str | None = None, header: str | None = None) -> HttpRequest:
    request: HttpRequest = RequestFactory().generic(method, "/", headers={} if header is None else {HEADER: header})
    if cookie is not None:
        request.COOKIES[COOKIE] = cookie
    return request


def respond(view: Callable[[HttpRequest], HttpResponseBase], request: HttpRequest) -> HttpResponseBase:
    response = RoutingMiddleware(view)(request)
    assert isinstance(response, HttpResponseBase)
    assert is_process_context(current())
    return response


def reading(_request: HttpRequest) -> HttpResponse:
    chosen = decide(User)
    record_read(chosen.alias)
    return HttpResponse(f"{chosen.alias} {chosen.rule}")


def writing(_request: HttpRequest) -> HttpResponse:
    record_write("default", INSERT)
    return HttpResponse()


def allowing(_request: HttpRequest) -> HttpResponse:
    with allow_writes("legacy", reason="a view's"):
        return HttpResponse()


async def allowing_async(request: HttpRequest) -> HttpResponse:
    return allowing(request)


def test_routing_middleware__a_view_that_allows_writes() -> None:
    """allow_writes() is refused in the view, and allowed in the same thread after the request."""
    with pytest.raises(AllowWritesError):
        RoutingMiddleware(allowing)(HttpRequest())

    assert allowing(HttpRequest()).status_code == 200


def test_routing_middleware__an_async_view_that_allows_writes() -> None:
    """allow_writes() is refused in an async view, and allowed in the same task after the request."""

    async def both() -> int:
        with pytest.raises(AllowWritesError):
            await RoutingMiddleware(allowing_async)(HttpRequest())  # type: ignore[misc]  # async in, async out
        return (await allowing_async(HttpRequest())).status_code

    assert asyncio.run(both()) == 200


@pytest.mark.parametrize(
    ("method", "alias"),
    [("GET", "replica"), ("HEAD", "replica"), ("OPTIONS", "replica"), ("TRACE", "replica")]
    + [(method, "default") for method in ("POST", "PUT", "PATCH", "DELETE", "PROPFIND")],
)
def test_routing_middleware__methods(group: ReplicationSet, method: str, alias: str) -> None:
    """Unsafe methods read the owner; an unknown method is unsafe."""
    found: list[str] = []

    def view(_request: HttpRequest) -> HttpResponse:
        found.append(decide(User).alias)
        return HttpResponse()

    respond(view, request_of(method))

    assert found == [alias]


def test_routing_middleware__no_required_position(group: ReplicationSet) -> None:
    """Without a required position the response has no cookie, no token header and no Vary."""
    response = respond(reading, request_of())

    assert response.content == b"replica replica"  # type: ignore[attr-defined]  # an HttpResponse
    assert not response.cookies
    assert not response.has_header(HEADER)
    assert not response.has_header("Vary")


def test_routing_middleware__a_write(group: ReplicationSet) -> None:
    """The client gets the position in an HttpOnly cookie and in a header."""
    response = respond(writing, request_of("POST"))
    cookie = position_cookie(response)

    assert decode(cookie.value) == [TokenEntry("default", at(9))]
    assert response.headers[HEADER] == cookie.value
    assert response.headers["Vary"] == f"Cookie, {HEADER}"
    assert response.headers["Cache-Control"] == "private"
    assert cookie["httponly"]
    assert cookie["secure"]
    assert (cookie["samesite"], cookie["path"], cookie["max-age"], cookie["expires"]) == ("Lax", "/", "", "")


@override_settings(SESSION_COOKIE_SECURE=False, SESSION_COOKIE_PATH="/app/", SESSION_COOKIE_DOMAIN="example.com")
def test_routing_middleware__cookie_attributes() -> None:
    """The cookie has the path and domain of the session cookie, when it is set and when it is deleted."""
    with lagging("replica") as group, pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "_read_position", lambda _owner: at(9))
        set_there = position_cookie(respond(writing, request_of("POST")))
        replayed(group, replica=9)
        deleted = position_cookie(respond(reading, request_of(cookie=token(5))))

    for cookie in (set_there, deleted):
        assert (cookie["path"], cookie["domain"], cookie["samesite"]) == ("/app/", "example.com", "Lax")
    assert not set_there["secure"]


@pytest.mark.parametrize("carrier", ["cookie", "header"])
def test_routing_middleware__a_client_with_a_token(group: ReplicationSet, carrier: str) -> None:
    """Reads go to the owner until the replica has caught up, and the response carries the newer position."""
    waiting = respond(reading, request_of(**{carrier: token(5)}))
    replayed(group, replica=5)
    passed = respond(reading, request_of(**{carrier: token(5)}))

    assert waiting.content == b"default pinned"  # type: ignore[attr-defined]  # an HttpResponse
    assert decode(waiting.headers[HEADER]) == [TokenEntry("default", at(9))]
    assert passed.content == b"replica replica"  # type: ignore[attr-defined]  # as above


def test_routing_middleware__nothing_changed(group: ReplicationSet) -> None:
    """A request without a read returns no token: the client has it already."""
    response = respond(lambda _request: HttpResponse(), request_of(cookie=token(5)))

    assert not response.cookies
    assert not response.has_header(HEADER)


@pytest.mark.parametrize("text", [token(5), "forged"])
def test_routing_middleware__an_obsolete_cookie(group: ReplicationSet, text: str) -> None:
    """A cookie that requires nothing, or is invalid, is deleted; no header is sent."""
    replayed(group, replica=5)
    response = respond(reading, request_of(cookie=text))

    assert response.cookies[COOKIE]["max-age"] == 0
    assert response.headers["Vary"] == f"Cookie, {HEADER}"
    assert not response.has_header(HEADER)


def test_routing_middleware__a_late_answer(group: ReplicationSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that arrives after a newer position removes and replaces only what its request carried."""
    browser = Browser()
    monkeypatch.setattr(transfer, "_read_position", lambda _owner: at(5))
    browser.receive(respond(writing, browser.request("POST")))
    replayed(group, replica=5)
    late = respond(reading, browser.request())
    monkeypatch.setattr(transfer, "_read_position", lambda _owner: at(9))
    browser.receive(respond(writing, browser.request("POST")))
    before = browser.tokens()
    browser.receive(late)

    assert late.cookies
    assert browser.tokens() == before


def test_routing_middleware__answers_in_any_order(group: ReplicationSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two requests that write at the same time, the client keeps both positions. The next response merges them."""
    for places in ((0, 1), (1, 0)):
        browser = Browser()
        answers = []
        for lsn, request in ((7, browser.request("POST")), (9, browser.request("POST"))):
            monkeypatch.setattr(transfer, "_read_position", lambda _owner, lsn=lsn: at(lsn))
            answers.append(respond(writing, request))
        for place in places:
            browser.receive(answers[place])
        several = len(browser.tokens())
        browser.receive(respond(lambda _request: HttpResponse(), browser.request()))

        assert several == 2
        (text,) = browser.tokens().values()
        assert decode(text) == [TokenEntry("default", at(9))]


def test_routing_middleware__concurrent_answers_with_one_content(group: ReplicationSet) -> None:
    """Responses with the same content share one cookie, and each request merges what it carries into the same one."""
    browser = Browser()
    requests = [browser.request("POST") for _ in range(20)]
    for request in requests:
        browser.receive(respond(writing, request))

    assert len(browser.tokens()) == 1


def test_routing_middleware__several_values_in_the_header(group: ReplicationSet) -> None:
    """A list, and a header that is sent twice, require all of their positions. The response has one in their place."""
    for header in (f"{token(5)}, {token(7)}", f"{token(7)},{token(5)}", f"{token(7)},{token(7)},"):
        response = respond(lambda _request: HttpResponse(), request_of(header=header))
        (sent,) = decode(response.headers.get(HEADER, token(7)))

        assert sent == TokenEntry("default", at(7))


@pytest.mark.parametrize("carrier", ["cookie", "header"])
def test_routing_middleware__a_replayed_token_without_a_position(
    group: ReplicationSet, monkeypatch: pytest.MonkeyPatch, carrier: str
) -> None:
    """It ends, however often it is sent: reads go to the replica, and no owner is asked for its position."""
    owners: list[str] = []
    monkeypatch.setattr(transfer, "_read_position", owners.append)
    sampled(group, 4)
    old = encode([TokenEntry("default", written_before=round(time.time()) - 60)])
    found = [respond(reading, request_of(**{carrier: old})) for _ in range(3)]

    assert [each.content for each in found] == [b"replica replica"] * 3  # type: ignore[attr-defined]  # as above
    assert owners == []


@pytest.mark.parametrize("cache_control", ["public, max-age=60", "max-age=315360000, PUBLIC, immutable", "s-maxage=5"])
def test_routing_middleware__a_response_for_all_clients(group: ReplicationSet, cache_control: str) -> None:
    """A response that shared caches keep sets and deletes nothing, whatever the request carried or wrote."""

    def view(request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            writing(request)
        return HttpResponse(headers={"Cache-Control": cache_control})

    for request in (request_of("POST"), request_of(cookie=token(4)), request_of(cookie="x"), request_of(header="x")):
        response = respond(view, request)

        assert not response.cookies
        assert response.headers["Cache-Control"] == cache_control
        assert not response.has_header(HEADER)
        assert not response.has_header("Vary")


def test_routing_middleware__vary(group: ReplicationSet) -> None:
    """A response whose reads a position decided varies by cookie and header, also if nothing changes for the client."""

    def unfit(request: HttpRequest) -> HttpResponse:
        response = reading(request)
        replayed(group, replica=5, other=4)  # the position is still required
        return response

    replayed(group, replica=5, other=4)
    unchanged = respond(unfit, request_of(cookie=token(5)))

    assert unchanged.content == b"replica replica"  # type: ignore[attr-defined]  # as above
    assert not unchanged.cookies
    assert unchanged.headers["Vary"] == f"Cookie, {HEADER}"
    assert not unchanged.has_header("Cache-Control")
    assert not respond(lambda _request: HttpResponse(), request_of(cookie=token(9))).has_header("Vary")


def test_routing_middleware__each_read_of_several_replicas() -> None:
    """The answer to each read names the replica under a name of its own: a concurrent answer cannot remove it."""
    with lagging("replica", "legacy") as group:
        replayed(group, replica=5, legacy=4)
        browser = Browser()
        browser.receive(respond(reading, browser.request()))
        (first,) = browser.tokens()
        reads, writes = browser.request(), browser.request("POST")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transfer, "_read_position", lambda _owner: at(9))
            answers = respond(reading, reads), respond(writing, writes)
        for answer in answers:
            browser.receive(answer)
        found = [decode(text)[0] for text in browser.tokens().values()]

    assert first not in browser.tokens()
    assert len(found) == 2
    assert TokenEntry("default", last_replica="replica") in found
    assert TokenEntry("default", at(9)) in found


@pytest.mark.parametrize("fallbacks", [["only-for-tests"], []])
def test_routing_middleware__two_signing_keys(group: ReplicationSet, settings: Any, fallbacks: list[str]) -> None:
    """Processes with two keys side by side each respect the positions of the other, with and without a fallback key."""
    keys = {"old": (settings.SECRET_KEY, []), "new": ("rolled", fallbacks)}
    for first, second in (("old", "new"), ("new", "old")):
        browser = Browser()
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = keys[first]
        browser.receive(respond(writing, browser.request("POST")))
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = keys[second]

        assert respond(reading, browser.request()).content == b"default pinned"  # type: ignore[attr-defined]  # as above


def test_routing_middleware__an_obsolete_header(group: ReplicationSet) -> None:
    """The response has an empty header, and deletes no cookie that the client never sent."""
    replayed(group, replica=5)
    response = respond(reading, request_of(header=token(5)))

    assert response.headers[HEADER] == ""
    assert not response.cookies


def test_routing_middleware__a_view_that_fails() -> None:
    """The error is raised, and no override stays in force."""

    def failing(_request: HttpRequest) -> HttpResponse:
        use_primary().__enter__()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RoutingMiddleware(failing)(request_of())

    assert is_process_context(current())


def test_routing_middleware__a_file() -> None:
    """A file response is not wrapped, so that the server can send the file in its own way."""
    content = io.BytesIO(b"content")
    response = respond(lambda _request: FileResponse(content), request_of())

    assert response.file_to_stream is content  # type: ignore[attr-defined]  # a FileResponse


@pytest.mark.django_db(databases=["default"])  # closing a response closes old connections
def test_routing_middleware__a_streaming_body(group: ReplicationSet) -> None:
    """The body runs and closes in the routing context of the request."""
    contexts: list[RoutingContext] = []

    def body() -> Iterator[str]:
        try:
            contexts.append(current())
            yield decide(User).alias
            yield "!"
        finally:
            contexts.append(current())

    def view(_request: HttpRequest) -> StreamingHttpResponse:
        contexts.append(current())
        return StreamingHttpResponse(body())

    response = respond(view, request_of("POST"))
    assert isinstance(response, StreamingHttpResponse)
    parts = [(part, is_process_context(current())) for part in response]
    response.close()

    assert parts == [(b"default", True), (b"!", True)]
    assert len(contexts) == 3
    assert len(set(contexts)) == 1


async def seen(_request: HttpRequest, object_id: str) -> HttpResponse:
    return HttpResponse(decide(User).alias)


def seen_sync(_request: HttpRequest, object_id: str = "") -> HttpResponse:
    return HttpResponse(decide(User).alias)


ADMIN = (
    [
        path("user/<path:object_id>/change/", seen_sync),
        path("user/<path:object_id>/async/", seen),
        path("user/", seen_sync),
    ],
    "admin",
)


class Site(AdminSite):
    """An admin site without sign-in."""

    def has_permission(self, _request: HttpRequest) -> bool:
        return True


class Listed(ModelAdmin):  # type: ignore[type-arg]  # takes none at run time
    """Pages that return the alias of reads."""

    list_display = ("pk", "name")

    def changelist_view(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:
        return seen_sync(request)

    add_view = changelist_view  # type: ignore[assignment]


class Edited(Listed):
    """A list with `list_editable`."""

    list_display = ("pk", "email")
    list_editable = ("email",)


SITE = Site()
SITE.register(Group, Listed)
SITE.register(User, Edited)
URLS = (
    path("admin/", include(ADMIN)),
    path("object/<path:object_id>/", seen_sync),
    path("site/", SITE.urls),
    path("else/accounts_user_changelist/", seen_sync, name="accounts_user_changelist"),
)
ALONE = override_settings(
    ROOT_URLCONF=URLS, MIDDLEWARE=["switchyard.routing.RoutingMiddleware"], ALLOWED_HOSTS=["testserver"]
)
PAGES = [
    ("/admin/user/1/change/", b"default"),
    ("/admin/user/1/async/", b"default"),
    ("/admin/user/", b"replica"),
    ("/object/1/", b"replica"),
    ("/site/accounts/user/", b"default"),
    ("/site/accounts/user/add/", b"replica"),
    ("/site/auth/group/", b"replica"),
    ("/else/accounts_user_changelist/", b"replica"),
]


@pytest.mark.parametrize(("page", "alias"), PAGES)
def test_process_view__pages_of_the_admin(page: str, alias: bytes) -> None:
    """The page of one object and an editable list read the owner; other pages do not."""
    with ALONE:
        assert Client().get(page).content == alias

    assert is_process_context(current())


@pytest.mark.parametrize(("page", "alias"), PAGES)
def test_process_view__on_asgi(page: str, alias: bytes) -> None:
    """The same holds for the async middleware, with sync and async views."""

    async def get() -> tuple[bytes, bool]:
        response = await AsyncClient().get(page)
        return response.content, is_process_context(current())

    with ALONE:
        assert asyncio.run(get()) == (alias, True)


def test_routing_middleware__async(group: ReplicationSet) -> None:
    """A write in an async view gives the client a token; a read without a token does not."""

    async def writing_async(request: HttpRequest) -> HttpResponse:
        return writing(request)

    async def reading_async(request: HttpRequest) -> HttpResponse:
        return reading(request)

    async def both() -> tuple[HttpResponse, HttpResponse]:
        return await called(writing_async, request_of("POST")), await called(reading_async, request_of())

    wrote_there, read_there = asyncio.run(both())

    assert decode(position_cookie(wrote_there).value) == [TokenEntry("default", at(9))]
    assert read_there.content == b"replica replica"
    assert not read_there.cookies


async def called(view: Callable[[HttpRequest], Awaitable[HttpResponseBase]], request: HttpRequest) -> Any:
    response = RoutingMiddleware(view)(request)
    assert isinstance(response, Awaitable)
    return await response


class Own:
    """The token and the override of one of many requests, and a check that it sees no other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.prefers = ("", "primary", "replica")[number % 3]
        self.request = request_of("POST" if number % 2 else "GET", cookie=token(number + 5))  # the replica is at 4

    def override(self) -> Any:
        return {"primary": use_primary, "replica": use_replica}[self.prefers]()

    def check(self, prefers: str) -> None:
        context = current()
        assert context.consistency.required == {"default": at(self.number + 5)}
        assert (context.in_request, context.unsafe_method, context.preference) == (True, bool(self.number % 2), prefers)

    def through(self) -> Iterator[None]:
        """Check before, inside and after the override; other requests run between the steps."""
        self.check("")
        yield
        if self.prefers:
            with self.override():
                self.check(self.prefers)
                yield
                self.check(self.prefers)
        else:
            yield
        self.check("")


def test_isolation__threads(group: ReplicationSet) -> None:
    """Requests that run at the same time in several threads see only their own context."""
    together = 8
    barrier = threading.Barrier(together)

    def serve(first: int) -> None:
        for number in range(first, REQUESTS, together):
            own = Own(number)

            def view(_request: HttpRequest, own: Own = own) -> HttpResponse:
                for _ in own.through():
                    barrier.wait(30)
                return HttpResponse()

            respond(view, own.request)

    with ThreadPoolExecutor(together) as pool:
        for served in [pool.submit(serve, first) for first in range(together)]:
            served.result()


def test_isolation__tasks(group: ReplicationSet) -> None:
    """Requests that take turns on one event loop see only their own context."""

    async def serve(number: int) -> None:
        own = Own(number)

        async def view(_request: HttpRequest) -> HttpResponse:
            for _ in own.through():
                await asyncio.sleep(0)
            return HttpResponse()

        before = current()
        await called(view, own.request)
        assert current() is before

    async def serve_all() -> None:
        for numbers in batched(range(REQUESTS), 100):
            await asyncio.gather(*map(serve, numbers))
        assert is_process_context(current())

    asyncio.run(serve_all())


@pytest.mark.django_db(databases=["default"])  # as above
def test_isolation__streaming_bodies(group: ReplicationSet) -> None:
    """Bodies that take turns in one thread, some closed early, each run in the context of their own request."""

    def body(own: Own) -> Iterator[bytes]:
        for _ in own.through():
            yield b"."

    for numbers in batched(range(REQUESTS), 50):
        responses = []
        for number in numbers:
            own = Own(number)
            responses.append(respond(lambda _request, own=own: StreamingHttpResponse(body(own)), own.request))  # type: ignore[misc]
        bodies = [iter(response) for response in responses]  # type: ignore[arg-type]  # they stream
        for sent in bodies:
            assert next(sent) == b"."
        assert is_process_context(current())
        for sent in bodies[::2]:
            assert list(sent) == [b"."]
        assert is_process_context(current())
        for response in responses:
            response.close()
        assert is_process_context(current())


def test_isolation__async_streaming_bodies(group: ReplicationSet) -> None:
    """The same holds for async bodies that one task consumes."""

    async def body(own: Own) -> AsyncIterator[bytes]:
        for _ in own.through():
            await asyncio.sleep(0)
            yield b"."

    async def serve(numbers: tuple[int, ...]) -> None:
        bodies = []
        for number in numbers:
            own = Own(number)
            response = RoutingMiddleware(lambda _request, own=own: StreamingHttpResponse(body(own)))(own.request)  # type: ignore[misc]
            assert isinstance(response, StreamingHttpResponse)
            bodies.append(aiter(response))
        for sent in bodies:
            assert await anext(sent) == b"."
        assert is_process_context(current())
        for sent in bodies:
            assert [part async for part in sent] == [b"."]
        assert is_process_context(current())

    async def serve_all() -> None:
        for numbers in batched(range(REQUESTS), 50):
            await serve(numbers)

    asyncio.run(serve_all())
