"""All keys are one parameter of one statement."""

from typing import Any

from switchyard.crossdb.execution import Fragment
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.key_list import key_list_sql


def fragment(condition: CrossDatabaseIn, keys: list[Any]) -> Fragment:
    """Return the fragment with these keys."""

    def render(_compiler: Any, connection: Any, sql: str, params: Any) -> tuple[str, Any]:
        return key_list_sql(sql, params, condition.column.output_field, keys, connection)

    return render
