"""What is known about a called function by its name alone: whether it writes, only reads, or is unknown."""

from switchyard.sql.clauses import StatementState
from switchyard.sql.function_names import (
    ADVISORY_LOCK_FUNCTIONS,
    READ_ONLY_FUNCTIONS,
    READ_ONLY_PREFIXES,
    SYNTAX,
    SYNTAX_AFTER,
    SYNTAX_OR_FUNCTION,
    WRITING_FUNCTIONS,
)
from switchyard.sql.tokenizer import lower


def record_call(state: StatementState, name: str, *, quoted: bool) -> None:
    """Record the called function: as a write, as unknown, or as read-only unless the database has one of its own."""
    folded = lower(name)
    if folded in WRITING_FUNCTIONS:
        state.writes = True
    elif _is_of_other_schema(state):
        state.calls.append(folded)
    elif _is_read_only(state, name, quoted=quoted):
        state.built_in.append(folded)
        state.advisory_lock = state.advisory_lock or folded in ADVISORY_LOCK_FUNCTIONS
    elif quoted or not _is_syntax(state, name):
        state.calls.append(folded)
    elif name in SYNTAX_OR_FUNCTION[state.vendor]:
        state.built_in.append(folded)


def _is_of_other_schema(state: StatementState) -> bool:
    return state.previous == "." and (state.schema != "pg_catalog" or state.vendor != "postgresql")


def _is_read_only(state: StatementState, name: str, *, quoted: bool) -> bool:
    # Only PostgreSQL distinguishes "LOWER" from lower.
    exact = name if quoted and state.vendor == "postgresql" else lower(name)
    return exact in READ_ONLY_FUNCTIONS[state.vendor] or exact.startswith(READ_ONLY_PREFIXES.get(state.vendor, ()))


def _is_syntax(state: StatementState, word: str) -> bool:
    return word in SYNTAX[state.vendor] or state.previous in SYNTAX_AFTER.get(word, ())
