"""Who this pod is, and which tokens open its record to other pods: two files of METRICS_DIR. No Django, no settings.

The processes of the service derive the tokens from a secret that all pods have, and write them. The exporter reads
them, so it needs no secret of its own.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from switchyard.telemetry.bearer_tokens import holds_token
from switchyard.telemetry.recent.whole_files import replace_text

_POD_FILE = "pod"
_TOKENS_FILE = "pod.tokens"


def pod_id(directory: Path) -> str:
    """Return the random name of the pod. Raises FileNotFoundError before the first call of `allow()`."""
    return (directory / _POD_FILE).read_text()


def allow(directory: Path, tokens: Sequence[str]) -> None:
    """Let clients with one of these tokens read the record. Raises OSError if the directory cannot be written."""
    _name_pod(directory / _POD_FILE)
    replace_text(directory / _TOKENS_FILE, "\n".join(tokens), mode=0o600)


def allows(directory: Path, authorization: str) -> bool:
    """Return True if the value of a header Authorization holds one of the tokens."""
    try:
        tokens = (directory / _TOKENS_FILE).read_text().split()
    except (FileNotFoundError, PermissionError):
        return False
    return holds_token(authorization, tokens)


def _name_pod(path: Path) -> None:
    """Make the name of the pod, unless another process has done so."""
    if path.exists():
        return
    draft = path.with_suffix(f".new-{os.getpid()}")
    draft.write_text(token_hex(8))
    try:
        os.link(draft, path)  # complete at once, and never a second time
    except FileExistsError:
        pass
    finally:
        draft.unlink()
