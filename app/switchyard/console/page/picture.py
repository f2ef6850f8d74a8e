"""The topology as a picture: for each owner its apps, its replicas, and the decisions that flow to them.

Computes texts and positions; `templates/switchyard/console/_drawing.html` makes SVG of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from textwrap import wrap
from typing import Any

from switchyard.console.page.attention import has_problem, is_unfit
from switchyard.templatetags.console_formats import duration, percent, rate

type Data = Mapping[str, Any]

# In pixels of the drawing, which the browser scales.
LINE_HEIGHT = 16
FLOW_HEIGHT = 44  # of a line from the apps to an alias, with its two texts
GAP = 30  # between two boxes
PADDING = 10
REASON_LINES = 5


@dataclass(frozen=True)
class Measures:
    """The widths of one drawing: the apps, the lines to the aliases, and the aliases."""

    name: str
    apps: int
    flow: int
    alias: int
    characters: int  # that fit in a line of an alias' box

    @property
    def width(self) -> int:
        """The width of the drawing."""
        return self.apps + self.flow + self.alias


WIDE = Measures("wide", apps=130, flow=250, alias=240, characters=33)
NARROW = Measures("narrow", apps=90, flow=114, alias=124, characters=18)


@dataclass(frozen=True)
class Flow:
    """A line from the apps to an alias. `kind` is the operation, `idle` without decisions, or `unused`."""

    kind: str
    label: str
    detail: str
    path: str
    thickness: float
    end_x: int
    end_y: int


@dataclass(frozen=True)
class Box:
    """The box of an alias: what it is, its state, and why something is wrong, in lines that fit."""

    alias: str
    vendor: str
    state: str
    level: str
    is_unfit: bool
    reason: tuple[str, ...]
    y: int
    height: int
    link: str  # the text on the line from the owner; empty for the owner itself
    link_x: int


@dataclass(frozen=True)
class Drawing:
    """The picture of one owner in one width. Its first box is the owner."""

    measures: Measures
    height: int
    apps: tuple[str, ...]
    boxes: tuple[Box, ...]
    flows: tuple[Flow, ...]

    @property
    def link_begins_y(self) -> int:
        """Where the lines from the owner to its replicas begin."""
        return self.boxes[0].y + self.boxes[0].height


@dataclass(frozen=True)
class Lane:
    """An owner with its replicas: a text that says what the drawings show, and the drawings."""

    owner: str
    description: str
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True)
class _Member:
    """An alias of a lane, and the decisions that lead there, the reads first."""

    alias: Data
    decisions: Sequence[Data]


def picture(data: Data) -> tuple[Lane, ...]:
    """Return the lanes of all owners, in the order of the aliases."""
    busiest = max((each["per_second"] for each in data["decisions"]), default=0.0)
    return tuple(_lane(alias, data, busiest) for alias in data["aliases"] if alias["replica_of"] is None)


def _lane(owner: Data, data: Data, busiest: float) -> Lane:
    aliases = [owner, *(each for each in data["aliases"] if each["replica_of"] == owner["alias"])]
    members = [_Member(alias, _decisions(alias, data)) for alias in aliases]
    drawings = tuple(_drawing(measures, members, busiest) for measures in (WIDE, NARROW))
    return Lane(owner["alias"], " ".join(_sentences(members)), drawings)


def _decisions(alias: Data, data: Data) -> Sequence[Data]:
    if alias["replica_of"] and is_unfit(alias):
        return []  # reads of the last minute may have gone there, but none goes there now
    found = [each for each in data["decisions"] if each["alias"] == alias["alias"]]
    return sorted(found, key=lambda each: (each["operation"] != "read", -each["per_second"]))


def _sentences(members: Sequence[_Member]) -> Iterator[str]:
    for member in members:
        alias = member.alias
        what = f"{alias['alias']} ({alias['vendor']}, {alias['state']})"
        if alias["replica_of"]:
            yield f"{what} is its replica."
        else:
            yield f"{what} owns {', '.join(alias['apps']) or 'no app'}."
        for each in member.decisions:
            yield f"It gets {percent(each['share'])} of the {each['operation']}s, by the rule {each['reason']}."


def _drawing(measures: Measures, members: Sequence[_Member], busiest: float) -> Drawing:
    apps = tuple(members[0].alias["apps"]) or ("none",)
    boxes: list[Box] = []
    for member in members:
        y = boxes[-1].y + boxes[-1].height + GAP if boxes else 1
        boxes.append(_box(measures, member, y, number=len(boxes)))
    height = max(boxes[-1].y + boxes[-1].height, LINE_HEIGHT * (len(apps) + 1) + 2 * PADDING) + 2
    return Drawing(measures, height, apps, tuple(boxes), tuple(_flows(measures, members, boxes, height, busiest)))


def _box(measures: Measures, member: _Member, y: int, number: int) -> Box:
    alias = member.alias
    why = alias["explanation"] if has_problem(alias) else ""
    reason = tuple(wrap(why, measures.characters, max_lines=REASON_LINES, placeholder=" ..."))
    return Box(
        alias=alias["alias"],
        vendor=f"{alias['vendor']} replica" if alias["replica_of"] else alias["vendor"],
        state=alias["state"],
        level=alias["level"],
        is_unfit=is_unfit(alias),
        reason=reason,
        y=y,
        height=max(LINE_HEIGHT * (3 + len(reason)) + 2 * PADDING - 4, FLOW_HEIGHT * max(1, len(member.decisions))),
        link=_link(alias),
        link_x=24 + 14 * (number - 1),
    )


def _link(alias: Data) -> str:
    if alias["replica_of"] is None:
        return ""
    lag = alias["lag_seconds"]
    return "replicates" if lag is None else f"{duration(lag)} behind"


def _flows(
    measures: Measures, members: Sequence[_Member], boxes: Sequence[Box], height: int, busiest: float
) -> Iterator[Flow]:
    """Lead each line from the apps, where the lines begin side by side, to its alias; its last part is horizontal."""
    ends = [
        (member.alias, decision, round(box.y + box.height * (number + 0.5) / max(1, len(member.decisions))))
        for member, box in zip(members, boxes, strict=True)
        for number, decision in enumerate(member.decisions or [None])
    ]
    spacing = min(FLOW_HEIGHT, height / (len(ends) + 1))
    first_y = height / 2 - spacing * (len(ends) - 1) / 2
    begin_x, end_x = measures.apps, measures.apps + measures.flow
    bend = begin_x + measures.flow // 3
    middle = (begin_x + bend) // 2
    for number, (alias, decision, end_y) in enumerate(ends):
        begin_y = end_y if measures is NARROW else round(first_y + spacing * number)
        path = f"M{begin_x} {begin_y}C{middle} {begin_y} {middle} {end_y} {bend} {end_y}H{end_x - 6}"
        kind, label, detail = _texts(alias, decision, with_rate=measures is WIDE)
        share_of_busiest = decision["per_second"] / busiest if decision and busiest else 0.0
        yield Flow(kind, label, detail, path, round(1.5 + 5 * sqrt(share_of_busiest), 1), end_x, end_y)


def _texts(alias: Data, decision: Data | None, *, with_rate: bool) -> tuple[str, str, str]:
    """Return the kind of a line, and the texts above and below it."""
    if decision is None:
        return ("unused", "not used", alias["state"]) if is_unfit(alias) else ("idle", "no decision", "")
    label = f"{percent(decision['share'])} of {decision['operation']}s"
    detail = decision["reason"]
    return decision["operation"], label, f"{detail} · {rate(decision['per_second'])}/s" if with_rate else detail
