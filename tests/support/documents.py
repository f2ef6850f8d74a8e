"""The documents of the project: their sections, their code blocks, and their commands with the shown output.

A block is a file if its first line is a comment with a path; `, at the end` appends the block to the file. A `console`
block has commands after `$ ` and their output, in which `...` stands for any text.
"""

import doctest
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / ".github").glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FILE = re.compile(r"# (?P<path>[\w./-]+\.\w+)(?P<append>, at the end)?\n")
_OUTPUT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text and the heading above it."""

    section: str
    language: str
    text: str


@dataclass(frozen=True)
class Ran:
    """A command of a page, with the output that the page shows and the output that the command printed."""

    command: str
    shown: str
    printed: str
    exit_code: int

    @property
    def as_shown(self) -> bool:
        """Return True if the command succeeded and printed the output that the page shows."""
        return self.exit_code == 0 and doctest.OutputChecker().check_output(self.shown, self.printed, _OUTPUT)

    def __str__(self) -> str:
        return f"$ {self.command}\nexit code {self.exit_code}\nshown:\n{self.shown}\nprinted:\n{self.printed}"


def without_blocks(text: str) -> str:
    """Return the text of a page without its code blocks."""
    return _FENCED.sub("", text)


def blocks(text: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found = []
    for block in _FENCED.finditer(text):
        headings = _HEADING.findall(without_blocks(text[: block.start()]))
        found.append(Block(headings[-1] if headings else "", block[1], block[2]))
    return found


def uv() -> str:
    """Return the command uv: of the variable UV, of the PATH, or the one that `make` puts in build/."""
    return os.environ.get("UV") or shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")


def files(page: str, *, leave_out: Collection[str] = ()) -> list[str]:
    """Return the paths of the files in the page's blocks, except blocks of the sections in `leave_out`."""
    return [
        found["path"] for block in blocks(page) if block.section not in leave_out if (found := _FILE.match(block.text))
    ]


def follow(page: str, directory: Path, environ: Mapping[str, str], *, leave_out: Collection[str] = ()) -> Iterator[Ran]:
    """Write the page's files and run its commands in the directory, in order; yield each command that ran.

    Blocks of the sections in `leave_out` are skipped.
    """
    for block in blocks(page):
        if block.section in leave_out:
            continue
        if (file := _FILE.match(block.text)) is not None:
            _write(directory / file["path"], block.text, append=file["append"] is not None)
        elif block.language == "console":
            yield from _run(block.text, directory, environ)


def _write(path: Path, text: str, *, append: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{path.read_text()}\n{text}" if append else text)


def _run(block: str, directory: Path, environ: Mapping[str, str]) -> Iterator[Ran]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=directory,
            env=dict(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        yield Ran(command, shown, ran.stdout, ran.returncode)
