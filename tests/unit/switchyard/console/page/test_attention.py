"""What the page says first: which alias needs attention, and why."""

from collections.abc import Sequence
from typing import Any

import pytest

from switchyard.console.page.attention import WAITING_SECONDS, Finding, findings

PENDING = {"fault": "pending migrations", "level": "warning", "text": "3 migrations are not applied.", "since": 9.0}
DOWN = {"fault": "down", "level": "error", "text": "It is silent.", "since": 7.0}


def data(
    pods_found: bool = True,
    missing: tuple[str, ...] = (),
    missing_workers: tuple[str, ...] = (),
    references: Sequence[Any] = (),
    **problems: Any,
) -> dict[str, Any]:
    """Return the console's data of aliases, each with its problems, and of references."""
    return {
        "aliases": [{"alias": alias, "problems": found} for alias, found in problems.items()],
        "pods": [
            {"pod": "3f2a", "answers": True, "worker": False},
            *({"pod": pod, "answers": False, "worker": False} for pod in missing),
            *({"pod": pod, "answers": False, "worker": True} for pod in missing_workers),
        ],
        "pods_found": pods_found,
        "references": references,
    }


def test_findings__all_well() -> None:
    """Nothing is found where each alias is as it should be."""
    assert findings(data(default=[], legacy=[])) == ()


def test_findings__of_an_alias() -> None:
    """The finding names the alias, the fault, and since when there is the fault."""
    assert findings(data(default=[PENDING])) == (
        Finding("default", "pending migrations", "warning", "3 migrations are not applied.", 9.0),
    )


def test_findings__errors_first() -> None:
    """Errors come before warnings."""
    found = findings(data(default=[PENDING], replica=[DOWN]))

    assert [finding.where for finding in found] == ["replica", "default"]


def test_findings__missing_pod() -> None:
    """A pod that does not answer is named."""
    (finding,) = findings(data(missing=("81c0",)))

    assert (finding.where, finding.fault, finding.level) == ("pod 81c0", "does not answer", "warning")


def test_findings__missing_worker() -> None:
    """A worker of references that does not answer is named as such, with what is unknown without it."""
    (finding,) = findings(data(missing_workers=("81c0",)))

    assert (finding.where, finding.fault, finding.level) == ("worker 81c0", "does not answer", "warning")
    assert finding.text.startswith("It does not report the deletions that wait in references across databases.")


def reference(waiting: int | None = 0, set_aside: int | None = 0, oldest: float | None = 0.0) -> dict[str, Any]:
    """Return a reference of the console's data; its numbers are None if no worker reports them."""
    numbers = {"waiting": waiting, "set_aside": set_aside, "oldest_age_seconds": oldest}
    return {"reference": "a.B.c", "source": "default", "target": "analytics", **numbers}


@pytest.mark.parametrize("found", [reference(), reference(waiting=5, oldest=60.0), reference(None, None, None)])
def test_findings__reference_that_is_well(found: dict[str, Any]) -> None:
    """Tombstones that have just begun to wait are nothing to look at, nor is a reference of which nobody reports."""
    assert findings(data(references=[found])) == ()


def test_findings__tombstones_set_aside() -> None:
    """A tombstone that was set aside is a finding, because its children stay."""
    assert findings(data(references=[reference(set_aside=1)])) == (
        Finding(
            "a.B.c",
            "set aside",
            "warning",
            "1 deleted parent was set aside after failed attempts, and the children are still there.",
        ),
    )


def test_findings__tombstones_that_wait() -> None:
    """Tombstones that wait for longer than a quarter of an hour are a finding, with their number and their age."""
    (finding,) = findings(data(references=[reference(waiting=5, oldest=WAITING_SECONDS + 300.0)]))

    assert (finding.where, finding.fault) == ("a.B.c", "deletions wait")
    assert finding.text == (
        "Deleted parents whose children are still to be reached: 5. The oldest one has waited for 20 min."
    )


def test_findings__unknown_reference() -> None:
    """Tombstones that no worker takes are one finding, with their number, their owner and where to look."""
    (finding,) = findings(data(references=[{**reference(waiting=5, set_aside=2), "target": ""}]))

    assert (finding.where, finding.fault, finding.level) == ("a.B.c", "unknown reference", "warning")
    assert finding.text.startswith("Tombstones of this reference on default: 7. No installed model records")
    assert "crossdb_references" in finding.text


def test_findings__pods_not_found() -> None:
    """A name that DNS does not know is a finding, which does not tell the name."""
    (finding,) = findings(data(pods_found=False))

    assert (finding.where, finding.fault) == ("pods", "cannot be found")
