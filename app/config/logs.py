"""The logging configuration: JSON lines, or text on a terminal. Each module decides what it logs."""

import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name


def logging_config(stream: str) -> dict[str, Any]:
    """Return the configuration for logging.config: every record goes to `stream`, which is `stdout` or `stderr`."""
    on_terminal = getattr(sys, stream).isatty()
    # Plain tracebacks in both: structlog's own tracebacks show local variables, and with them passwords and tokens.
    renderers: list[structlog.typing.Processor] = (
        [format_exc_info, escape_control_characters, ConsoleRenderer(exception_formatter=plain_traceback)]
        if on_terminal
        else [format_exc_info, JSONRenderer()]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": ProcessorFormatter,
                "foreign_pre_chain": [
                    add_log_level,
                    add_logger_name,
                    ExtraAdder(),
                    TimeStamper(fmt="%H:%M:%S", utc=False) if on_terminal else TimeStamper(fmt="iso"),
                ],
                "processors": [ProcessorFormatter.remove_processors_meta, *renderers],
            }
        },
        "handlers": {
            "stream": {"class": "logging.StreamHandler", "formatter": "structured", "stream": f"ext://sys.{stream}"}
        },
        "root": {"level": "INFO", "handlers": ["stream"]},
        "loggers": {
            # Their own handlers would write each record twice, or mail it.
            "django": {"handlers": []},
            "django.server": {"handlers": []},
            "gunicorn.error": {"handlers": []},
            # gunicorn writes an access log as soon as it has a logconfig_dict.
            "gunicorn.access": {"handlers": [], "level": "WARNING"},
        },
    }


def escape_control_characters(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what a terminal would obey, because a client chooses parts of a message. Tracebacks keep their lines."""
    for key, value in event.items():
        text = value if isinstance(value, str) else repr(value)
        kept = "\n" if key in {"exception", "stack"} else ""
        event[key] = "".join(
            character if character.isprintable() or character in kept else repr(character)[1:-1] for character in text
        )
    return event
