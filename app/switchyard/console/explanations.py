"""The state of an alias in a sentence for people. docs/consistency.md has the states with all their effects."""

EXPLANATIONS = {
    "fit": "It answers and is caught up enough, so reads go there.",
    "lagging": "It is further behind its owner than MAX_LAG_SECONDS allows, so reads go elsewhere until it catches up.",
    "down": "It refuses connections, fails, or does not answer in time, so reads go elsewhere until it answers.",
    "conflict": "It cancelled a query that blocked its replay; reads go there again after its next answer.",
    "unverified": "A new server appeared behind it, which has not yet caught up with its owner.",
    "promoted": "It takes writes itself and replays from no server, so its rows are no copy any more.",
    "other_system": "Its positions belong to another system than those of its owner, so its rows are no copy.",
    "superseded": "Its timeline ends before the timeline of its owner, so it misses newer rows.",
    "empty": "It reports no position, so nobody knows how old its rows are.",
    "unmigrated": "It has not replayed the migrations that its owner has.",
    "read-write": "It takes reads and writes.",
    "read-only": "SWITCHYARD['READ_ONLY'] names it, so writes are refused outside allow_writes().",
    "unavailable (down)": "Its server refuses connections or is silent, so writes fail at once; replicas answer reads.",
    "unavailable (standby)": "Its address leads to a standby, which takes no writes; reads continue.",
    "unavailable (read_only)": "Its server refuses writes, for example because somebody has set it so; reads continue.",
    "unavailable (superseded)": "Its server is an old primary and another one has taken over, so writes would be lost.",
}
