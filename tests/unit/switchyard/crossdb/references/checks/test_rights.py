"""The rights of a role in the lines of SHOW GRANTS. tests/integration/test_deletion_checks.py asks servers."""

import pytest

from switchyard.crossdb.references.checks.rights import _GRANT, _is_like, _on


@pytest.mark.parametrize(
    ("grant", "holds"),
    [
        ("GRANT SELECT, DROP ON *.* TO `app`@`%`", True),
        ("GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`%` WITH GRANT OPTION", True),
        ("GRANT DROP ON `sh%`.* TO `app`@`%`", True),
        ("GRANT DROP ON `shop`.`buyers` TO `app`@`%`", True),
        ("GRANT DROP ON `shop`.`sellers` TO `app`@`%`", False),
        ("GRANT DROP ON `shop2`.* TO `app`@`%`", False),
        ("GRANT `cleaner`@`%` TO `app`@`%`", False),
        ("GRANT EXECUTE ON FUNCTION `shop`.`buyers` TO `app`@`%`", False),
    ],
)
def test_grant__of_a_table(grant: str, *, holds: bool) -> None:
    """A grant on everything, on the database or on the table holds for the table."""
    found = [match for match in [_GRANT.match(grant)] if match]

    assert bool(_on(found, "shop", "buyers")) == holds


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        (r"my\_shop", "my_shop", True),
        (r"my\_shop", "myXshop", False),
        ("my_shop", "myXshop", True),
        ("my%", "my_shop", True),
        (r"100\%", "100%", True),
        ("shop.", "shopX", False),
    ],
)
def test_pattern__of_databases(pattern: str, name: str, *, expected: bool) -> None:
    """`_` and `%` are wildcards unless a backslash is before them; other characters stand for themselves."""
    assert _is_like(name, pattern) == expected
