"""Where each number stands in a row."""

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
def test_column__of_every_child(layout: Layout) -> None:
    """Each child has cells of its own, side by side, and together they fill the row."""
    starts = [
        layout.column(family.name, *values)
        for family, children in layout.children([0.0] * layout.cells)
        for values, _cells in children
    ]
    widths = [family.width for family, children in layout.children([0.0] * layout.cells) for _child in children]

    assert starts == [sum(widths[:number]) for number in range(len(widths))]
    assert sum(widths) == layout.cells


@given(layouts)
def test_json__round_trip(layout: Layout) -> None:
    """A reader knows from the JSON alone what the writer knew."""
    assert Layout.from_json(layout.to_json()) == layout


@given(layouts, st.data())
def test_children__of_a_row(layout: Layout, data: st.DataObject) -> None:
    """What was written at a child's column is read as that child's, and nobody else's."""
    everyone = [
        (family.name, child) for family, children in layout.children([0.0] * layout.cells) for child, _ in children
    ]
    name, child = data.draw(st.sampled_from(everyone))
    row = [0.0] * layout.cells
    row[layout.column(name, *child)] = 7.0

    found = [
        (family.name, values) for family, children in layout.children(row) for values, cells in children if sum(cells)
    ]

    assert found == [(name, child)]


@pytest.mark.parametrize(
    ("column", "same_as"),
    [
        (("before", "never heard of"), ("before", "other")),
        (("pairs", ("new", "postgresql"), "w"), ("pairs", ("other", "other"), "w")),
    ],
)
def test_column__of_a_value_outside_the_closed_set(column: tuple[str, ...], same_as: tuple[str, ...]) -> None:
    """Unknown values are counted as "other", all labels of their axis together."""
    assert PAIRS.column(*column) == PAIRS.column(*same_as)


def test_column__where_there_is_no_other() -> None:
    """An axis without "other" refuses a value it does not know: nothing is counted under a wrong name."""
    with pytest.raises(ValueError, match=r"operation.*rename"):
        PAIRS.column("pairs", ("x", "postgresql"), "rename")
