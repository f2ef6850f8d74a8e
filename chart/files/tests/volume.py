"""Each alias that the API reaches is counted in /metrics."""

# ruff: noqa: INP001 - scripts of a pod, not a package

import os

from client import call, expect, queries

LISTS = {
    "accounts": "/api/users",
    "analytics": "/api/events",
    "reporting": "/api/reports",
    "legacy": "/api/legacy/customers",
}


def main() -> None:
    """Read through every app and write one user; each alias has to have counted more than before."""
    _, aliases = call("GET", "/api/aliases")
    before = queries()
    reached = [entry for entry in aliases if LISTS.keys() & set(entry["apps"])]

    def counted(alias: str, apps: list[str]) -> bool:
        for app in LISTS.keys() & set(apps):
            call("GET", f"{LISTS[app]}?limit=1")
        return (
            sum(count for (where, _, app), count in (queries() - before).items() if where == alias and app in apps) > 0
        )

    status, user = call("POST", "/api/users", {"username": f"helm-test-{os.urandom(6).hex()}"})
    expect("a user written", lambda: status == 201)  # noqa: PLR2004
    call("DELETE", f"/api/users/{user['id']}")
    for entry in reached:
        expect(f"queries on {entry['alias']}", lambda: counted(entry["alias"], entry["apps"]))  # noqa: B023 - called at once


if __name__ == "__main__":
    main()
