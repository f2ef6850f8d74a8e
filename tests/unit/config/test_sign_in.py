"""The limits of sign-in: attempts of one address, and passwords that are checked at the same time."""

from threading import Barrier, Thread

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounts.models import User
from config.sign_in import RATE, sign_in

LOGIN = "/admin/login/"
WRONG = {"username": "ada", "password": "wrong"}
ATTEMPTS = int(RATE.partition("/")[0])
pytestmark = pytest.mark.django_db(databases=["default"])


@pytest.fixture(autouse=True)
def _cheap_passwords(settings):
    """Start without counted attempts, and with passwords that are quick to check."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    yield
    cache.clear()


def test_sign_in__right_password():
    """The right password signs in."""
    User.objects.create_superuser("ada", password="right")

    response = Client().post(LOGIN, {"username": "ada", "password": "right"}, query_params={"next": "/console/"})

    assert (response.status_code, response["Location"]) == (302, "/console/")


def test_sign_in__too_many_attempts():
    """Beyond the rate an address gets 429 with the seconds to wait; the form itself is still shown."""
    statuses = [Client().post(LOGIN, WRONG).status_code for _ in range(ATTEMPTS)]
    refused = Client().post(LOGIN, WRONG)

    assert set(statuses) == {200}
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert Client().get(LOGIN).status_code == 200


def test_sign_in__right_password_after_too_many_attempts():
    """A refused attempt checks no password."""
    User.objects.create_superuser("ada", password="right")
    for _ in range(ATTEMPTS):
        Client().post(LOGIN, WRONG)

    assert Client().post(LOGIN, {"username": "ada", "password": "right"}).status_code == 429


def test_sign_in__of_another_address():
    """The attempts of one address do not count for another address."""
    for _ in range(ATTEMPTS + 1):
        Client(REMOTE_ADDR="192.0.2.1").post(LOGIN, WRONG)

    assert Client(REMOTE_ADDR="192.0.2.2").post(LOGIN, WRONG).status_code == 200


def statuses_of(*forwarded_for):
    return [
        Client(headers={"X-Forwarded-For": addresses}).post(LOGIN, WRONG).status_code for addresses in forwarded_for
    ]


def test_sign_in__behind_a_proxy(monkeypatch):
    """Behind one proxy, the address that it appended counts, and not what the client wrote before it."""
    monkeypatch.setattr("ninja.conf.settings.NUM_PROXIES", 1)
    statuses_of(*(f"198.51.100.{n}, 192.0.2.1" for n in range(ATTEMPTS)))

    assert statuses_of("198.51.100.99, 192.0.2.1", "198.51.100.99, 192.0.2.2") == [429, 200]


def test_sign_in__without_a_proxy():
    """Without a proxy, a client cannot take another address by a header."""
    statuses_of(*(f"192.0.2.{n}" for n in range(ATTEMPTS)))

    assert statuses_of("192.0.2.99") == [429]


def test_sign_in__while_a_password_is_checked(monkeypatch):
    """Another attempt gets 429 at once while a password is checked; the attempt after that is checked."""
    begun, ended = Barrier(2, timeout=30), Barrier(2, timeout=30)

    def login(_request):
        begun.wait()
        ended.wait()
        return HttpResponse("checked")

    monkeypatch.setattr(admin.site, "login", login)
    first = Thread(target=sign_in, args=[RequestFactory().post(LOGIN, WRONG)])
    first.start()
    begun.wait()
    second = Client().post(LOGIN, WRONG)
    ended.wait()
    first.join()
    monkeypatch.undo()

    assert (second.status_code, second["Retry-After"]) == (429, "1")
    assert Client().post(LOGIN, WRONG).status_code == 200
