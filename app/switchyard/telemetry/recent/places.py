"""The place in the program's own code from which this is called: file, line and function."""

import inspect
import sys
from pathlib import Path
from types import FrameType

_HANDLERS = "django.core.handlers"  # call the views; what stands above them is no part of a view
_BELOW_A_PROGRAM = ("switchyard", "django.db", "asgiref")


def place_in_program() -> str:
    """Return the innermost frame of the program: outside Django, Switchyard, installed packages and Python's library.

    Where a view of a package does the work, such as one of the admin, the frame of the package. Empty if there is none.
    """
    frame = inspect.currentframe()
    package: FrameType | None = None
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if _is_in(module, _HANDLERS):
            break
        if _is_own(frame, module):
            return _text(frame, module)
        if package is None and not _is_below_a_program(module):
            package = frame
        frame = frame.f_back
    return "" if package is None else _text(package, package.f_globals.get("__name__", ""))


def _is_own(frame: FrameType, module: str) -> bool:
    parts = Path(frame.f_code.co_filename).parts
    installed = "site-packages" in parts or "dist-packages" in parts
    return (
        not installed and not _is_in(module, "django") and not _is_in(module, "switchyard") and not _is_library(module)
    )


def _is_below_a_program(module: str) -> bool:
    return _is_library(module) or any(_is_in(module, package) for package in _BELOW_A_PROGRAM)


def _is_library(module: str) -> bool:
    return module != "__main__" and module.partition(".")[0] in sys.stdlib_module_names


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _text(frame: FrameType, module: str) -> str:
    """Return the place, with the path below the directory from which the module was imported."""
    path = Path(frame.f_code.co_filename)
    names = module.count(".") + 1 + (path.stem == "__init__")
    return f"{'/'.join(path.parts[-names:])}:{frame.f_lineno} in {frame.f_code.co_qualname}"
