"""django-allauth: sign-up, sign-in and a changed address, each seen by the next request."""

from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.test import Client


def test_sign_up__and_next_page(replay_paused):
    """A client signs up, and its next page shows its address."""
    client = Client()
    with replay_paused():
        password = "correct horse battery"
        form = {"username": "newcomer", "email": "new@example.org", "password1": password, "password2": password}
        signed_up = client.post("/accounts/signup/", form)
        page = client.get("/accounts/email/")

    assert signed_up.status_code == 302, signed_up.content
    assert page.status_code == 200
    assert b"new@example.org" in page.content


def test_sign_in__after_a_sign_up_elsewhere(others, replay_paused):
    """A user who signed up in one browser signs in with another browser at once."""
    with replay_paused():
        with others():
            User.objects.create_user("traveller", "traveller@example.org", "correct horse battery")
        client = Client()
        signed_in = client.post("/accounts/login/", {"login": "traveller", "password": "correct horse battery"})
        page = client.get("/accounts/email/")

    assert signed_in.status_code == 302, signed_in.content
    assert page.status_code == 200


def test_address__added_and_made_primary(others, replay_paused):
    """A user adds an address; the list that follows shows it."""
    with others():
        user = User.objects.create_user("mover", "old@example.org", "correct horse battery")
        EmailAddress.objects.create(user=user, email="old@example.org", primary=True, verified=True)
    client = Client()
    client.force_login(user, "switchyard.routing.contrib.auth.PrimaryModelBackend")
    with replay_paused():
        client.post("/accounts/email/", {"action_add": "", "email": "moved@example.org"})
        page = client.get("/accounts/email/")

    assert b"moved@example.org" in page.content
