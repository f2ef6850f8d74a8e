"""Which cell of a row holds which number: arithmetic over closed label sets. No files and no Django.

A row holds every child of every family from the start. Therefore a count is one addition at a known cell, a scrape
shows every child from zero on, and no label value of a request makes the row grow.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, islice, product
from typing import Any

type Child = tuple[tuple[str, ...], Sequence[float]]

OTHER = "other"  # counts the values outside a closed set


@dataclass(frozen=True)
class Axis:
    """Labels that belong together (an alias has one vendor), and all their combinations of values."""

    labels: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, label: str, values: Iterable[str]) -> "Axis":
        """Return the axis of one label.

        >>> Axis.of("operation", ("read", "write", OTHER)).values
        (('read',), ('write',), ('other',))
        """
        return cls((label,), tuple((value,) for value in values))

    @cached_property
    def _indexes(self) -> Mapping[tuple[str, ...], int]:
        return {values: index for index, values in enumerate(self.values)}

    def index_of(self, values: tuple[str, ...]) -> int:
        """Return the index of the values; unknown values count as "other" in all labels of the axis.

        Raises ValueError for unknown values if the axis has no "other".
        """
        index = self._indexes.get(values, self._indexes.get((OTHER,) * len(self.labels)))
        if index is None:
            raise ValueError(
                f"Label {', '.join(self.labels)} does not take the value {', '.join(values)}."
                f" Add the value to its Axis, or add {OTHER!r}."
            )
        return index


@dataclass(frozen=True)
class Family:
    """One metric: a counter, or a histogram if it has buckets."""

    name: str
    help: str
    axes: tuple[Axis, ...]
    buckets: tuple[float, ...] = ()  # upper bounds, ascending

    @property
    def cells_per_child(self) -> int:
        """A counter has its value; a histogram has its buckets, the calls above the last bucket, and the sum."""
        return len(self.buckets) + 2 if self.buckets else 1

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of the axes."""
        return tuple(chain.from_iterable(axis.labels for axis in self.axes))

    @property
    def cell_count(self) -> int:
        """The number of cells of all children."""
        return self.cells_per_child * math.prod(len(axis.values) for axis in self.axes)

    def split(self, cells: Sequence[float]) -> Iterator[Child]:
        """Yield the label values and the cells of each child."""
        width = self.cells_per_child
        for number, values in enumerate(product(*(axis.values for axis in self.axes))):
            yield tuple(chain.from_iterable(values)), cells[number * width : (number + 1) * width]

    def index_of(self, label_values: Sequence[str]) -> int:
        """Return the first cell of a child, relative to the family's first cell: one value for each label.

        Raises ValueError for another number of values, and where `Axis.index_of` does.
        """
        if len(label_values) != len(self.labels):
            raise ValueError(
                f"{self.name} takes {len(self.labels)} label values ({', '.join(self.labels) or 'it has no labels'}),"
                f" not {len(label_values)}."
            )
        remaining = iter(label_values)
        child = 0
        for axis in self.axes:
            child = child * len(axis.values) + axis.index_of(tuple(islice(remaining, len(axis.labels))))
        return child * self.cells_per_child


@dataclass(frozen=True)
class Layout:
    """The families side by side in one row."""

    families: tuple[Family, ...]

    @cached_property
    def _starts(self) -> Mapping[str, int]:
        ends = accumulate((family.cell_count for family in self.families), initial=0)
        return {family.name: start for family, start in zip(self.families, ends, strict=False)}

    @cached_property
    def _by_name(self) -> Mapping[str, Family]:
        return {family.name: family for family in self.families}

    @property
    def cell_count(self) -> int:
        """The number of cells of one row."""
        return sum(family.cell_count for family in self.families)

    def family(self, name: str) -> Family:
        """Return the family of this name. Raises ValueError without one."""
        try:
            return self._by_name[name]
        except KeyError:
            raise ValueError(
                f"Unknown metric {name!r}. Add a Family for it to layout() in switchyard/telemetry/metrics.py."
            ) from None

    def index_of(self, name: str, *label_values: str) -> int:
        """Return the first cell of a child: one value for each label of the family, in the order of its labels."""
        family = self.family(name)
        return self._starts[name] + family.index_of(label_values)

    def children(self, row: Sequence[float]) -> Iterator[tuple[Family, Iterator[Child]]]:
        """Yield each family with the label values and the cells of its children."""
        for family in self.families:
            yield family, family.split(row[self._starts[family.name] :])

    def to_json(self) -> str:
        """Return the layout as text for a process that does not know the settings."""
        return json.dumps([_plain(family) for family in self.families], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        """Return the layout that `to_json` wrote. Raises ValueError, KeyError or TypeError for any other text."""
        return cls(tuple(_family(plain) for plain in json.loads(text)))


def _plain(family: Family) -> dict[str, Any]:
    axes = [{"labels": axis.labels, "values": axis.values} for axis in family.axes]
    return {"name": family.name, "help": family.help, "axes": axes, "buckets": family.buckets}


def _family(plain: Mapping[str, Any]) -> Family:
    axes = tuple(Axis(tuple(axis["labels"]), tuple(map(tuple, axis["values"]))) for axis in plain["axes"])
    return Family(plain["name"], plain["help"], axes, tuple(plain["buckets"]))
