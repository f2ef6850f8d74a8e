"""The contenders: their routers, and their middleware."""

OURS = "switchyard"
ROUTERS = {
    OURS: ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"],
    "plain": [],
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
