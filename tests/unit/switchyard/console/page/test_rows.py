"""The rows of the table of aliases, and the figures at the top of the page."""

from typing import Any

from switchyard.console.page.rows import Part, rows, totals


def alias(name: str, **changed: Any) -> dict[str, Any]:
    """Return an alias of the console's data, with two samples of its rates; the newest sample is not known yet."""
    return {
        "alias": name,
        "replica_of": None,
        "level": "good",
        "connections": None,
        "queries_per_second": {"read": [8.0, 2.0, None], "write": [0.0, 0.5, None]},
        "errors_per_second": [0.0, 0.25, None],
        "queries": {"read": 40, "write": 2},
    } | changed


def read(to: str, per_second: float, owner: str = "default") -> dict[str, Any]:
    """Return a decision for reads."""
    return {"owner": owner, "alias": to, "operation": "read", "per_second": per_second}


def test_rows__rates_of_now() -> None:
    """The row has the newest known rate of each operation, and of the errors."""
    (row,) = rows({"aliases": [alias("default")]})

    assert (row.now, row.errors) == (2.5, 0.25)
    assert row.parts == (Part("read", 2.0), Part("write", 0.5))


def test_rows__chart_in_words() -> None:
    """The chart has a text with its newest and its largest value."""
    (row,) = rows({"aliases": [alias("default")]})

    assert row.chart_label == "Queries a second on default: now 2.5, at most 8."


def test_rows__totals() -> None:
    """The row has the queries since the counters began, by operation and in all."""
    (row,) = rows({"aliases": [alias("default")]})

    assert (row.queries, row.total) == ([40, 2, 0, 0, 0], 42)


def test_rows__pool() -> None:
    """The open connections of a pool are those in use and the idle ones."""
    pool = {"used": 3, "idle": 1, "max": 8, "waiting": 0}
    (row,) = rows({"aliases": [alias("default", connections=pool)]})

    assert row.open_connections == 4


def test_rows__nothing_known() -> None:
    """Before the first sample every rate is nothing."""
    (row,) = rows({"aliases": [alias("default", queries_per_second={"read": []}, errors_per_second=[])]})

    assert (row.now, row.errors, row.parts) == (0.0, 0.0, ())


def test_totals__all_aliases() -> None:
    """The figures are the sums over the aliases, and the number of aliases without a problem."""
    found = totals(
        {"aliases": [alias("default"), alias("legacy", level="neutral"), alias("x", level="error")], "decisions": []}
    )

    assert (found.queries, found.errors, found.good) == (7.5, 0.75, 2)


def test_totals__reads_on_replicas() -> None:
    """Only the reads of owners that have replicas count."""
    aliases = [alias("default"), alias("analytics"), alias("replica", replica_of="default")]
    decisions = [read("default", 1.0), read("replica", 3.0), read("analytics", 50.0, owner="analytics")]

    assert totals({"aliases": aliases, "decisions": decisions}).replica_share == 0.75


def test_totals__no_read() -> None:
    """Without a read there is no share."""
    assert totals({"aliases": [alias("default")], "decisions": []}).replica_share is None
