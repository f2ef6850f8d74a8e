"""The cell of each number in a row."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.telemetry.layout import Axis, Family, Layout

names = st.text(string.ascii_lowercase, min_size=1, max_size=8)
axes = st.builds(Axis.of, names, st.lists(names, min_size=1, max_size=4, unique=True))
buckets = st.lists(st.floats(0.001, 100), max_size=5, unique=True).map(sorted).map(tuple)
families = st.builds(
    Family, names, st.text(), st.lists(axes, max_size=3, unique_by=lambda axis: axis.labels).map(tuple), buckets
)
layouts = st.lists(families, min_size=1, max_size=4, unique_by=lambda family: family.name).map(tuple).map(Layout)

PAIRS = Layout(
    (
        Family("before", "", (Axis.of("kind", ("a", "b", "other")),)),
        Family(
            "pairs",
            "",
            (Axis(("alias", "vendor"), (("x", "postgresql"), ("other", "other"))), Axis.of("operation", ("r", "w"))),
            (0.1, 1.0),
        ),
    )
)


@given(layouts)
def test_index_of__of_every_child(layout: Layout) -> None:
    """Each child has cells of its own, and all children together fill the row without gaps."""
    starts = [
        layout.index_of(family.name, *values)
        for family, children in layout.children([0.0] * layout.cell_count)
        for values, _cells in children
    ]
    widths = [
        family.cells_per_child for family, children in layout.children([0.0] * layout.cell_count) for _child in children
    ]

    assert starts == [sum(widths[:number]) for number in range(len(widths))]
    assert sum(widths) == layout.cell_count


@given(layouts)
def test_json__round_trip(layout: Layout) -> None:
    """The layout read from the JSON equals the written layout."""
    assert Layout.from_json(layout.to_json()) == layout


@given(layouts, st.data())
def test_children__of_a_row(layout: Layout, data: st.DataObject) -> None:
    """A number written at the index of a child is read as that child's number, and as no other child's."""
    every_child = [
        (family.name, child) for family, children in layout.children([0.0] * layout.cell_count) for child, _ in children
    ]
    name, child = data.draw(st.sampled_from(every_child))
    row = [0.0] * layout.cell_count
    row[layout.index_of(name, *child)] = 7.0

    found = [
        (family.name, values) for family, children in layout.children(row) for values, cells in children if sum(cells)
    ]

    assert found == [(name, child)]


@pytest.mark.parametrize(
    ("child", "same_as"),
    [
        (("before", "never heard of"), ("before", "other")),
        (("pairs", "new", "postgresql", "w"), ("pairs", "other", "other", "w")),
    ],
)
def test_index_of__of_a_value_outside_the_closed_set(child: tuple[str, ...], same_as: tuple[str, ...]) -> None:
    """Unknown values count as "other" in all labels of their axis."""
    assert PAIRS.index_of(*child) == PAIRS.index_of(*same_as)


def test_index_of__unknown_value_without_other() -> None:
    """An axis without "other" refuses an unknown value: nothing is counted under a wrong name."""
    with pytest.raises(ValueError, match=r"operation.*rename"):
        PAIRS.index_of("pairs", "x", "postgresql", "rename")


@pytest.mark.parametrize("label_values", [(), ("x", "postgresql"), ("x", "postgresql", "r", "r")])
def test_index_of__wrong_number_of_values(label_values: tuple[str, ...]) -> None:
    """The error names the metric, its labels and the number of values."""
    with pytest.raises(ValueError, match=rf"^pairs takes 3 .*alias, vendor, operation.* not {len(label_values)}\."):
        PAIRS.index_of("pairs", *label_values)


def test_index_of__unknown_metric() -> None:
    """The error names the metric, and the file in which a metric is added."""
    with pytest.raises(ValueError, match=r"^Unknown metric 'after'.*Family.*switchyard/telemetry/metrics\.py"):
        PAIRS.index_of("after")
