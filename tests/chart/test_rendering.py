"""What Helm makes of the chart: alike by every Helm, valid for Kubernetes, the same each time."""

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from tests.chart.objects import CHART, Object, Render, of_kind, without_secrets

HELMS = [helm for helm in ("helm", "helm3") if shutil.which(helm)]
SETS = [*sorted((CHART / "ci").glob("*-values.yaml")), CHART / "values.yaml"]
OF_OTHERS = {
    "monitoring.coreos.com/v1",
    "gateway.networking.k8s.io/v1",
    "cert-manager.io/v1",
}  # custom resources, of which Kubernetes has no schema
NEWEST = int(kubernetes_validate.latest_version().split(".")[1])


def test_lint__finds_nothing(helm: str) -> None:
    """`helm lint --strict` is content."""
    result = subprocess.run([helm, "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_lint__of_values_for_ci(helm: str, values: Path) -> None:
    """`helm lint --strict` accepts each set of values for CI."""
    command = [helm, "lint", "--strict", str(CHART), "--values", str(values)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(len(HELMS) < 2, reason="helm3 is not installed beside helm")
@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_template__by_each_helm(values: Path) -> None:
    """Helm 3 and 4 make the same objects."""
    rendered = [
        without_secrets(
            [
                document
                for document in yaml.safe_load_all(
                    subprocess.run(
                        [helm, "template", "sy", str(CHART), "--values", str(values)],
                        capture_output=True,
                        text=True,
                        check=True,
                    ).stdout
                )
                if document
            ]
        )
        for helm in HELMS
    ]

    assert rendered[0] == rendered[1]


@pytest.mark.parametrize("minor", [NEWEST, NEWEST - 1, NEWEST - 2])
@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_template__of_the_newest_kubernetes_minors(render: Render, values: Path, minor: int) -> None:
    """Every object is what the schema of that minor asks for, with no field that it does not know."""
    objects = [found for found in render(yaml.safe_load(values.read_text())) if found["apiVersion"] not in OF_OTHERS]

    assert objects
    for found in objects:
        kubernetes_validate.validate(found, f"1.{minor}", strict=True)


def test_template__twice(render: Render) -> None:
    """Nothing but the data of Secrets differs: an upgrade that changes nothing restarts nothing."""
    assert without_secrets(render()) == without_secrets(render())


def test_template__of_a_new_chart_version(render: Render, chart_copy: Path) -> None:
    """The chart's version is in no pod: it alone makes no Job and restarts nothing."""
    about = chart_copy / "Chart.yaml"
    about.write_text(about.read_text().replace("version: 0.1.0", "version: 0.1.1", 1))

    def specs(objects: list[Object]) -> dict[tuple[str, str], Object]:
        found = without_secrets(objects)
        return {(each["kind"], each["metadata"]["name"]): each["spec"] for each in found if "spec" in each}

    assert specs(render(chart=chart_copy)) == specs(render())


@pytest.mark.parametrize(
    "release", ["switchyard", "sy", "a" * 53, "switchyard-of-a-team-with-a-long-name-in-the-north"]
)
def test_template__of_names(render: Render, release: str) -> None:
    """Names fit, what Kubernetes adds to them included, and a Job's keeps its hash whole."""
    objects = render({"databases": {"a" * 15: {"engine": "mysql"}}}, release=release)

    for found in objects:
        assert len(found["metadata"]["name"]) <= 63
    for name in of_kind(objects, "StatefulSet"):
        assert len(f"{name}-0123456789") <= 63  # the label of its revision
    for name in of_kind(objects, "Job"):
        assert len(name.rpartition("-")[2]) == 10


def test_template__of_long_release_names(render: Render) -> None:
    """Two releases whose names differ only at the end do not share objects."""
    first, second = (of_kind(render(release="a" * 40 + end), "Deployment") for end in "xy")

    assert first.keys().isdisjoint(second.keys())


def test_template__of_secrets(render: Render) -> None:
    """Secrets outlive an uninstall, as the volumes do that they open."""
    secrets = of_kind(render(), "Secret")

    assert len(secrets) == 20
    for secret in secrets.values():
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_template__of_scripts(render: Render) -> None:
    """A changed script restarts the servers that run it, and no others."""
    sets = of_kind(render(), "StatefulSet")
    checksums = {
        found["metadata"]["labels"]["switchyard/alias"]: found["spec"]["template"]["metadata"]["annotations"][
            "checksum/scripts"
        ]
        for found in sets.values()
    }

    assert checksums["default"] == checksums["analytics"]
    assert len(set(checksums.values())) == 3
