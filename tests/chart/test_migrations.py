"""One Job per owner, named by what it runs."""

from typing import Any

import pytest
from tests.chart.objects import Object, RefusedError, Render, environment, of_kind, service_environment

from switchyard.migrations._exit_codes import DO_NOT_RETRY


def jobs(objects: list[Object]) -> dict[str, Object]:
    """Return the migration Jobs by alias."""
    return {job["metadata"]["labels"]["switchyard/alias"]: job for job in of_kind(objects, "Job").values()}


def test_jobs__of_the_default_values(render: Render) -> None:
    """Each owner has one, the replica none."""
    found = jobs(render())

    assert found.keys() == {"default", "analytics", "legacy"}
    for alias, job in found.items():
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"][:4] == ["python", "manage.py", "migrate", f"--database={alias}"]


def test_jobs__as_hooks(render: Render) -> None:
    """They are none: a hook would run before the databases are there."""
    for job in jobs(render()).values():
        assert "annotations" not in job["metadata"]


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({"image": {"tag": "new"}}, {"default", "analytics", "legacy"}),
        ({"migrations": {"attempt": 2}}, {"default", "analytics", "legacy"}),
        ({"migrations": {"backoffLimit": 1}}, {"default", "analytics", "legacy"}),
        ({"env": {"LEGACY_WRITABLE": "true"}}, {"default", "analytics", "legacy"}),
        ({"extraEnv": [{"name": "X", "value": "1"}]}, {"default", "analytics", "legacy"}),
        ({"envFrom": [{"secretRef": {"name": "x"}}]}, {"default", "analytics", "legacy"}),
        ({"migrations": {"command": ["/app/migrate"]}}, {"default", "analytics", "legacy"}),
        ({"image": {"user": 1000}}, {"default", "analytics", "legacy"}),
        ({"service": {"command": ["x"], "port": 80, "containerPort": 81, "probes": {"liveness": ""}}}, set()),
        ({"metrics": {"enabled": False}, "tests": {"enabled": False}, "gate": {"command": ["x"]}}, set()),
        ({"databases": {"extra": {"engine": "mysql"}}}, {"default", "analytics", "legacy"}),
        ({"databases": {"far": {"replicaOf": "default"}}}, set()),
        ({"databases": {"replica": {"applyDelay": 5}}}, set()),
        ({"replicaCount": 5, "workers": 4, "threads": 2, "allowedHosts": ["example.org"]}, set()),
        ({"gate": {"replicaTimeout": 5}}, set()),
        ({"bundled": {"postgresql": {"image": "postgres:18.1"}}}, set()),
    ],
)
def test_jobs__of_changed_values(render: Render, values: dict[str, Any], changed: set[str]) -> None:
    """A Job's name changes when its spec does, and only then."""
    before, after = jobs(render()), jobs(render(values))

    for alias, job in before.items():
        same_name = job["metadata"]["name"] == after[alias]["metadata"]["name"]
        assert same_name == (job["spec"] == after[alias]["spec"]) == (alias not in changed), alias


def test_jobs__of_an_owner_that_is_not_required(render: Render) -> None:
    """Its Job says so to whoever waits for Jobs."""
    found = jobs(render({"databases": {"legacy": {"required": False}}}))

    assert {alias: job["metadata"]["labels"]["switchyard/required"] for alias, job in found.items()} == {
        "default": "true",
        "analytics": "true",
        "legacy": "false",
    }


def test_jobs__with_passwords(render: Render) -> None:
    """A Job knows all owners, so that the graph of migrations is whole, and the password of its own alone."""
    for alias, job in jobs(render()).items():
        (container,) = job["spec"]["template"]["spec"]["containers"]
        environ = environment(container)
        urls = {name for name in environ if name.endswith("_URL")}
        assert urls == {"DATABASE_DEFAULT_URL", "DATABASE_ANALYTICS_URL", "DATABASE_LEGACY_URL"}
        assert {name for name in environ if name.endswith("_FILE")} == {f"DATABASE_{alias.upper()}_PASSWORD_FILE"}


def test_jobs__cut_short(render: Render) -> None:
    """A Job that an upgrade deletes has the time that values give it to end its migration."""
    for job in jobs(render({"migrations": {"terminationGracePeriodSeconds": 77}})).values():
        assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 77
        assert job["spec"]["backoffLimit"] == 3
        assert job["spec"]["activeDeadlineSeconds"] == 1800


def test_jobs__before_their_servers(render: Render) -> None:
    """A Job waits for its server as long as it may run: a slow start is no failure."""
    for job in jobs(render({"migrations": {"activeDeadlineSeconds": 99}})).values():
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert "--wait=99" in container["command"]
        assert job["spec"]["activeDeadlineSeconds"] == 99


def test_jobs__failures(render: Render) -> None:
    """A disruption of the node counts for nothing, and an exit code that no retry mends fails the Job at once."""
    for job in jobs(render()).values():
        ignored, failed = job["spec"]["podFailurePolicy"]["rules"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
        assert failed["action"] == "FailJob"
        assert failed["onExitCodes"] == {
            "containerName": container["name"],
            "operator": "In",
            "values": [2, DO_NOT_RETRY],  # 2: the arguments are wrong
        }


def test_jobs__clear_mark(render: Render) -> None:
    """Only the Job of the alias takes the mark away, and it is a new Job."""
    before = jobs(render())
    after = jobs(render({"databases": {"legacy": {"clearMark": "legacy.0002_email"}}}))
    command = after["legacy"]["spec"]["template"]["spec"]["containers"][0]["command"]

    assert "--clear-mark=legacy.0002_email" in command
    assert after["default"] == before["default"]
    assert after["legacy"]["metadata"]["name"] != before["legacy"]["metadata"]["name"]


def test_jobs__of_an_unmanaged_owner(render: Render) -> None:
    """There is none, nor a network policy for one, and whoever runs the code is told why."""
    objects = render({"databases": {"legacy": {"managed": False}}})

    assert jobs(objects).keys() == {"default", "analytics"}
    assert not [name for name in of_kind(objects, "NetworkPolicy") if name.endswith("-migrate-legacy")]
    told = [environment(job["spec"]["template"]["spec"]["containers"][0]) for job in jobs(objects).values()]
    for environ in (service_environment(objects), *told):
        assert {name: value for name, value in environ.items() if name.endswith("_MANAGED")} == {
            "DATABASE_LEGACY_MANAGED": "false"
        }


def test_gate__of_an_unmanaged_owner(render: Render) -> None:
    """The init container has the same variables as the service, so it does not wait for the owner."""
    (deployment,) = of_kind(render({"databases": {"legacy": {"managed": False}}}), "Deployment", "service").values()
    (gate,) = deployment["spec"]["template"]["spec"]["initContainers"]

    assert environment(gate)["DATABASE_LEGACY_MANAGED"] == "false"


def test_jobs__of_an_unmanaged_owner_elsewhere(render: Render) -> None:
    """There is none, and a user that migrates is refused."""
    legacy = {
        "engine": "mysql",
        "mode": "external",
        "host": "old.example.org",
        "name": "shop",
        "secret": {"name": "old-shop"},
        "tls": {"mode": "require"},
        "managed": False,
    }

    assert "legacy" not in jobs(render({"databases": {"legacy": legacy}}))
    with pytest.raises(RefusedError) as refused:
        render({"databases": {"legacy": {**legacy, "migrationUser": "ddl", "migrationSecret": {"name": "ddl"}}}})
    for key in ("migrationUser", "migrationSecret"):
        assert f"databases.legacy.{key} is set, and databases.legacy.managed is false" in str(refused.value)
