"""The contenders: their routers, and their middleware."""

OURS = "switchyard"
ROUTERS = {
    OURS: ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"],
    "plain": [],
    "prometheus": [],
    "guide": [
        "tests.bench.textbook.AnalyticsRouter",
        "tests.bench.textbook.LegacyRouter",
        "tests.bench.textbook.PrimaryReplicaRouter",
    ],
    "multidb": [
        "tests.bench.textbook.AnalyticsRouter",
        "tests.bench.textbook.LegacyRouter",
        "multidb.PinningReplicaRouter",
    ],
}
MIDDLEWARE = {"multidb": ["multidb.middleware.PinningRouterMiddleware"]}
# The aliases of bench-telemetry: `analytics` is an SQLite file, `default` a PostgreSQL, `legacy` a MariaDB.
VENDORS = {"SQLite": "analytics", "PostgreSQL": "default", "MariaDB": "legacy"}
