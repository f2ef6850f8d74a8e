"""The place in the program's own code."""

from collections.abc import Callable
from typing import Any

import pytest

from switchyard.telemetry.recent.places import place_in_program

type Caller = Callable[[list[Any]], str]


def compiled(module: str, file: str, name: str) -> Caller:
    """Return a function of this module and file that calls the first one of a list with the rest."""
    code = compile(f"def {name}(rest):\n    return rest[0](rest[1:]) if rest[1:] else rest[0]()\n", file, "exec")
    names: dict[str, Any] = {"__name__": module}
    exec(code, names)
    found: Caller = names[name]
    return found


OWN = compiled("shop.views", "/srv/shop/views.py", "update")
OWN_PACKAGE = compiled("shop", "/srv/shop/__init__.py", "start")
SCRIPT = compiled("__main__", "/srv/script.py", "main")
ADMIN = compiled("django.contrib.admin.options", "/lib/site-packages/django/contrib/admin/options.py", "save_model")
QUERY = compiled("django.db.models.query", "/lib/site-packages/django/db/models/query.py", "update")
HANDLER = compiled("django.core.handlers.base", "/lib/site-packages/django/core/handlers/base.py", "_get_response")
INSTALLED = compiled("rest.mixins", "/lib/site-packages/rest/mixins.py", "perform_update")
LIBRARY = compiled("contextlib", "/lib/python3.13/contextlib.py", "inner")
OURS = compiled("switchyard.routing.overrides", "/srv/switchyard/routing/overrides.py", "__enter__")


@pytest.mark.parametrize(
    ("callers", "place"),
    [
        ([OWN, QUERY], "shop/views.py:2 in update"),
        ([OWN_PACKAGE, QUERY], "shop/__init__.py:2 in start"),
        ([SCRIPT, LIBRARY, QUERY], "script.py:2 in main"),
        ([OWN, LIBRARY, OURS, QUERY], "shop/views.py:2 in update"),
        ([OWN, INSTALLED, QUERY], "shop/views.py:2 in update"),
        # The view is a package's: what is above its handler is none of the view.
        ([OWN, HANDLER, ADMIN, QUERY], "django/contrib/admin/options.py:2 in save_model"),
        ([OWN, HANDLER, INSTALLED, QUERY], "rest/mixins.py:2 in perform_update"),
        ([OWN, HANDLER, QUERY], ""),
    ],
)
def test_place__callers(callers: list[Caller], place: str) -> None:
    """The innermost frame of the program counts; without one, the frame of the package that holds the view."""
    assert callers[0]([*callers[1:], place_in_program]) == place
