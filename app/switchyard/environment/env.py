"""Typed readers of environment variables: each returns a usable value or ends the start with one line."""

from collections.abc import Mapping
from pathlib import Path

Environ = Mapping[str, str]

_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_SHOWN_CHARACTERS = 100


class ConfigurationError(SystemExit):
    """A variable cannot be used. The message is one line: variable, value, problem, remedy.

    The class is a SystemExit. It therefore ends manage.py, gunicorn and any script with that line on standard error and
    exit code 1, without a traceback and without an exception handler. Never pass a secret as `value`.
    """

    def __init__(self, variable: str, problem: str, remedy: str, *, value: str | None = None) -> None:
        shown = "" if value is None else f"={value[:_SHOWN_CHARACTERS]!r}"
        super().__init__(f"{variable}{shown} {problem}. {remedy}.")


def text(environ: Environ, variable: str, default: str) -> str:
    """Return the variable's value, `default` when it is unset or empty."""
    return environ.get(variable) or default


def flag(environ: Environ, variable: str, *, default: bool) -> bool:
    """Return the variable as a bool, `default` when it is unset or empty."""
    value = text(environ, variable, "")
    if not value:
        return default
    if value.lower() not in _FLAGS:
        raise ConfigurationError(variable, "is neither true nor false", "Set it to true or false", value=value)
    return _FLAGS[value.lower()]


def number(environ: Environ, variable: str, default: int, *, low: int, high: int) -> int:
    """Return the variable as a whole number between `low` and `high`, `default` when it is unset or empty."""
    value = text(environ, variable, "")
    if not value:
        return default
    digits = value if value.isascii() and value.isdigit() else ""
    if not digits or len(digits) > len(str(high)) or not low <= int(digits) <= high:
        raise ConfigurationError(
            variable, "is out of range", f"Set it to a whole number from {low} to {high}", value=value
        )
    return int(digits)


def choice(environ: Environ, variable: str, choices: tuple[str, ...]) -> str | None:
    """Return the one of `choices` that the variable names in any case, None when it is unset or empty."""
    value = text(environ, variable, "")
    if not value:
        return None
    for known in choices:
        if value.lower() == known.lower():
            return known
    raise ConfigurationError(variable, "is unknown", f"Set it to one of: {', '.join(choices)}", value=value)


def names(environ: Environ, variable: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return the variable's comma-separated parts, `default` when it is unset or empty."""
    parts = [part.strip() for part in text(environ, variable, "").split(",")]
    return [part for part in parts if part] or list(default)


def secret(environ: Environ, variable: str, default: str | None = None) -> str:
    """Return the secret in the variable, or in the file that `<variable>_FILE` names, without trailing line ends.

    Raises ConfigurationError when both are set, or when neither is set and `default` is None.
    """
    value, path = _value_or_path(environ, variable)
    if path:
        return secret_file(f"{variable}_FILE", path)
    if value or default is not None:
        return value or default or ""
    raise ConfigurationError(variable, "is not set", f"Set it, or name a file that holds it in {variable}_FILE")


def secrets(environ: Environ, variable: str) -> list[str]:
    """Return the secrets in the variable, or in the file that `<variable>_FILE` names, separated by white space.

    Raises ConfigurationError when both are set. An empty file holds no secret.
    """
    value, path = _value_or_path(environ, variable)
    return (_read(f"{variable}_FILE", path) if path else value).split()


def secret_file(variable: str, path: str) -> str:
    """Return the secret in the file, without trailing line ends; `variable` is the variable that names the file."""
    value = _read(variable, path).rstrip("\r\n")
    if not value:
        raise ConfigurationError(variable, "names an empty file", "Write the secret into that file", value=path)
    return value


def _value_or_path(environ: Environ, variable: str) -> tuple[str, str]:
    """Return the values of the variable and of `<variable>_FILE`; at most one of them is set."""
    value, path = text(environ, variable, ""), text(environ, f"{variable}_FILE", "")
    if value and path:
        raise ConfigurationError(variable, f"is set, and so is {variable}_FILE", "Remove one of the two")
    return value, path


def _read(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(
            variable, f"cannot be read ({reason})", "Name a file that this process may read", value=path
        ) from None
