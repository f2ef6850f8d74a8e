"""The service's apps in one table: adding an app is adding a line here.

The settings, the API, `manage.py seed` and the import contract of `lint-imports` read this table. An app's admin needs
no entry: Django finds the module `admin` of every installed app. docs/adding.md shows how to add an app.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Samples:
    """The sample rows that the app's function `samples.create()` makes.

    `rows` is the plural noun for them: it names the option of `manage.py seed`. `count` is the option's default.
    """

    rows: str
    count: int


@dataclass(frozen=True)
class ServiceApp:
    """An app of the service, which is the package `app/<label>`.

    `owner` is the alias that the app's rows are written to; the variable `DATABASE_<ALIAS>_APPS` overrides it.
    `imports` are the labels of the apps that this app may import, each of them further up in the table. Where one of
    them is not installed, this app is not installed either.

    A module `api` in the package is mounted: it defines a ninja `router`.
    """

    label: str
    owner: str
    imports: tuple[str, ...] = ()
    samples: Samples | None = None


SERVICE_APPS = (
    ServiceApp("accounts", owner="default", samples=Samples("users", 200)),
    ServiceApp("analytics", owner="analytics", imports=("accounts",), samples=Samples("events", 5000)),
    ServiceApp("reporting", owner="analytics", imports=("accounts", "analytics")),
    ServiceApp("legacy", owner="legacy", imports=("accounts",), samples=Samples("customers", 100)),
)
