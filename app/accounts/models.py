"""The users of the service."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A user of the service. Events are on another database, and a worker deletes those of a deleted user."""
