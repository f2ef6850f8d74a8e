"""The rules that decide where a read goes, as a table to print and to explain by. `select()` applies them."""

from typing import NamedTuple


class Rule(NamedTuple):
    """A rule's name, which is the `reason` of the decision in metrics, and the reads that the rule decides."""

    name: str
    description: str


# In order: the first rule that fits a read decides it.
RULES = (
    Rule("owner", "the owner has no replica"),
    Rule("primary_only", "the app's rows must never be stale"),
    Rule("override", "inside use_primary(), use_replica() or read_only()"),
    Rule("loaded_from_owner", "the related instance was loaded from the owner"),
    Rule("in_transaction", "a transaction is open on the owner"),
    Rule("unsafe_method", "the request may write (not GET, HEAD, OPTIONS or TRACE), and may use what it reads"),
    Rule("pinned", "no replica has caught up with the writes or reads of this client"),
    Rule("replica", "a fit replica that has caught up"),
    Rule("down", "no replica that this client may read is fit"),
)
