"""Chunks and probes of a few rows."""

import pytest

from switchyard.crossdb import planning, sources
from switchyard.crossdb.strategies import probe


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk have three keys, and a probe at most six rows."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 3)
    monkeypatch.setattr(planning, "CHUNK_SIZE", 3)
    monkeypatch.setattr(probe, "PROBE_SIZES", (3, 6))
