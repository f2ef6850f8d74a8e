"""Values that make no sense are refused, with what to set instead."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.chart.objects import CHART, RefusedError, Render


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"imagee": {}}, "additional properties 'imagee' not allowed"),
        ({"image": {"tag": 1}}, "at '/image/tag': got number, want string"),
        ({"replicaCount": "2"}, "at '/replicaCount': got string, want integer"),
        ({"migrations": {"attempt": 0}}, "at '/migrations/attempt': minimum: got 0, want 1"),
        ({"env": {"lower": "x"}}, "at '/env': additional properties 'lower' not allowed"),
        ({"env": {"LEGACY_WRITABLE": True}}, "at '/env/LEGACY_WRITABLE': got boolean, want string"),
        ({"databases": {"Upper": {"engine": "mysql"}}}, "at '/databases': additional properties 'Upper' not allowed"),
        ({"databases": {"a" * 16: {}}}, f"additional properties '{'a' * 16}' not allowed"),
        (
            {"databases": {"x": {"engine": "oracle"}}},
            "at '/databases/x/engine': value must be one of 'postgresql', 'mysql'",
        ),
        ({"databases": {"x": {"mode": "external"}}}, "at '/databases/x/mode': value must be 'bundled'"),
        ({"databases": {"x": {"size": "1Gi"}}}, "at '/databases/x': additional properties 'size' not allowed"),
        ({"bundled": {"mysql": {"tag": "9"}}}, "at '/bundled/mysql': additional properties 'tag' not allowed"),
    ],
)
def test_schema__of_a_wrong_value(render: Render, values: dict[str, Any], said: str) -> None:
    """The schema names the place, and what it takes."""
    with pytest.raises(RefusedError) as refused:
        render(values)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"databases": {"default": {"enabled": False}}}, "databases.default is missing"),
        ({"databases": {"x": {}}}, "databases.x has no engine; set databases.x.engine"),
        (
            {"databases": {"x": {"replicaOf": "nowhere"}}},
            (
                'databases.x.replicaOf names "nowhere", which is not an enabled alias; '
                "set it to one of: analytics, default"
            ),
        ),
        (
            {"databases": {"x": {"replicaOf": "replica"}}},
            'databases.x.replicaOf names "replica", which is a replica itself; set it to "default"',
        ),
        (
            {"databases": {"x": {"replicaOf": "legacy"}}},
            'names "legacy", which runs on mysql; a bundled replica must be a PostgreSQL standby',
        ),
        ({"databases": {"x": {"replicaOf": "default", "apps": ["a"]}}}, "databases.x.apps is set on a replica"),
        (
            {"databases": {"legacy": {"maxLagSeconds": 5}}},
            "databases.legacy.maxLagSeconds is set on an owner; remove it",
        ),
        (
            {"databases": {"x": {"engine": "mysql", "apps": ["a"]}, "y": {"engine": "mysql", "apps": ["a"]}}},
            'databases.y.apps names "a", which databases.x.apps names too',
        ),
        ({"env": {"DATABASE_DEFAULT_URL": "x"}}, "env.DATABASE_DEFAULT_URL is set by the chart itself"),
    ],
)
def test_validation__of_aliases_that_do_not_fit(render: Render, values: dict[str, Any], said: str) -> None:
    """What the schema cannot say is said by name, with the value to set."""
    with pytest.raises(RefusedError) as refused:
        render(values)

    assert said in str(refused.value)


def test_validation__of_several_problems(render: Render) -> None:
    """All problems are told at once."""
    with pytest.raises(RefusedError) as refused:
        render({"databases": {"x": {"replicaOf": "nowhere"}, "z": {}}, "env": {"SECRET_KEY": "x"}})

    assert "3 problem(s) in the values" in str(refused.value)


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of each value that is no map of further ones."""
    for key, value in values.items():
        if isinstance(value, dict) and value and not {"requests", "limits"} & value.keys():
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def test_documentation__of_values() -> None:
    """docs/chart.md names every value, and every key of an alias."""
    text = (CHART.parent / "docs" / "chart.md").read_text()
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    del values["databases"]

    missing = [path for path in leaves(values) if f"`{path}`" not in text]
    missing += [
        key for key in schema["definitions"]["database"]["properties"] if f"`databases.<alias>.{key}`" not in text
    ]

    assert not missing
