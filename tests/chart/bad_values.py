"""Bad values made from a schema of values: for each key, values that break what the schema says about the key."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# Texts that break a pattern; the first that does is taken.
_TEXTS = ("no such value!", "UPPER_case", "-", "x" * 300)


class Bad(NamedTuple):
    """Values with one mistake, and the text by which a message names its key."""

    values: dict[str, Any]
    named: str
    why: str


class Schema:
    """A JSON schema, walked key by key. `names` gives a name that fits for each pattern of property names."""

    def __init__(self, root: dict[str, Any], names: dict[str, str]) -> None:
        self._root = root
        self._names = names

    def bad_values(self) -> Iterator[Bad]:
        """Yield values with one mistake each, for every key of the schema."""
        yield from self._of(self._root, ())

    def _of(self, schema: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Bad]:
        schema = self._resolved(schema)
        for why, value in self._breaking(schema):
            if path:
                yield Bad(_nested(path, value), _pointer(path), why)
        for name, below in self._properties(schema).items():
            yield from self._of(below, (*path, name))
        if schema.get("additionalProperties") is False:
            yield Bad(_nested((*path, "unknownKey"), 1), "'unknownKey'", f"unknown key at {_pointer(path)}")
        if "items" in schema:
            yield from self._of(schema["items"], (*path, 0))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        definitions: dict[str, dict[str, Any]] = self._root["definitions"]
        while True:
            if "else" in schema:  # of the condition that the value is null
                schema = schema["else"]
            elif "$ref" in schema:
                schema = definitions[schema["$ref"].removeprefix("#/definitions/")]
            else:
                return schema

    def _properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        named = {self._names[pattern]: below for pattern, below in schema.get("patternProperties", {}).items()}
        return {**schema.get("properties", {}), **named}

    @staticmethod
    def _breaking(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        if "enum" in schema:
            yield "unknown word", "no such value!"
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        if types:
            yield "wrong type", next(value for value in ([1], {"a": 1}, "seven") if _json_type(value) not in types)
        if "minimum" in schema:
            yield "too small", schema["minimum"] - 1
        if "maximum" in schema:
            yield "too large", schema["maximum"] + 1
        if "pattern" in schema:
            yield "wrong form", next(text for text in _TEXTS if not re.search(schema["pattern"], text))
        if schema.get("minLength"):
            yield "empty", ""


def _json_type(value: Any) -> str:
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _nested(path: tuple[str | int, ...], value: Any) -> Any:
    for key in reversed(path):
        value = [value] if key == 0 else {key: value}
    return value


def _pointer(path: tuple[str | int, ...]) -> str:
    return "/" + "/".join(str(key) for key in path)


def named(bad: Bad) -> str:
    """Return a name for a test."""
    return f"{bad.why}: {json.dumps(bad.values)[:60]}"
