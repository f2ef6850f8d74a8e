"""Requests of one client at the same time, and processes with two signing keys, while replay is paused."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from tests.support.browser import Browser
from tests.support.decided import recorded
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import NEW, OLD, Edge, counted

from switchyard.routing.contrib.client_tokens import HEADER

pytestmark = pytest.mark.docker
STATIC = "/static/admin/css/base.css"


def answer(browser: Browser, method: str, path: str, **body: Any) -> Any:
    """Return the response to a request with the cookies of now. The browser has not received it yet."""
    edge = Edge()
    edge.cookies.load(browser.cookies)
    response = edge.generic(method, path, json.dumps(body) if body else "", "application/json")
    if response.streaming:
        response.close()  # a static file
    return response


def ask(browser: Browser, method: str, path: str, **body: Any) -> Any:
    """Return the response that the browser has received."""
    response = answer(browser, method, path, **body)
    browser.receive(response)
    return response


def created(browser: Browser, name: str) -> str:
    """Create a user; return its path."""
    response = ask(browser, "POST", "/api/users", username=name, email=OLD)
    assert response.status_code == 201
    return str(response.headers["Location"])


def email(browser: Browser, path: str) -> str | None:
    """Return the email that the browser reads; None if the user is not found."""
    return ask(browser, "GET", path).json().get("email")


@pytest.mark.parametrize("late_path", [STATIC, "/api/users", "/api/aliases"])
def test_case_23__answer_to_a_get_arrives_last(watched: Servers, late_path: str) -> None:
    """The answer to a GET that began before a write takes nothing away, ten times of ten."""
    browser = Browser()
    path = created(browser, "ada")
    watched.caught_up()
    until(lambda: answer(browser, "GET", "/api/aliases").cookies, "the position is known to be replayed")
    missed = []
    for number in range(10):
        with watched.held_back():
            late = answer(browser, "GET", late_path)
            assert ask(browser, "PATCH", path, email=f"{number}@example.org").status_code == 200
            browser.receive(late)
            missed += [number] if email(browser, path) != f"{number}@example.org" else []
        watched.caught_up()
        assert late_path != STATIC or not (late.cookies or late.has_header(HEADER) or late.has_header("Vary"))

    assert missed == []


def test_case_23__answers_to_two_writes(watched: Servers) -> None:
    """Whichever of two answers arrives last, the client reads both writes, and then carries one position."""
    for order in (1, -1):
        browser = Browser()
        paths = [created(browser, f"ada{order}{number}") for number in range(2)]
        watched.caught_up()
        with watched.held_back():
            answers = [answer(browser, "PATCH", path, email=NEW) for path in paths]
            for response in answers[::order]:
                browser.receive(response)
            found = [email(browser, path) for path in paths]
            carried = len(browser.tokens())

        assert found == [NEW, NEW]
        assert carried == 1


def test_case_23__two_answers_with_headers(watched: Servers) -> None:
    """A client without cookies that sends the headers of both answers, in a list, reads both writes."""
    paths = [created(Browser(), f"ada{number}") for number in range(2)]
    watched.caught_up()
    with watched.held_back():
        headers = [answer(Browser(), "PATCH", path, email=NEW).headers[HEADER] for path in paths]
        responses = [Edge().get(path, headers={HEADER: ", ".join(headers)}) for path in paths]

    assert [each.json()["email"] for each in responses] == [NEW, NEW]


@pytest.mark.parametrize("fallback", [True, False])
def test_case_24__two_signing_keys(watched: Servers, fallback: bool) -> None:
    """Old and new processes answer in turn, and no write is missed, also if the new ones do not know the old key."""
    old = {"SECRET_KEY": settings.SECRET_KEY, "SECRET_KEY_FALLBACKS": []}
    new = {"SECRET_KEY": "rolled", "SECRET_KEY_FALLBACKS": [settings.SECRET_KEY] if fallback else []}
    browser = Browser()
    path = created(browser, "ada")
    watched.caught_up()
    before = counted("switchyard_positions_rejected_total", reason="unknown_key")
    found = []
    with watched.held_back():
        for number in range(20):
            writing, reading = (old, new) if number % 2 else (new, old)
            with override_settings(**writing):
                assert ask(browser, "PATCH", path, email=f"{number}@example.org").status_code == 200
            with override_settings(**reading):
                found.append(email(browser, path))
    watched.caught_up()

    assert found == [f"{number}@example.org" for number in range(20)]
    assert counted("switchyard_positions_rejected_total", reason="unknown_key") > before

    def reads_the_replica() -> bool:
        with override_settings(**new), recorded() as decisions:
            ask(browser, "GET", path)
        return {each.alias for each in decisions} == {"replica"}

    until(reads_the_replica, "the replica is read again")
    assert len(browser.tokens()) <= 1
