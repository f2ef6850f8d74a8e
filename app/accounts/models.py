"""The people who use the service, on the primary."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A user of the service; events on another database name it by its key."""
