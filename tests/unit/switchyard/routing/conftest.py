"""What the tests of routing share: the violations that were sent in a test."""

from collections.abc import Iterator
from typing import Any

import pytest

from switchyard.routing import violations


@pytest.fixture
def seen() -> Iterator[list[tuple[str, str]]]:
    """Return the violations that were sent, as (kind, alias)."""
    sent: list[tuple[str, str]] = []

    def note(*, kind: str, alias: str, **_signal: Any) -> None:
        sent.append((kind, alias))

    violations.connect(note)
    yield sent
    violations.disconnect(note)
