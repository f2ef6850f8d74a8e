"""Check that /metrics counts every alias that the API uses."""

# ruff: noqa: INP001 - scripts of a pod, not a package

import os
import sys
from functools import partial

from client import call, expect, queries

LISTS = {
    "accounts": "/api/users",
    "analytics": "/api/events",
    "reporting": "/api/reports",
    "legacy": "/api/legacy/customers",
}


def main() -> None:
    """Write a user and read through every app; wait until the alias of each call has counted it."""
    _, aliases = call("GET", "/api/aliases")
    before = queries()
    status, user = call("POST", "/api/users", {"username": f"helm-test-{os.urandom(6).hex()}"})
    if status != 201:  # noqa: PLR2004
        sys.exit(f"POST /api/users answered {status}: {user}")
    call("DELETE", f"/api/users/{user['id']}")

    def counted(operation: str, group: set[str], apps: set[str]) -> bool:
        for app in apps:
            call("GET", f"{LISTS[app]}?limit=1")
        return any(done == operation and alias in group and app in apps for alias, done, app in queries() - before)

    for owner in (entry for entry in aliases if entry["role"] == "primary"):
        replicas = {entry["alias"] for entry in aliases if entry["replica_of"] == owner["alias"]}
        read_from = replicas or {owner["alias"]}
        if "accounts" in owner["apps"]:
            expect(f"writes on {owner['alias']}", partial(counted, "write", {owner["alias"]}, {"accounts"}))
        if apps := LISTS.keys() & owner["apps"]:
            expect(f"reads on {' or '.join(sorted(read_from))}", partial(counted, "read", read_from, apps))


if __name__ == "__main__":
    main()
