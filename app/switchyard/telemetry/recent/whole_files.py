"""Files that readers see complete, the earlier content or the new one, whoever writes at the same time. No Django."""

import os
from pathlib import Path


def replace_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Give the file this content. `mode` is that of a new file. Raises OSError if it cannot be written."""
    draft = path.with_name(f"{path.name}.new-{os.getpid()}")
    draft.touch(mode=mode)
    draft.write_text(text)
    draft.replace(path)
