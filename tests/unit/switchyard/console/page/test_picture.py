"""The picture of the topology: who owns what, which replicas stand behind, and where the decisions flow."""

from typing import Any

import pytest

from switchyard.console.page.picture import NARROW, WIDE, Drawing, Flow, picture


def alias(name: str, **changed: Any) -> dict[str, Any]:
    """Return an alias of the console's data."""
    return {
        "alias": name,
        "vendor": "PostgreSQL",
        "apps": [],
        "replica_of": None,
        "state": "read-write",
        "level": "good",
        "explanation": "It takes reads and writes.",
        "lag_seconds": None,
    } | changed


def decision(to: str, reason: str, share: float, **changed: Any) -> dict[str, Any]:
    """Return a decision of the console's data."""
    return {
        "owner": "default",
        "alias": to,
        "operation": "read",
        "reason": reason,
        "per_second": 10 * share,
        "share": share,
    } | changed


REPLICA = alias("replica", replica_of="default", state="fit", lag_seconds=0.24)
DATA = {
    "aliases": [alias("default", apps=["accounts", "auth"]), alias("analytics"), REPLICA],
    "decisions": [
        decision("default", "write", 1.0, operation="write"),
        decision("default", "pinned", 0.07),
        decision("replica", "replica", 0.93),
    ],
}


def drawn(data: Any, owner: str = "default", width: str = "wide") -> Drawing:
    """Return the drawing of the owner in this width."""
    (lane,) = [lane for lane in picture(data) if lane.owner == owner]
    return next(drawing for drawing in lane.drawings if drawing.measures.name == width)


def changed_replica(**changed: Any) -> dict[str, Any]:
    """Return the data with another state of the replica."""
    return DATA | {"aliases": [*DATA["aliases"][:2], REPLICA | changed]}


def test_picture__owners() -> None:
    """Each owner has a lane; a replica stands in the lane of its owner, below the owner's box."""
    lanes = {lane.owner: [box.alias for box in lane.drawings[0].boxes] for lane in picture(DATA)}

    assert lanes == {"default": ["default", "replica"], "analytics": ["analytics"]}


def test_picture__apps() -> None:
    """The drawing names the apps of the owner."""
    assert drawn(DATA).apps == ("accounts", "auth")


def test_picture__lag() -> None:
    """The line from the owner to its replica says how far the replica is behind."""
    assert [box.link for box in drawn(DATA).boxes] == ["", "240 ms behind"]


def test_picture__decisions() -> None:
    """Each decision is a line with its share, its reason and its rate; reads come before writes."""
    texts = [(flow.kind, flow.label, flow.detail) for flow in drawn(DATA).flows]

    assert texts == [
        ("read", "7 % of reads", "pinned · 0.7/s"),
        ("write", "100 % of writes", "write · 10/s"),
        ("read", "93 % of reads", "replica · 9.3/s"),
    ]


def test_picture__ends() -> None:
    """Each line ends at the box of its alias."""
    drawing = drawn(DATA)
    owner, replica = drawing.boxes
    first, second, third = (flow.end_y for flow in drawing.flows)

    assert owner.y < first < second < owner.y + owner.height < replica.y < third < replica.y + replica.height


def test_picture__thickness() -> None:
    """A line is the thicker the more decisions a second it has."""
    pinned, writes, reads = (flow.thickness for flow in drawn(DATA).flows)

    assert pinned < reads < writes


@pytest.mark.parametrize("state", ["lagging", "down", "unmigrated"])
def test_picture__unfit_replica(state: str) -> None:
    """An unfit replica is drawn so, with its reason; in place of earlier reads a line says that it is not used."""
    drawing = drawn(changed_replica(state=state, level="warning", explanation="It is far behind."))
    flow, box = drawing.flows[-1], drawing.boxes[-1]

    assert (flow.kind, flow.label, flow.detail) == ("unused", "not used", state)
    assert (box.is_unfit, box.level, box.reason) == (True, "warning", ("It is far behind.",))


def test_picture__problem_of_a_fit_replica() -> None:
    """A replica with slow queries is drawn with the problem, and still as one that is used."""
    box = drawn(changed_replica(level="warning", explanation="5% of the calls were slow.")).boxes[-1]

    assert (box.is_unfit, box.level, box.reason) == (False, "warning", ("5% of the calls were slow.",))


def test_picture__no_decision() -> None:
    """A fit replica that no decision chose has a line that says so."""
    assert drawn(DATA | {"decisions": []}).flows[-1].kind == "idle"


@pytest.mark.parametrize("measures", [WIDE, NARROW])
def test_picture__long_reason(measures: Any) -> None:
    """A long reason is wrapped and cut, and the box is high enough for it."""
    drawing = drawn(changed_replica(state="down", level="error", explanation="word " * 99), width=measures.name)
    box = drawing.boxes[-1]

    assert max(len(line) for line in box.reason) <= measures.characters
    assert box.reason[-1].endswith("...")
    assert box.height >= 16 * (3 + len(box.reason))


def test_picture__description() -> None:
    """The text for people who do not see the picture says the same as the picture."""
    (default, _) = picture(DATA)

    assert default.description == (
        "default (PostgreSQL, read-write) owns accounts, auth. It gets 7 % of the reads, by the rule pinned."
        " It gets 100 % of the writes, by the rule write. replica (PostgreSQL, fit) is its replica."
        " It gets 93 % of the reads, by the rule replica."
    )


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_picture__many_apps(width: str) -> None:
    """The drawing is high enough for all apps."""
    many = [f"app{number}" for number in range(30)]

    assert drawn({"aliases": [alias("default", apps=many)], "decisions": []}, width=width).height > 30 * 16


def test_picture__inside() -> None:
    """Every line ends inside the drawing, in both widths."""
    drawings = [drawing for lane in picture(DATA) for drawing in lane.drawings]
    outside: list[Flow] = [
        flow
        for drawing in drawings
        for flow in drawing.flows
        if not (0 < flow.end_x < drawing.measures.width and 0 < flow.end_y < drawing.height)
    ]

    assert len(drawings) == 4
    assert outside == []
