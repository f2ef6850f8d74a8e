"""The service's databases, and what their absence means for its apps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import absences
from config.service_apps import SERVICE_APPS, ServiceApp
from switchyard.environment import ConfigurationError, env, from_environment

REPLICA_OF = {"replica": "default"}


@dataclass(frozen=True)
class Topology:
    """The databases of the environment, as Django's and Switchyard's settings describe them."""

    databases: dict[str, dict[str, Any]]
    switchyard: dict[str, Any]
    absent: dict[str, str]  # app label -> the absent alias that the app needs
    notices: tuple[str, ...]  # a line for each absent app and each absent replica


def topology(environ: env.Environ, *, data_dir: Path, apps: Sequence[ServiceApp] = SERVICE_APPS) -> Topology:
    """Return the databases that the environment describes; without a DATABASE_* variable, SQLite files in `data_dir`.

    Raises ConfigurationError for the first variable that cannot be used.
    """
    if "LEGACY_MANAGED" in environ:  # Ignored, it would let migrations change tables that others make.
        raise ConfigurationError("LEGACY_MANAGED", "has another name now", "Set DATABASE_LEGACY_MANAGED instead")
    databases, switchyard = from_environment(
        owners={app.label: app.owner for app in apps},
        replica_of=REPLICA_OF,
        data_dir=data_dir,
        absent_owners=True,
        environ=environ,
    )
    owners = switchyard["OWNERS"]
    absent = absences.absent_apps(apps, owners)
    return Topology(
        databases=databases,
        switchyard={**switchyard, "OWNERS": {app: owner for app, owner in owners.items() if app not in absent}},
        absent=absent,
        notices=tuple(absences.notices(owners, REPLICA_OF, absent, databases)),
    )
