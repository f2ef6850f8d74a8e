"""The client for tests of the service's API."""

from django.conf import settings
from django.test import Client


def api_client() -> Client:
    """Return a client that sends the API's token. An error in a view becomes a response with status 500."""
    return Client(headers={"Authorization": f"Bearer {settings.API_TOKEN}"}, raise_request_exception=False)
