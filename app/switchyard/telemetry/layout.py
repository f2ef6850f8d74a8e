"""Which number stands where in a row of counters: pure arithmetic over closed label sets, no files and no Django.

A row holds every child of every family from the start, so a count is an addition at a known place, a scrape shows
each child from zero on, and no label value that a request brings can make the row grow.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, product
from typing import Any

type Child = tuple[tuple[str, ...], Sequence[float]]

OTHER = "other"  # what a value outside a closed set is counted as


@dataclass(frozen=True)
class Axis:
    """Labels that go together (an alias has one vendor), and all the values they take."""

    labels: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, label: str, values: Iterable[str]) -> "Axis":
        """Return the axis of one label."""
        return cls((label,), tuple((value,) for value in values))

    @cached_property
    def _places(self) -> Mapping[tuple[str, ...], int]:
        return {values: place for place, values in enumerate(self.values)}

    def place(self, values: tuple[str, ...]) -> int:
        """Return where the values stand; unknown ones stand where all of them are "other"."""
        place = self._places.get(values, self._places.get((OTHER,) * len(self.labels)))
        if place is None:
            raise ValueError(f"Labels {self.labels} take {self.values}, not {values}, and have no {OTHER!r}.")
        return place


@dataclass(frozen=True)
class Family:
    """One metric: a counter, or a histogram when it has buckets."""

    name: str
    help: str
    axes: tuple[Axis, ...]
    buckets: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Cells of one child: a counter's value; a histogram's buckets, the rest above them, and the sum."""
        return len(self.buckets) + 2 if self.buckets else 1

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels of a child."""
        return tuple(chain.from_iterable(axis.labels for axis in self.axes))

    @property
    def cells(self) -> int:
        """Cells of all children."""
        return self.width * math.prod(len(axis.values) for axis in self.axes)

    def split(self, cells: Sequence[float]) -> Iterator[Child]:
        """Yield the label values of each child with its cells."""
        for number, values in enumerate(product(*(axis.values for axis in self.axes))):
            yield tuple(chain.from_iterable(values)), cells[number * self.width : (number + 1) * self.width]

    def offset(self, values: Sequence[tuple[str, ...]]) -> int:
        """Return the first cell of the child with these values, one tuple per axis."""
        place = 0
        for axis, wanted in zip(self.axes, values, strict=True):
            place = place * len(axis.values) + axis.place(wanted)
        return place * self.width


@dataclass(frozen=True)
class Layout:
    """The families side by side in one row."""

    families: tuple[Family, ...]

    @cached_property
    def _starts(self) -> Mapping[str, int]:
        ends = accumulate((family.cells for family in self.families), initial=0)
        return {family.name: start for family, start in zip(self.families, ends, strict=False)}

    @property
    def cells(self) -> int:
        """Cells of one row."""
        return sum(family.cells for family in self.families)

    def column(self, name: str, *values: str | tuple[str, ...]) -> int:
        """Return the first cell of a child: one value per axis, a tuple where an axis has several labels."""
        family = next(family for family in self.families if family.name == name)
        return self._starts[name] + family.offset([(v,) if isinstance(v, str) else v for v in values])

    def children(self, row: Sequence[float]) -> Iterator[tuple[Family, Iterator[Child]]]:
        """Yield each family with its children's label values and cells."""
        for family in self.families:
            yield family, family.split(row[self._starts[family.name] :])

    def to_json(self) -> str:
        """Return all that a reader without these classes' makers needs."""
        return json.dumps([_plain(family) for family in self.families], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        """Return the layout that `to_json` wrote; ValueError, KeyError or TypeError for anything else."""
        return cls(tuple(_family(plain) for plain in json.loads(text)))


def _plain(family: Family) -> dict[str, Any]:
    axes = [{"labels": axis.labels, "values": axis.values} for axis in family.axes]
    return {"name": family.name, "help": family.help, "axes": axes, "buckets": family.buckets}


def _family(plain: Mapping[str, Any]) -> Family:
    axes = tuple(Axis(tuple(axis["labels"]), tuple(map(tuple, axis["values"]))) for axis in plain["axes"])
    return Family(plain["name"], plain["help"], axes, tuple(plain["buckets"]))
