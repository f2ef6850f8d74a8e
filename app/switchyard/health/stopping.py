"""Whether this process stops: /readyz fails from then on, while the process still serves. No Django here."""

_stopping = False


def stop_serving() -> None:
    """Let /readyz and /healthz answer 503, so that balancers send new requests elsewhere. A handler may call it."""
    global _stopping  # noqa: PLW0603 - a process stops once
    _stopping = True


def is_stopping() -> bool:
    """Return True once `stop_serving()` was called."""
    return _stopping
