"""The console's tests see nothing that tests before them have left in this process."""

import pytest

from switchyard.telemetry.recent import recorder, statements, violations


@pytest.fixture(autouse=True)
def _nothing_recent(monkeypatch: pytest.MonkeyPatch) -> None:
    statements.discard()
    violations.discard()
    monkeypatch.setattr(recorder._recorder, "_recent", None)
