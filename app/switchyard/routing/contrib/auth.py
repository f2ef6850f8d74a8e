"""Sign-in that reads users from their owner. Permissions and groups need no code: the app `auth` is PRIMARY_ONLY."""

from django.contrib.auth.backends import ModelBackend

from switchyard.routing.overrides.blocks import use_primary


class PrimaryModelBackend(ModelBackend):
    """Django's ModelBackend, which reads users from their owner: a changed password or a lost right counts at once.

    Its queries are those of Django's backend, all on the owner. In the settings:

        AUTHENTICATION_BACKENDS = ["switchyard.routing.contrib.auth.PrimaryModelBackend"]
    """

    authenticate = use_primary()(ModelBackend.authenticate)
    aauthenticate = use_primary()(ModelBackend.aauthenticate)
    get_user = use_primary()(ModelBackend.get_user)
    aget_user = use_primary()(ModelBackend.aget_user)
