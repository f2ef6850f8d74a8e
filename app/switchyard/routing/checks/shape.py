"""System checks of the keys of SWITCHYARD, and of values that must be lists or switches (E016)."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from switchyard.conf import KEYS

_SWITCHES = ("SERVER_TIMING", "SQL_COMMENTS", "TRACES")
_LISTS = ("READ_ONLY", "OPTIONAL", "UNMANAGED", "PRIMARY_ONLY", "READ_ONLY_FUNCTIONS", "CONSOLE_PEERS")


def _unknown_keys() -> Iterator[CheckMessage]:
    for key in sorted(_given().keys() - KEYS):
        close = get_close_matches(key.upper(), KEYS, n=1)
        remedy = f"Did you mean '{close[0]}'? " if close else ""
        yield Error(
            f"SWITCHYARD has the unknown key '{key}', which has no effect.",
            hint=f"{remedy}Keys: {', '.join(sorted(KEYS))}.",
            id="switchyard.E016",
        )


def wrong_types() -> Iterator[CheckMessage]:
    """Yield an error for each value that must be a list and is none, such as a text: its letters would be names."""
    given = _given()
    lists = {f"['{key}']": given.get(key, ()) for key in _LISTS}
    lists |= {f"['REPLICAS']['{owner}']": aliases for owner, aliases in given.get("REPLICAS", {}).items()}
    for key, value in lists.items():
        if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(each, str) for each in value):
            yield Error(
                f"SWITCHYARD{key} is {value!r}, and not a list of texts.",
                hint=f"Write [{value!r}]." if isinstance(value, str) else "Write a list of texts.",
                id="switchyard.E016",
            )


def _wrong_switches() -> Iterator[CheckMessage]:
    for key in _SWITCHES:
        if not isinstance(value := _given().get(key, False), bool):
            yield Error(
                f"SWITCHYARD['{key}'] is {value!r}, which is neither True nor False.",
                hint="Write True or False, without quotation marks.",
                id="switchyard.E016",
            )


def _wrong_peers() -> Iterator[CheckMessage]:
    peers = _given().get("CONSOLE_PEERS", ())
    for peer in peers if isinstance(peers, list | tuple) else ():
        if not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]{1,5}", str(peer)):
            yield Error(
                f"SWITCHYARD['CONSOLE_PEERS'] names {peer!r}, which is no name with a port.",
                hint="Write the name at which the exporters of the pods are found, and their port: 'web-pods:9464'.",
                id="switchyard.E016",
            )
    if peers and not _given().get("METRICS_DIR"):
        yield Error(
            "SWITCHYARD['CONSOLE_PEERS'] is set and METRICS_DIR is not, so no other pod can ask this one.",
            hint="Set METRICS_DIR, and run the exporter on the same directory.",
            id="switchyard.E016",
        )


def _wrong_retention() -> Iterator[CheckMessage]:
    retention = _given().get("TOMBSTONE_RETENTION", timedelta(days=1))
    if not isinstance(retention, timedelta) or retention <= timedelta():
        yield Error(
            f"SWITCHYARD['TOMBSTONE_RETENTION'] is {retention!r}, which is no timedelta above 0.",
            hint="Write a timedelta, such as timedelta(days=7).",
            id="switchyard.E016",
        )


def _given() -> Mapping[str, Any]:
    given: Mapping[str, Any] = getattr(settings, "SWITCHYARD", {})
    return given


CHECKS = (_unknown_keys, _wrong_switches, _wrong_peers, _wrong_retention)
