"""The tokens with which the pods of a service read each other's records. All pods derive them from SECRET_KEY."""

import logging
from hashlib import sha256
from hmac import digest
from pathlib import Path

from django.conf import settings
from django.utils.crypto import salted_hmac

from switchyard.conf import conf
from switchyard.telemetry.recent.peer_access import allow

logger = logging.getLogger(__name__)

_SALT = "switchyard.console.pods"


def install() -> None:
    """Let the exporter of this pod answer the other pods, if CONSOLE_PEERS names any."""
    if not (conf.console_peers and conf.metrics_dir and settings.SECRET_KEY):  # a command may run without key
        return
    try:
        allow(Path(conf.metrics_dir), tokens())
    except OSError as error:
        logger.error("Other pods cannot ask this one, METRICS_DIR cannot be written: %s.", error.strerror)  # noqa: TRY400 - no traceback


def tokens() -> list[str]:
    """Return the token of SECRET_KEY, and after it those of SECRET_KEY_FALLBACKS."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [salted_hmac(_SALT, "record", secret=key, algorithm="sha256").hexdigest() for key in keys]


def label_of(address: str) -> str:
    """Return a short name for the pod at an address, the same in all pods, from which nobody finds the address."""
    return digest(tokens()[0].encode(), address.encode(), sha256).hex()[:4]
