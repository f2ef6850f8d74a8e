"""The map of aliases: any alias by values alone, and gone everywhere when it is disabled."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.objects import CHART, Object, Render, containers, environment, of_kind, service_environment

from config.databases import topology


def told(objects: list[Object], tmp_path: Path) -> Any:
    """Return what the service itself makes of the environment that the chart gives it."""
    password = tmp_path / "password"
    password.write_text("secret")
    environ = {
        name: str(password) if name.endswith("_PASSWORD_FILE") else value
        for name, value in service_environment(objects).items()
        if name.startswith("DATABASE_")
    }
    return topology(environ, data_dir=tmp_path)


def mentions(objects: list[Object], alias: str) -> set[str]:
    """Return the names of what speaks of an alias, the texts of scripts apart."""
    return {found["metadata"]["name"] for found in objects if found["kind"] != "ConfigMap" and alias in str(found)}


def servers(objects: list[Object]) -> set[str]:
    """Return the aliases of the bundled servers."""
    return {found["metadata"]["labels"]["switchyard/alias"] for found in of_kind(objects, "StatefulSet").values()}


def test_databases__of_the_default_values(render: Render, tmp_path: Path) -> None:
    """The service is told of four aliases, one of them a replica, each with its user's password."""
    found = told(render(), tmp_path)

    assert found.databases.keys() == {"default", "replica", "analytics", "legacy"}
    assert found.switchyard["REPLICAS"] == {"default": ["replica"]}
    assert found.switchyard["OPTIONAL"] == frozenset()
    for database in found.databases.values():
        assert (database["USER"], database["PASSWORD"], database["NAME"]) == ("app", "secret", "switchyard")


ALIASES = {"default", "replica", "analytics", "legacy"}


@pytest.mark.parametrize("gone", [{"enabled": False}, None])
@pytest.mark.parametrize("alias", sorted(ALIASES - {"default"}))
def test_databases__without_an_alias(render: Render, alias: str, gone: Object | None, tmp_path: Path) -> None:
    """An alias that is disabled, or null, is nowhere."""
    objects = render({"databases": {alias: gone}})

    assert servers(objects) == ALIASES - {alias}
    assert told(objects, tmp_path).databases.keys() == ALIASES - {alias}
    if alias != "replica":  # a word of other values, too
        assert mentions(objects, alias) == set()


@pytest.mark.parametrize("alias", sorted(ALIASES - {"default"}))
def test_databases__set_to_null(render: Render, alias: str, tmp_path: Path) -> None:
    """On the command line, too, `null` removes an alias."""
    objects = render({}, "--set", f"databases.{alias}=null")

    assert servers(objects) == ALIASES - {alias}
    assert told(objects, tmp_path).databases.keys() == ALIASES - {alias}


def test_databases__with_default_alone(render: Render, tmp_path: Path) -> None:
    """Nothing but `default` is needed."""
    objects = render({"databases": {alias: {"enabled": False} for alias in ALIASES - {"default"}}})

    assert servers(objects) == {"default"}
    assert told(objects, tmp_path).switchyard["REPLICAS"] == {}


@pytest.mark.parametrize("owner", ["default", "analytics", "legacy", "more"])
def test_databases__with_many_replicas(render: Render, owner: str, tmp_path: Path) -> None:
    """Any owner, an added one included, has as many replicas as values name."""
    replicas = [f"copy{number}" for number in range(5)]
    objects = render({"databases": {"more": {"engine": "mysql"}} | {alias: {"replicaOf": owner} for alias in replicas}})

    assert servers(objects) == {*ALIASES, "more", *replicas}
    assert set(replicas) <= set(told(objects, tmp_path).switchyard["REPLICAS"][owner])
    assert len(of_kind(objects, "Job")) == 4


def test_databases__with_a_second_replica(render: Render, tmp_path: Path) -> None:
    """A replica more is three lines of values: a server over a slot of its own, and no Job."""
    objects = render({"databases": {"far": {"replicaOf": "analytics", "applyDelay": 5, "maxLagSeconds": 10}}})

    server = of_kind(objects, "StatefulSet")["sy-switchyard-db-far"]
    environ = environment(server["spec"]["template"]["spec"]["containers"][0])
    assert (environ["PRIMARY_HOST"], environ["REPLICATION_SLOT"]) == ("sy-switchyard-db-analytics", "far")
    assert (environ["APPLY_DELAY"], environ["MAX_LAG_SECONDS"]) == ("5s", "10")
    assert told(objects, tmp_path).switchyard["MAX_LAG_SECONDS"] == {"replica": 30, "far": 10}
    assert told(objects, tmp_path).switchyard["REPLICAS"] == {"default": ["replica"], "analytics": ["far"]}
    assert not [name for name in of_kind(objects, "Job") if "far" in name]


