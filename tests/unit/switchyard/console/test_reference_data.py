"""What the console tells of references, from the files of the workers and from the counters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import DO_NOTHING
from django.test import Client, RequestFactory, override_settings

from analytics.models import AnalyticsEvent
from switchyard.console.views import console
from switchyard.telemetry import count
from switchyard.telemetry.gauges import reference_gauges
from switchyard.telemetry.gauges.reference_gauges import ReferenceGauges
from switchyard.telemetry.metrics import CROSS_DATABASE_QUERIES, REFERENCE_CHILDREN, TOMBSTONES

LABEL = "analytics.AnalyticsEvent.user"
GAUGES = ReferenceGauges(LABEL, "default", "analytics", waiting=3, set_aside=1, oldest_age_seconds=7.5)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """The METRICS_DIR of the console and of workers; the counters of this process stay in its memory."""
    given = {**settings.SWITCHYARD, "METRICS_DIR": str(tmp_path), "CONSOLE_TOKENS": ["secret"]}
    with override_settings(SWITCHYARD=given):
        yield tmp_path


def found(client: Client) -> dict[str, Any]:
    """Return the data."""
    answer: dict[str, Any] = client.get("/console/data", headers={"Authorization": "Bearer secret"}).json()
    return answer


def page() -> str:
    """Return the page as a member of staff gets it."""
    request = RequestFactory().get("/console/")
    request.user = get_user_model()(is_staff=True, is_active=True)
    return console(request).content.decode()


def section() -> str:
    """Return the section of the page about references."""
    return page().split('<div id="references">')[1].split("</section>")[0]


def test_references__of_a_worker(client: Client, directory: Path) -> None:
    """A reference has its owners, its rule and the numbers that a worker reports."""
    reference_gauges.write(reference_gauges.claim(directory), [GAUGES])
    (entry,) = found(client)["references"]

    assert 0 <= entry.pop("read_seconds_ago") < 30
    assert entry == {
        "reference": LABEL,
        "parent": "accounts.User",
        "source": "default",
        "target": "analytics",
        "rule": "CASCADE",
        "recorded_by": "triggers",
        "waiting": 3,
        "oldest_age_seconds": 7.5,
        "set_aside": 1,
    }


def test_references__without_a_worker(client: Client, directory: Path) -> None:
    """Without a worker the reference is there, and its numbers are unknown."""
    (entry,) = found(client)["references"]

    assert (entry["reference"], entry["waiting"], entry["set_aside"]) == (LABEL, None, None)


def test_references__unknown_reference(client: Client, directory: Path) -> None:
    """Tombstones that no worker takes have an entry after the references, a row and a line that needs attention."""
    unknown = GAUGES._replace(reference="shop.Order.user", target="")
    reference_gauges.write(reference_gauges.claim(directory), [GAUGES, unknown])
    known, entry = found(client)["references"]

    assert (known["reference"], known["waiting"], entry["reference"]) == (LABEL, 3, "shop.Order.user")
    assert entry.keys() == known.keys()
    assert (entry["source"], entry["target"], entry["waiting"], entry["set_aside"]) == ("default", "", 3, 1)
    row = section().split('<th scope="row">shop.Order.user</th>')[1].split("</tr>")[0]
    assert '<span class="state warning">unknown</span>' in row
    assert '<td class="number">3</td>' in row
    assert '<span class="state warning">shop.Order.user</span> <strong>unknown reference</strong>' in page()


def test_references__that_nothing_follows(client: Client, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DO_NOTHING no deletion is recorded."""
    monkeypatch.setattr(AnalyticsEvent._meta.get_field("user"), "on_delete", DO_NOTHING)
    (entry,) = found(client)["references"]

    assert (entry["rule"], entry["recorded_by"]) == ("DO_NOTHING", None)


def test_across__since_the_counters_began(client: Client, directory: Path) -> None:
    """Queries by strategy, deleted parents and children are counted by source and target."""
    before = {(each["source"], each["target"]): each for each in found(client)["across"]}
    count(TOMBSTONES, "default", "analytics", "handled", amount=2)
    count(REFERENCE_CHILDREN, "default", "analytics", "deleted", amount=9)
    count(CROSS_DATABASE_QUERIES, "default", "analytics", "chunks")
    after = {(each["source"], each["target"]): each for each in found(client)["across"]}["default", "analytics"]
    earlier = before.get(("default", "analytics"), {"tombstones": {}, "children": {}, "queries": {}})

    added = {
        (kind, value): after[kind][value] - earlier[kind].get(value, 0)
        for kind, value in (("tombstones", "handled"), ("children", "deleted"), ("queries", "chunks"))
    }
    assert added == {("tombstones", "handled"): 2, ("children", "deleted"): 9, ("queries", "chunks"): 1}


def test_page__references(directory: Path) -> None:
    """The page shows the reference with its owners and numbers, and what was set aside needs attention."""
    reference_gauges.write(reference_gauges.claim(directory), [GAUGES])
    shown = section()

    assert f'<th scope="row">{LABEL}</th><td>default<small>accounts.User</small></td><td>analytics</td>' in shown
    assert '<td class="number">3</td><td class="number">7.5 s</td>' in shown
    assert '<span class="state warning">1</span>' in shown
    assert f'<span class="state warning">{LABEL}</span> <strong>set aside</strong>' in page()


def test_page__without_a_worker(directory: Path) -> None:
    """The page says that no worker reports."""
    assert "no worker reports" in section()
