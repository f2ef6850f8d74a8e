"""The table of the service's apps, and the contract that holds their imports to it."""

from importlib.util import find_spec

import pytest
from tests.support import service_apps_contract

from config.service_apps import SERVICE_APPS, ServiceApp
from switchyard.environment.roles import VARIABLE


@pytest.mark.parametrize("app", SERVICE_APPS, ids=lambda app: app.label)
def test_service_apps__a_row(app: ServiceApp) -> None:
    """The label is a package, variables can name the owner, and a row with samples has a module for them."""
    assert find_spec(app.label)
    assert VARIABLE.fullmatch(f"DATABASE_{app.owner.upper()}_URL")
    assert app.owner == app.owner.lower()
    assert bool(app.samples) == bool(find_spec(f"{app.label}.samples"))


def test_service_apps__order() -> None:
    """Each label is there once, and an app imports only apps above it: no two apps import each other."""
    labels = [app.label for app in SERVICE_APPS]

    assert len(set(labels)) == len(labels)
    for position, app in enumerate(SERVICE_APPS):
        assert set(app.imports) <= set(labels[:position]), app


def test_contract__kept() -> None:
    """No package under app/ is unlisted, and none imports a package that the table does not allow."""
    assert list(service_apps_contract.unlisted_packages()) == []
    assert list(service_apps_contract.wrong_imports()) == []


def test_contract__an_import_that_no_row_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the module, the import, and the packages that the app may import."""
    without_imports = [ServiceApp(app.label, owner=app.owner) for app in SERVICE_APPS]
    monkeypatch.setattr(service_apps_contract, "SERVICE_APPS", without_imports)

    found = list(service_apps_contract.wrong_imports())

    assert (
        "legacy.admin imports accounts.admin; of the packages under app/, legacy may import: rest, switchyard."
    ) in found


def test_contract__a_package_without_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the package and the file of the table."""
    monkeypatch.setattr(service_apps_contract, "SERVICE_APPS", [app for app in SERVICE_APPS if app.label != "legacy"])

    assert list(service_apps_contract.unlisted_packages()) == [
        "app/legacy is no app of the service: add a line for it to app/config/service_apps.py."
    ]


@pytest.mark.parametrize("importer", ["switchyard", "rest"])
def test_contract__of_the_packages_below(importer: str) -> None:
    """Neither the package `switchyard` nor `rest` may import an app of the service or `config`."""
    assert service_apps_contract.allowed_imports()[importer] <= {"switchyard"}
