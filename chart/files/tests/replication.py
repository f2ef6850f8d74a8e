"""Check with the counters that a user who was written through the API is read from a replica."""

# ruff: noqa: INP001 - scripts of a pod, not a package

import os
import sys

from client import call, expect, queries


def main() -> None:
    """Write a user, read the user until a replica serves the read, and delete the user."""
    _, aliases = call("GET", "/api/aliases")
    replicas = [entry["alias"] for entry in aliases if entry["role"] == "replica" and "accounts" in entry["apps"]]
    before = queries()
    status, user = call("POST", "/api/users", {"username": f"helm-test-{os.urandom(6).hex()}"})
    if status != 201:  # noqa: PLR2004
        sys.exit(f"POST /api/users answered {status}: {user}")
    try:
        path = f"/api/users/{user['id']}"
        expect(f"{user['username']} read back", lambda: call("GET", path)[0] == 200)  # noqa: PLR2004

        def read_from_replica() -> bool:
            call("GET", path)
            counted = queries() - before
            return any(counted[replica, "read", "accounts"] for replica in replicas)

        if replicas:
            expect(f"a read of accounts on {' or '.join(replicas)}", read_from_replica)
    finally:
        call("DELETE", f"/api/users/{user['id']}")


if __name__ == "__main__":
    main()
