"""Files of METRICS_DIR that one process writes again and again, and the exporter reads. No Django and no settings.

A process has the lowest file of its kind whose lock no other process holds, so that the number of files does not grow
with restarts. Each content appears complete, by a rename, and says when it was written, in `time.monotonic()`, which
all processes of a machine share.
"""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any


def claim(directory: Path, kind: str) -> Path:
    """Return the lowest file of the kind that nobody else writes. Its lock ends with this process.

    Raises OSError if the directory cannot be written.
    """
    for number in count():
        path = directory / f"{kind}-{number}"
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return path
    raise AssertionError  # count() has no end


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the content of a file that was claimed. Raises OSError if it cannot be written."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"written_at": time.monotonic(), **content}))
    draft.replace(path)


def read(directory: str | Path, kind: str, *, seconds: float) -> list[dict[str, Any]]:
    """Return the contents of the kind that were written in the last seconds, the newest one last."""
    contents = [json.loads(path.read_text()) for path in Path(directory).glob(f"{kind}-*") if not path.suffix]
    now = time.monotonic()
    recent = (content for content in contents if 0 <= now - content["written_at"] <= seconds)
    return sorted(recent, key=lambda content: float(content["written_at"]))
