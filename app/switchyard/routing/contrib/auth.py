"""Sign-in without lag: who someone is and what they may do is read from the owner.

For AUTHENTICATION_BACKENDS. Permissions and groups need nothing here: the app `auth` is PRIMARY_ONLY.
"""

from django.contrib.auth.backends import ModelBackend

from switchyard.routing.overrides.blocks import use_primary


class PrimaryModelBackend(ModelBackend):
    """Django's own backend, reading users from their owner: a changed password or a lost right counts at once."""

    authenticate = use_primary()(ModelBackend.authenticate)
    aauthenticate = use_primary()(ModelBackend.aauthenticate)
    get_user = use_primary()(ModelBackend.get_user)
    aget_user = use_primary()(ModelBackend.aget_user)
