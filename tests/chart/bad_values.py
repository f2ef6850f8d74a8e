"""Bad values made from a schema of values: for each key, values that break what the schema says about the key."""

import re
from collections.abc import Iterable, Iterator
from operator import eq
from typing import Any, NamedTuple

# Texts that break a pattern; the first that does is taken.
_TEXTS = ("no such value!", "UPPER_case", "-", "x" * 300)


type Path = tuple[str | int, ...]


class Bad(NamedTuple):
    """A value that breaks what the schema says about the key at the path, and the text by which a message says so."""

    path: Path
    value: Any
    said: str


class Schema:
    """A JSON schema, walked key by key. `names` gives a name that fits for each pattern of property names."""

    def __init__(self, root: dict[str, Any], names: dict[str, str]) -> None:
        self._root = root
        self._names = names

    def bad_values(self) -> Iterator[Bad]:
        """Yield bad values for every key of the schema."""
        yield from self._of(self._root, ())

    def _of(self, schema: dict[str, Any], path: Path) -> Iterator[Bad]:
        schema = self._resolved(schema)
        if path:
            yield from (Bad(path, value, f"at '{_pointer(path)}'") for value in self._breaking(schema))
        for name, below in self._properties(schema).items():
            yield from self._of(below, (*path, name))
        if schema.get("additionalProperties") is False:
            yield Bad(
                (*path, "unknownKey"), 1, f"at '{_pointer(path)}': additional properties 'unknownKey' not allowed"
            )
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
    def _breaking(schema: dict[str, Any]) -> Iterator[Any]:
        if "enum" in schema:
            yield "no such value!"
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        if types:
            yield next(value for value in ([1], {"a": 1}, "seven") if _json_type(value) not in types)
        if "minimum" in schema:
            yield schema["minimum"] - 1
        if "maximum" in schema:
            yield schema["maximum"] + 1
        if "pattern" in schema:
            yield next(text for text in _TEXTS if not re.search(schema["pattern"], text))
        if schema.get("minLength"):
            yield ""


def _json_type(value: Any) -> str:
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _pointer(path: Path) -> str:
    return "".join(f"/{key}" for key in path)


def together(bad_values: Iterable[Bad]) -> list[list[Bad]]:
    """Return the bad values in groups. In a group no value stands in the place of another one."""
    groups: list[list[Bad]] = []
    for bad in bad_values:
        free = (group for group in groups if not any(_is_on_way(bad.path, other.path) for other in group))
        group = next(free, None)
        if group is None:
            groups.append(group := [])
        group.append(bad)
    return groups


def _is_on_way(path: Path, other: Path) -> bool:
    """Return True if one of the paths begins with the other one."""
    return all(map(eq, path, other))


def values_of(group: Iterable[Bad]) -> Any:
    """Return the values of a chart that has all values of the group."""
    values: dict[str | int, Any] = {}
    for bad in group:
        *parents, last = bad.path
        at = values
        for key in parents:
            at = at.setdefault(key, {})
        at[last] = bad.value
    return _with_lists(values)


def _with_lists(value: Any) -> Any:
    """Return the value with a list for each dictionary that has the key 0."""
    if not isinstance(value, dict):
        return value
    if 0 in value:
        return [_with_lists(value[0])]
    return {key: _with_lists(below) for key, below in value.items()}
