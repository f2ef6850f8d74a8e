"""The table of values in docs/chart.md, made from the comments of chart/values.yaml.

`python -m tests.chart.values_table` writes the table; a test compares both. The comment above a key, or else at the
end of its line, describes it. A map is described by its keys, except resources. The keys of an alias stand in the
comment above `databases`, each as `#   key: default  # description`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
VALUES = ROOT / "chart" / "values.yaml"
PAGE = ROOT / "docs" / "chart.md"
BEGIN, END = "<!-- values: made by tests/chart/values_table.py -->\n", "<!-- end of values -->\n"

_KEY_OF_ALIAS = re.compile(r"#   (?P<key>\w+):(?P<default>.*?)  # (?P<text>.*)")
_CONTINUED = re.compile(r"#\s{3,}# (?P<text>.*)")


class Row(NamedTuple):
    """A value, as a row of the table."""

    value: str
    default: str
    meaning: str


def rows(text: str) -> list[Row]:
    """Return a row for each value of a values.yaml."""
    lines = text.splitlines()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return list(_rows(root, yaml.safe_load(text), lines, ""))


def _rows(node: yaml.MappingNode, values: dict[str, Any], lines: list[str], path: str) -> Iterator[Row]:
    for key, value in node.value:
        name = f"{path}{key.value}"
        above = _above(lines, key.start_mark.line)
        if name == "databases":
            yield from _aliases(above)
            continue
        meaning = " ".join(above) or _behind(lines[key.start_mark.line])
        if isinstance(value, yaml.MappingNode) and not value.flow_style and key.value != "resources":
            yield from _rows(value, values[key.value], lines, f"{name}.")
        else:
            yield Row(f"`{name}`", _shown(values[key.value]), meaning)


def _shown(default: Any) -> str:
    if default is None or default == "":
        return ""
    text = yaml.safe_dump(default, default_flow_style=True, sort_keys=False, width=1000)
    return f"`{text.removesuffix('\n').removesuffix('\n...')}`"


def _above(lines: list[str], number: int) -> list[str]:
    """Return the comment that ends on the line before, without its marks where it is prose."""
    first = number
    while first and lines[first - 1].strip().startswith("#"):
        first -= 1
    return [re.sub(r"^# ?(?! )", "", line.strip()) for line in lines[first:number]]


def _behind(line: str) -> str:
    """Return the comment at the end of a line."""
    _, _, comment = line.partition("  # ")
    return comment.strip()


def _aliases(comment: list[str]) -> Iterator[Row]:
    """Yield the keys of an alias."""
    found: list[Row] = []
    for line in comment:
        if key := _KEY_OF_ALIAS.fullmatch(line):
            default = key["default"].strip()
            found.append(Row(f"`databases.<alias>.{key['key']}`", f"`{default}`" if default else "", key["text"]))
        elif found and (more := _CONTINUED.fullmatch(line)):
            found[-1] = found[-1]._replace(meaning=f"{found[-1].meaning} {more['text']}")
    yield from found


def table(text: str) -> str:
    """Return the table of a values.yaml in Markdown."""
    head = "| value | default | meaning |\n| --- | --- | --- |\n"
    return head + "".join(f"| {row.value} | {row.default} | {row.meaning} |\n" for row in rows(text))


def page(text: str, values: str) -> str:
    """Return the text of a page with the table of a values.yaml between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(values)}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), VALUES.read_text()))
