"""What the page says first: which alias needs attention, and why."""

from typing import Any

from switchyard.console.page.attention import Finding, findings


def data(*aliases: tuple[str, str, str, str], decisions: Any = ()) -> dict[str, Any]:
    """Return the console's data of aliases, each with its state, its level and its explanation."""
    keys = ("alias", "state", "level", "explanation")
    return {"aliases": [dict(zip(keys, alias, strict=True)) for alias in aliases], "decisions": list(decisions)}


def read(reason: str, share: float) -> dict[str, Any]:
    """Return a decision that sends reads to `default`."""
    return {"alias": "default", "operation": "read", "reason": reason, "share": share}


def test_findings__all_well() -> None:
    """Nothing is found where each alias is as it should be."""
    well = data(("default", "read-write", "good", "Well."), ("legacy", "read-only", "neutral", "Named."))

    assert findings(well) == ()


def test_findings__unfit_server() -> None:
    """The finding names the state of a server that is not used, and the reason."""
    assert findings(data(("replica", "lagging", "warning", "It is behind."))) == (
        Finding("replica", "warning", "lagging. It is behind."),
    )


def test_findings__problem_of_the_work() -> None:
    """The finding does not name the state where the server does its part."""
    assert findings(data(("default", "read-write", "warning", "3 migrations are not applied."))) == (
        Finding("default", "warning", "3 migrations are not applied."),
    )


def test_findings__errors_first() -> None:
    """Errors come before warnings."""
    found = findings(data(("a", "lagging", "warning", "Behind."), ("b", "down", "error", "Away.")))

    assert [finding.alias for finding in found] == ["b", "a"]


def test_findings__reads_fell_back() -> None:
    """Reads that ran on the owner because no replica was fit are found, if they are many."""
    well = ("default", "read-write", "good", "Well.")

    assert [finding.text for finding in findings(data(well, decisions=[read("down", 0.6)]))] == [
        "60 % of the reads of the last minute ran here because no replica was fit."
    ]
    assert findings(data(well, decisions=[read("down", 0.1), read("pinned", 0.9)])) == ()
