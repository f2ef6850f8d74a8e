"""`manage.py top`: rates of the counters by alias."""

import json
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings

from accounts.models import User
from legacy.models import Customer


@pytest.fixture
def _shared(tmp_path: Path) -> Iterator[None]:
    """A directory that processes share."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "METRICS_DIR": str(tmp_path)}):
        yield


def top(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Return the output after one interval, in which three queries run."""
    sleep = time.sleep

    def query(seconds: float) -> None:
        list(User.objects.all())
        list(User.objects.all())
        list(Customer.objects.all())
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", query)
    out = StringIO()
    call_command("top", "--count=1", "--interval=0.05", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("_shared")
@pytest.mark.django_db(databases=["default", "replica", "legacy"])
def test_top__json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each renewal is a line with the rates and durations of each alias; two reads are twice as many as one."""
    (line,) = top(monkeypatch, "--json").splitlines()
    rows = {row["alias"]: row for row in json.loads(line)}

    assert rows.keys() == {"default", "replica", "analytics", "legacy"}
    assert rows["replica"]["reads_per_second"] == pytest.approx(2 * rows["legacy"]["reads_per_second"])
    assert 0 < rows["replica"]["p50_seconds"] <= rows["replica"]["p99_seconds"]
    assert (rows["analytics"]["reads_per_second"], rows["analytics"]["p50_seconds"]) == (0, None)
    assert rows["replica"]["role"] == "replica of default"


@pytest.mark.usefixtures("_shared")
@pytest.mark.django_db(databases=["default", "replica", "legacy"])
def test_top__table(monkeypatch: pytest.MonkeyPatch) -> None:
    """People get a table with a row for each alias."""
    said = top(monkeypatch, "--no-color")

    assert [line.split()[1] for line in said.splitlines() if " owner " in line] == ["default", "analytics", "legacy"]
    assert "reads/s" in said
    assert " ms " in said


def test_top__without_metrics_dir() -> None:
    """The error names the variable."""
    with pytest.raises(CommandError, match="METRICS_DIR is not set"):
        call_command("top", "--count=1")


@pytest.mark.usefixtures("_shared")
def test_top__interval() -> None:
    """An interval of 0 would divide by 0."""
    with pytest.raises(CommandError, match=r"--interval is 0\.0: set a number of seconds above 0"):
        call_command("top", "--interval=0")
