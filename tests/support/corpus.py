"""The corpus of statements: what a server says about each of them, and the classification that follows.

A file of `tests/corpus` has one statement on each line, after one word:

- `reads`: the server wrote nothing, and its read-only transaction takes the statement.
- `writes`: the server wrote, or its read-only transaction refuses the statement.
- `locks`: the statement locks rows or tables. A read-only transaction may refuse it, and PostgreSQL may log it.
- `calls`: two statements, with `{f}` as the call of a function that reads, and of a function that writes.
- `doubt`: the server wrote no row, but the text does not show that, or a setting outlives the session. It counts as
  a write.

A `⏎` stands for a new line. A line with `!` prepares the session for all lines after it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DIRECTORY = Path(__file__).resolve().parents[1] / "corpus"
FILES = {
    "postgresql": ("postgresql",),
    "postgresql_overloads": ("postgresql_overloads",),
    "mysql": ("mysql_and_mariadb", "mysql"),
    "mysql_overloads": ("mysql_overloads",),
    "mariadb": ("mysql_and_mariadb", "mariadb"),
    "sqlite": ("sqlite",),
}
READING_CALL, WRITING_CALL = "quiet(1)", "tidy(1)"
# The functions of the databases: one reads, the others write a row. The names of the last ones are also the language's.
READ_ONLY = frozenset({"quiet"})
WRITERS = {
    "postgresql": (
        "tidy",
        "update",
        "delete",
        "insert",
        "values",
        "in",
        "\N{LATIN SMALL LETTER LONG S}in",
        "mas\N{KELVIN SIGN}len",
        "😀",
        "null$lower",
    ),
    "mysql": ("tidy", "1tidy", "$tidy", "1e5", "0x1", "\N{LATIN SMALL LETTER LONG S}in", "é"),
    "sqlite": ("tidy", "match", "replace_", "row", "key", "temp", "\N{LATIN SMALL LETTER LONG S}in", "é"),
}
OVERLOADS = {
    "postgresql": (
        *("LOWER", "over", "ilike", "count", "sum", "join", "round", "lower", "left", "mode", "initcap", "like"),
        *("overlaps", "natural", "is", "rtrim"),
    ),
    "mysql": ("lower", "if", "now", "left", "count", "LOWER_", "sum", "curdate", "sha224", "any"),
}


class Line(NamedTuple):
    """One statement of the corpus."""

    verdict: str  # `reads`, `writes`, `locks` or `doubt`
    sql: str
    before: str  # SQL that prepares the session


def lines_of(corpus: str) -> Iterator[Line]:
    """Yield the statements of the corpus, a key of `FILES`. A line `calls` yields two statements."""
    for name in FILES[corpus]:
        yield from _lines_of_file(DIRECTORY / f"{name}.txt")


def _lines_of_file(path: Path) -> Iterator[Line]:
    before = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        sql = rest.strip().replace("⏎", "\n")
        if word == "!":
            before = sql
        elif word == "calls":
            yield Line("reads", sql.replace("{f}", READING_CALL), before)
            yield Line("writes", sql.replace("{f}", WRITING_CALL), before)
        elif word in {"reads", "writes", "locks", "doubt"}:
            yield Line(word, sql, before)
        elif word and word != "#":
            raise ValueError(f"A line of the corpus begins with {word!r}: {line}")


def vendor_of(corpus: str) -> str:
    """Return Django's name of the vendor, whose dialect the corpus has."""
    name = corpus.removesuffix("_overloads")
    return "mysql" if name == "mariadb" else name


def overloads_of(corpus: str) -> frozenset[str]:
    """Return the functions that write, of the database in which the statements of the corpus run: in lower case."""
    vendor = vendor_of(corpus)
    names = WRITERS[vendor] + (OVERLOADS[vendor] if corpus.endswith("_overloads") else ())
    return frozenset(name.lower() for name in names)
