"""The formats of the console's numbers."""

import doctest

import pytest

from switchyard.templatetags import console_formats
from switchyard.templatetags.console_formats import LEVEL_SYMBOLS, duration, percent, rate, size


def test_console_formats__examples() -> None:
    """The examples in the docstrings are right."""
    assert doctest.testmod(console_formats).failed == 0
    assert doctest.testmod(console_formats).attempted > 0


@pytest.mark.parametrize("show", [rate, duration, size, percent])
def test_console_formats__unknown(show) -> None:
    """What is not known is a dash, and not zero."""
    assert show(None) == "\N{EN DASH}"
    assert show(0) != show(None)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.00004, "0.04 ms"),
        (0.0095, "9.5 ms"),
        (0.4321, "432 ms"),
        (9.94, "9.9 s"),
        (599, "599 s"),
        (6000, "100 min"),
    ],
)
def test_duration__units(seconds: float, shown: str) -> None:
    """The unit grows with the duration."""
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0 %"), (0.001, "<1 %"), (0.5, "50 %"), (0.9999, ">99 %"), (1, "100 %")]
)
def test_percent__ends(share: float, shown: str) -> None:
    """A little is not nothing, and nearly everything is not everything."""
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"), [(999, "999 B"), (1000, "1 kB"), (5_000_000, "5 MB"), (3_200_000_000, "3 GB")]
)
def test_size__units(size_bytes: int, shown: str) -> None:
    """The unit grows with the size."""
    assert size(size_bytes) == shown


def test_symbols__all_different() -> None:
    """No two levels have the same symbol."""
    assert len(set(LEVEL_SYMBOLS.values())) == len(LEVEL_SYMBOLS)
