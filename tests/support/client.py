"""What tests of the API share: a client that holds the token."""

from django.conf import settings
from django.test import Client


def api_client() -> Client:
    """Return a client that bears the API's token, and sees a failure as any client does: as a response."""
    return Client(headers={"Authorization": f"Bearer {settings.API_TOKEN}"}, raise_request_exception=False)
