"""The plan of a query across databases, as text."""

from typing import Any

import pytest

from accounts.models import User
from switchyard.crossdb import explain_cross


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1], r"explain_cross\(\) needs a queryset, and got list \[1\]: give Model\.objects\.filter"),
        (User, r"got the model accounts\.User: add \.objects\.all\(\)"),
        (User.objects, r"got a manager of accounts\.User: add \.all\(\)"),
    ],
    ids=["list", "model", "manager"],
)
def test_explain_cross__no_queryset(given: Any, message: str) -> None:
    """A TypeError names the object, and what makes a queryset of it."""
    with pytest.raises(TypeError, match=message):
        explain_cross(given)
