"""The apps and replicas that the environment leaves out, and the variable that brings each one back."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from config.service_apps import ServiceApp


def absent_apps(apps: Iterable[ServiceApp], owners: Mapping[str, str]) -> dict[str, str]:
    """Return the apps that cannot be installed, each with the absent alias that it needs.

    An app needs its owner, and the owners of the apps that it imports. `owners` has the apps whose owner is present.
    """
    absent: dict[str, str] = {}
    for app in apps:
        if app.label not in owners:
            absent[app.label] = app.owner
        elif needed := next((label for label in app.imports if label in absent), None):
            absent[app.label] = absent[needed]
    return absent


def notices(
    owners: Mapping[str, str], replica_of: Mapping[str, str], absent: Mapping[str, str], aliases: Collection[str]
) -> Iterator[str]:
    """Yield one line for each absent replica and each absent app: the cause, and the variable to set."""
    for alias, owner in replica_of.items():
        if alias not in aliases:
            yield f"Alias {alias!r}, a replica of {owner!r}, is absent. Set {_url(alias)} to add it."
    for app, alias in absent.items():
        if app not in owners:
            cause = f"its owner {alias!r} is absent"
        else:
            cause = f"it imports an app of {alias!r}, which is absent"
        yield f"App {app!r} is not installed: {cause}. Set {_url(alias)} to install it."


def _url(alias: str) -> str:
    return f"DATABASE_{alias.upper()}_URL"
