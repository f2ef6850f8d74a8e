"""What every pod of the chart may do: what the restricted Pod Security Standard lets it, and less."""

from tests.chart.objects import Render, containers, of_kind, pod_specs


def test_pods__under_the_restricted_standard(render: Render) -> None:
    """Each pod runs as nobody in particular, with the default seccomp profile and nothing of the node's."""
    specs = dict(pod_specs(render()))

    assert len(specs) == 2 + 4 + 3 + 2
    for name, spec in specs.items():
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "projected", "secret"}, name


def test_containers__under_the_restricted_standard(render: Render) -> None:
    """Each container gains no privilege, has no capability and cannot write its root file system."""
    for name, spec in pod_specs(render()):
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_containers__of_a_busy_node(render: Render) -> None:
    """Each container says what it needs and cannot take all of the node's memory."""
    for name, spec in pod_specs(render()):
        for container in containers(spec):
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name


def test_pods__with_the_api_server(render: Render) -> None:
    """No pod holds a token for the API server."""
    objects = render()

    (account,) = of_kind(objects, "ServiceAccount").values()
    assert account["automountServiceAccountToken"] is False
    for name, spec in pod_specs(objects):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["serviceAccountName"] == account["metadata"]["name"], name


def test_pods__with_the_migrators_password(render: Render) -> None:
    """Beside the server that makes the user, only an owner's own Job holds it."""
    holders = {
        name.removeprefix("StatefulSet/sy-switchyard-db-").removeprefix("Job/sy-switchyard-")
        for name, spec in pod_specs(render())
        if "-migrator" in str(spec)
    }

    assert {name.partition("migrate-")[2].partition("-")[0] or name for name in holders} == {
        "default",
        "analytics",
        "legacy",
    }
    assert len(holders) == 6
