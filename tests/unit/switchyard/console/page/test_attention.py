"""What the page says first: which alias needs attention, and why."""

from typing import Any

from switchyard.console.page.attention import Finding, findings

PENDING = {"fault": "pending migrations", "level": "warning", "text": "3 migrations are not applied.", "since": 9.0}
DOWN = {"fault": "down", "level": "error", "text": "It is silent.", "since": 7.0}


def data(pods_found: bool = True, missing: tuple[str, ...] = (), **problems: Any) -> dict[str, Any]:
    """Return the console's data of aliases, each with its problems."""
    return {
        "aliases": [{"alias": alias, "problems": found} for alias, found in problems.items()],
        "pods": [{"pod": "3f2a", "answers": True}, *({"pod": pod, "answers": False} for pod in missing)],
        "pods_found": pods_found,
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


def test_findings__pods_not_found() -> None:
    """A name that DNS does not know is a finding, which does not tell the name."""
    (finding,) = findings(data(pods_found=False))

    assert (finding.where, finding.fault) == ("pods", "cannot be found")
