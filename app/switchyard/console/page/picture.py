"""The topology as a picture: for each owner its apps, its replicas, and the decisions that flow to them.

Computes positions only; the template `_drawing.html` draws them as SVG. Reads the data of the page, and no database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from textwrap import wrap
from typing import Any

from switchyard.templatetags.console_formats import percent, rate

type Data = Mapping[str, Any]

LINE_HEIGHT = 16
FLOW_HEIGHT = 44  # of a line with its two texts
GAP = 30  # between two boxes
PADDING = 10


@dataclass(frozen=True)
class Measures:
    """The widths of one drawing, in pixels: the apps, the lines to the aliases, and the aliases."""

    name: str
    apps: int
    flow: int
    alias: int
    characters: int  # that fit in a line of an alias' box

    @property
    def width(self) -> int:
        """The width of the drawing."""
        return self.apps + self.flow + self.alias


WIDE = Measures("wide", apps=130, flow=250, alias=240, characters=34)
NARROW = Measures("narrow", apps=78, flow=118, alias=124, characters=18)


@dataclass(frozen=True)
class Flow:
    """A line from the apps to an alias. `kind` is the operation, `idle` without decisions, or `blocked`."""

    kind: str
    label: str
    detail: str
    path: str
    thickness: float
    end_x: int
    end_y: int


@dataclass(frozen=True)
class Box:
    """The box of an alias: what it is, its state, and why it is in this state, in lines that fit."""

    alias: str
    vendor: str
    state: str
    level: str
    reason: tuple[str, ...]
    y: int
    height: int
    link: str  # the text on the line from the owner; empty for the owner itself
    link_x: int


@dataclass(frozen=True)
class Drawing:
    """The picture of one owner in one width. Its first box is the owner."""

    measures: Measures
    apps: tuple[str, ...]
    boxes: tuple[Box, ...]
    flows: tuple[Flow, ...]

    @property
    def height(self) -> int:
        """The height of the drawing: that of the boxes, and at least that of the apps."""
        return max(self.boxes[-1].y + self.boxes[-1].height, LINE_HEIGHT * (len(self.apps) + 1) + 2 * PADDING) + 2

    @property
    def link_begins_y(self) -> int:
        """Where the lines from the owner to its replicas begin."""
        return self.boxes[0].y + self.boxes[0].height


@dataclass(frozen=True)
class Lane:
    """An owner with its replicas: a sentence that says what the drawings show, and the drawings."""

    owner: str
    description: str
    drawings: tuple[Drawing, ...]


def picture(data: Data) -> tuple[Lane, ...]:
    """Return the lanes of all owners, in the order of the aliases."""
    busiest = max((each["per_second"] for each in data["decisions"]), default=0.0)
    owners = [alias for alias in data["aliases"] if alias["replica_of"] is None]
    return tuple(_lane(owner, data, busiest) for owner in owners)


def _lane(owner: Data, data: Data, busiest: float) -> Lane:
    aliases = [owner, *(each for each in data["aliases"] if each["replica_of"] == owner["alias"])]
    decisions = [each for each in data["decisions"] if each["owner"] == owner["alias"]]
    return Lane(
        owner=owner["alias"],
        description=_description(aliases, decisions),
        drawings=tuple(_drawing(measures, aliases, decisions, busiest) for measures in (WIDE, NARROW)),
    )


def _description(aliases: Sequence[Data], decisions: Sequence[Data]) -> str:
    owner, *replicas = aliases
    sentences = [f"{owner['alias']} ({owner['vendor']}, {owner['state']}) owns {', '.join(owner['apps']) or 'no app'}."]
    sentences += [f"Behind it stands {each['alias']}, {each['state']}." for each in replicas]
    sentences += [
        f"{percent(each['share'])} of the {each['operation']}s go to {each['alias']}, by {each['reason']}."
        for each in decisions
    ]
    return " ".join(sentences)


def _drawing(measures: Measures, aliases: Sequence[Data], decisions: Sequence[Data], busiest: float) -> Drawing:
    boxes: list[Box] = []
    ends: list[tuple[Data, Data | None, int]] = []  # alias, decision and height of the end of each line
    y = 1
    for alias in aliases:
        of_alias = sorted(
            (each for each in decisions if each["alias"] == alias["alias"]),
            key=lambda each: (each["operation"] != "read", -each["per_second"]),
        )
        reason = tuple(wrap(alias["explanation"], measures.characters)) if _has_problem(alias) else ()
        vendor = f"{alias['vendor']} {'replica' if alias['replica_of'] else ''}".strip()
        content = LINE_HEIGHT * (3 + len(reason)) + 2 * PADDING - 4
        height = max(content, FLOW_HEIGHT * max(1, len(of_alias)))
        link_x = 24 + 14 * (len(boxes) - 1)
        boxes.append(
            Box(alias["alias"], vendor, alias["state"], alias["level"], reason, y, height, _link(alias), link_x)
        )
        step = height / max(1, len(of_alias))
        ends += [(alias, each, round(y + step * (n + 0.5))) for n, each in enumerate(of_alias or [None])]
        y += height + GAP
    drawing = Drawing(measures, tuple(aliases[0]["apps"]) or ("no app",), tuple(boxes), ())
    return Drawing(
        measures,
        drawing.apps,
        drawing.boxes,
        tuple(_flows(measures, ends, drawing.height, busiest)),
    )


def _has_problem(alias: Data) -> bool:
    return alias["level"] in {"warning", "error"}


def _link(alias: Data) -> str:
    if alias["replica_of"] is None:
        return ""
    lag = alias["lag_seconds"]
    return "replicates" if lag is None else f"{lag:.1f} s behind"


def _flows(
    measures: Measures, ends: Sequence[tuple[Data, Data | None, int]], height: int, busiest: float
) -> list[Flow]:
    """Lead each line from the apps, where the lines begin side by side, to its end; the last part is horizontal."""
    begin_x, end_x = measures.apps, measures.apps + measures.flow
    bend = begin_x + measures.flow // 3
    spacing = min(FLOW_HEIGHT, height / (len(ends) + 1))
    first = height / 2 - spacing * (len(ends) - 1) / 2
    flows = []
    for number, (alias, decision, end_y) in enumerate(ends):
        begin_y = end_y if measures is NARROW else round(first + spacing * number)
        middle = (begin_x + bend) // 2
        path = f"M{begin_x} {begin_y}C{middle} {begin_y} {middle} {end_y} {bend} {end_y}H{end_x - 6}"
        kind, label, detail = _texts(alias, decision, with_rate=measures is WIDE)
        share_of_busiest = decision["per_second"] / busiest if decision and busiest else 0.0
        flows.append(Flow(kind, label, detail, path, round(1.5 + 5 * sqrt(share_of_busiest), 1), end_x, end_y))
    return flows


def _texts(alias: Data, decision: Data | None, *, with_rate: bool) -> tuple[str, str, str]:
    """Return the kind of a line, and the texts above and below it."""
    if decision is None:
        return (
            ("blocked", "not used", alias["state"])
            if _has_problem(alias)
            else ("idle", "no decision", "in the last minute")
        )
    label = f"{percent(decision['share'])} of {decision['operation']}s"
    detail = decision["reason"]
    return decision["operation"], label, f"{detail} · {rate(decision['per_second'])}/s" if with_rate else detail