def test_databases__with_a_fifth(render: Render, tmp_path: Path) -> None:
    """An owner more has a server, a Job, Secrets of its own, and the apps that it is given."""
    objects = render({"databases": {"reports": {"engine": "postgresql", "apps": ["reporting"], "required": False}}})

    found = told(objects, tmp_path)
    assert found.switchyard["OWNERS"]["reporting"] == "reports"
    assert found.switchyard["OPTIONAL"] == {"reports"}
    assert {"sy-switchyard-db-reports", "sy-switchyard-db-reports-app"} <= mentions(objects, "reports")
    assert [name for name in of_kind(objects, "Job") if name.startswith("sy-switchyard-migrate-reports-")]


RECIPES = re.findall(
    r"^```yaml\n(.*?)^```$", (CHART.parent / "docs" / "adding.md").read_text(), re.DOTALL | re.MULTILINE
)


def test_databases__of_the_recipes(render: Render, tmp_path: Path) -> None:
    """The values of docs/adding.md add `billing` with a server and a Job, and `replica2` with a server."""
    billing, replica = (render(yaml.safe_load(recipe)) for recipe in RECIPES)

    assert told(billing, tmp_path).databases["billing"]["HOST"] == "sy-switchyard-db-billing"
    assert [name for name in of_kind(billing, "Job") if name.startswith("sy-switchyard-migrate-billing-")]
    assert {"sy-switchyard-db-billing-app", "sy-switchyard-db-billing-migrator"} <= of_kind(billing, "Secret").keys()
    assert told(replica, tmp_path).switchyard["REPLICAS"] == {"default": ["replica", "replica2"]}
    assert "sy-switchyard-db-replica2" in of_kind(replica, "StatefulSet")


@pytest.mark.parametrize("alias", ["y", "on", "null", "e1"])
def test_databases__with_a_name_that_yaml_reads_otherwise(render: Render, alias: str, tmp_path: Path) -> None:
    """An alias is text, whatever else YAML takes it for."""
    objects = render({"databases": {alias: {"engine": "mysql"}}})

    assert alias in told(objects, tmp_path).databases
    assert f"sy-switchyard-db-{alias}" in of_kind(objects, "StatefulSet")


def test_services__of_replicas(render: Render) -> None:
    """Only a replica keeps its address while it is not ready: whether it is fit is the router's to say."""
    services = of_kind(render(), "Service", component="database")

    assert {name for name, service in services.items() if service["spec"].get("publishNotReadyAddresses")} == {
        "sy-switchyard-db-replica"
    }


def test_gate__of_the_service(render: Render) -> None:
    """The service's pods wait for the databases with the service's own users."""
    (deployment,) = of_kind(render({"gate": {"replicaTimeout": 7}}), "Deployment", "service").values()
    gate, service, _ = containers(deployment["spec"]["template"]["spec"])

    assert gate["command"] == ["python", "manage.py", "wait_migrated", "--replica-timeout", "7"]
    assert gate["env"] == service["env"]


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A chart that depends on this one."""
    directory = tmp_path / "parent"
    directory.mkdir()
    (directory / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "parent", "version": "1.0.0"}))
    shutil.copytree(CHART, directory / "charts" / "switchyard")
    return directory


@pytest.mark.parametrize("alias", sorted(ALIASES - {"default"}))
def test_chart__as_a_dependency(render: Render, parent: Path, alias: str, tmp_path: Path) -> None:
    """A parent chart sets values below the chart's name, and globals beside it; its values remove an alias."""
    values = {"global": {"team": "rails"}, "switchyard": {"databases": {alias: {"enabled": False}}}}
    objects = render(values, chart=parent)

    assert servers(objects) == ALIASES - {alias}
    assert told(objects, tmp_path).databases.keys() == ALIASES - {alias}


def test_chart__as_a_dependency_with_more(render: Render, parent: Path, tmp_path: Path) -> None:
    """A parent chart adds owners and replicas."""
    more = {"more": {"engine": "mysql"}, "copy": {"replicaOf": "more"}, "far": {"replicaOf": "default"}}
    objects = render({"switchyard": {"databases": more}}, chart=parent)

    assert servers(objects) == {*ALIASES, *more}
    assert told(objects, tmp_path).switchyard["REPLICAS"] == {"default": ["far", "replica"], "more": ["copy"]}
