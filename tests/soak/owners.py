"""The three owners of the service: their tables, and questions to their servers from inside the servers' pods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import RELEASE, Cluster


@dataclass(frozen=True)
class Owner:
    """An owner, the app and the model that the migrations of the soak change, and the words of its vendor."""

    alias: str
    app: str
    model: str
    table: str
    pause_sql: str
    paused_sql: str  # counts the sessions that are in the pause
    client: str  # reads SQL from its last argument, over the local socket
    rolls_ddl_back: bool = True

    def ask(self, cluster: Cluster, sql: str) -> str:
        """Return the answer of the server, with a tab between two columns."""
        pod = f"{RELEASE}-db-{self.alias}-0"
        return cluster.kubectl("exec", pod, "--", "bash", "-c", f'{self.client} "$0"', sql).strip()


_PSQL = "psql --username=postgres --dbname=$POSTGRES_DB --no-align --tuples-only --field-separator=$'\\t' --command"
_POSTGRESQL: Mapping[str, Any] = {
    "pause_sql": "SELECT pg_sleep({seconds})",
    "paused_sql": "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(%'",
    "client": _PSQL,
}

OWNERS: Mapping[str, Owner] = {
    owner.alias: owner
    for owner in (
        Owner("default", "accounts", "User", "accounts_user", **_POSTGRESQL),
        Owner("analytics", "analytics", "AnalyticsEvent", "analytics_analyticsevent", **_POSTGRESQL),
        Owner(
            "legacy",
            "legacy",
            "Customer",
            "customers",
            pause_sql="DO SLEEP({seconds})",
            paused_sql="SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(%'",
            client="MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root --skip-column-names --database=$MYSQL_DATABASE"
            " --execute",
            rolls_ddl_back=False,
        ),
    )
}
