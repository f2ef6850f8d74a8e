"""Files that one process writes and others read."""

import json
import time
from pathlib import Path

import pytest

from switchyard.telemetry.gauges import process_files


def test_claim__one_file_a_writer(tmp_path: Path) -> None:
    """Each writer has the lowest free file of its kind."""
    claimed = [process_files.claim(tmp_path, kind).name for kind in ("process", "process", "references")]

    assert claimed == ["process-0", "process-1", "references-0"]


def test_claim__a_directory_that_is_gone(tmp_path: Path) -> None:
    """The caller learns that there can be no file."""
    with pytest.raises(FileNotFoundError):
        process_files.claim(tmp_path / "nowhere", "process")


def test_read__what_was_written(tmp_path: Path) -> None:
    """The newest content of a file is there, with the time of its writing; locks and drafts are no contents."""
    path = process_files.claim(tmp_path, "process")
    process_files.write(path, {"number": 1})
    process_files.write(path, {"number": 2})
    (tmp_path / "process-1.new").write_text("{")
    (found,) = process_files.read(tmp_path, "process", seconds=60)

    assert found["number"] == 2
    assert found["written_at"] == pytest.approx(time.monotonic(), abs=60)


def test_read__of_several_writers(tmp_path: Path) -> None:
    """The newest content comes last, and old ones are left out."""
    now = time.monotonic()
    for number, written_at in enumerate((now, now - 5, now - 60)):
        (tmp_path / f"process-{number}").write_text(json.dumps({"written_at": written_at, "number": number}))

    assert [each["number"] for each in process_files.read(tmp_path, "process", seconds=30)] == [1, 0]
