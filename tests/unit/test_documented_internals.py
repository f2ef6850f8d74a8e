"""docs/django-internals.md and the code agree: each such name in the code has a row, and each row is true.

Three kinds of names are found in the code: private names, attributes of other packages' objects that are set, and
members of other packages' classes that a subclass overrides.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import NamedTuple

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQLWrapper
from tests.support.documents import ROOT

import switchyard

PAGE = ROOT / "docs" / "django-internals.md"
TESTS = ROOT / "tests" / "unit" / "switchyard" / "django_internals"
APP = ROOT / "app"
NEIGHBOURS = ("asgiref", "celery", "django", "health_check", "prometheus_client", "psycopg")

# What Django and its neighbours document, by the class that has it.
DOCUMENTED = {
    "AppConfig": {"ready", "name", "verbose_name"},
    "BaseCommand": {"add_arguments", "handle", "execute", "help", "requires_system_checks"},
    "Command": {"add_arguments", "handle", "help"},  # of migrate, makemigrations and flush
    "DiscoverRunner": {"setup_databases", "teardown_databases"},
    "HealthCheck": {"run", "timeout"},
    "ModelBackend": {"authenticate", "aauthenticate", "get_user", "aget_user"},
    "BaseTaskBackend": {"validate_task", "enqueue", "aenqueue"},
    "Collector": {"collect", "describe"},  # of prometheus_client
    "BaseExpression": {"as_sql", "output_field"},
    "Func": {"template"},
    "BaseConstraint": {"validate"},
    "ForeignKey": {"check", "deconstruct", "get_db_prep_save"},
    "AddConstraint": {"describe"},
    "RemoveConstraint": {"describe"},
    "Operation": {"state_forwards", "database_forwards", "database_backwards", "describe", "reduce"},
    "ForeignObject": {"class_lookups"},  # of `register_lookup()`
}
# `_meta`, `_state` and `_base_manager` are documented; the others belong to named tuples.
PUBLIC = {"_base_manager", "_meta", "_state", "_asdict", "_replace", "_fields"}
# Set on objects of other packages, as their documents say.
SETTABLE = {"alters_data", "autocommit", "disabled", "epilog", "read_only", "returncode", "streaming_content"}
# Our own: marks on functions, attributes on Django's objects and on thread-locals, the ends of the names of an admin
# URL, of a variable and of a field.
OURS = {
    *("makes_routed", "applies_rules", "records", "_switchyard_cursors", "_switchyard_read", "lease"),
    *("crosses_databases", "leaves_out_references", "prefetches_references"),
    *("_changelist", "_FILE", "_id"),
}
# Python's names for `connections[alias] = ...` and `del connections[alias]`, and the class of `instance._state`.
NOT_WRITTEN = {"__setitem__", "__delitem__", "ModelState"}


class Row(NamedTuple):
    """One row: the names, the modules that use them, and the tests."""

    names: tuple[str, ...]
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return self.names[0]


def rows() -> list[Row]:
    """Return the rows of the page's tables; the first cell of each has a name."""
    cells = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if re.match(r"\|[^|]*`", line)]
    return [Row(*(tuple(re.findall(r"`([^`]+)`", row[column])) for column in (0, 2, 4))) for row in cells]


def names_with_rows() -> set[str]:
    """Return the names on the page, in full and each of their parts."""
    full = {name for row in rows() for name in row.names}
    return full | {part for name in full for part in name.split(".")}


def last_part(name: str) -> str:
    """Return the attribute of a dotted name."""
    return name.rpartition(".")[2]


def uses(text: str, name: str) -> bool:
    """Return True if the text of a module has the name as a word."""
    return re.search(rf"(?<!\w){name}(?!\w)", text) is not None


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax tree of each module of the package, by its path."""
    return {str(path.relative_to(APP)): ast.parse(path.read_text()) for path in (APP / "switchyard").rglob("*.py")}


@cache
def own_names() -> set[str]:
    """Return the names that the package itself defines: functions, classes, attributes of `self`, slots and fields."""
    names: set[str] = set()
    for node in (node for tree in trees().values() for node in ast.walk(tree)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(value=ast.Name("self"), attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(name)):
                names.add(name)
            case ast.Assign(targets=[ast.Name("__slots__")], value=ast.Tuple(elts=elements)):
                names |= {element.value for element in elements if isinstance(element, ast.Constant)}  # type: ignore[misc]
    return names


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module reads as attributes or as texts."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)) if re.fullmatch(r"_[A-Za-z]\w*", name):
                yield name


def replaced_names(tree: ast.Module) -> Iterator[str]:
    """Yield the attributes that a module sets or deletes on objects other than `self`, and the globals it patches."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls")):
                continue
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.Call(func=ast.Name("patched"), keywords=keywords):
                yield from (keyword.arg for keyword in keywords if keyword.arg)


def overridden_names() -> Iterator[str]:
    """Yield the members of other packages' classes that a class of the package overrides, as `Base.member`."""
    for found in walk_packages(switchyard.__path__, "switchyard."):
        module = import_module(found.name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == module.__name__:
                yield from overridden_by(cls)


def overridden_by(cls: type) -> Iterator[str]:
    """Yield the members that one class overrides. A mixin of connections overrides PostgreSQL's methods as well."""
    bases = [base for base in cls.__mro__[1:] if base.__module__.split(".")[0] in NEIGHBOURS]
    if issubclass(cls, BaseDatabaseWrapper):
        bases.append(PostgreSQLWrapper)
    for name in vars(cls):
        base = next((base for base in bases if name in vars(base)), None)
        if base is not None and not re.fullmatch(r"__\w+__|_abc_impl|_is_protocol", name):
            yield f"{base.__name__}.{name}"


def is_documented(member: str) -> bool:
    """Return True if the package that has the member documents it."""
    base, _, name = member.rpartition(".")
    return name in DOCUMENTED.get(base, ())


@pytest.mark.parametrize("module", sorted(trees()))
def test_code__private_names(module: str) -> None:
    """Each private name that the package does not define itself has a row."""
    names = set(private_names(trees()[module])) - own_names() - PUBLIC - OURS

    assert names - names_with_rows() == set()


@pytest.mark.parametrize("module", sorted(trees()))
def test_code__replaced_names(module: str) -> None:
    """Each attribute that the package sets on an object of another package has a row."""
    names = set(replaced_names(trees()[module])) - own_names() - SETTABLE - OURS

    assert names - names_with_rows() == set()


def test_code__overridden_names() -> None:
    """Each member of another package's class that the package overrides has a row, or is documented there."""
    members = {member for member in overridden_names() if not is_documented(member)}

    assert members - names_with_rows() == set()


@pytest.mark.parametrize("row", rows(), ids=str)
def test_row__is_in_the_code(row: Row) -> None:
    """Each name of the row is in one of its modules, and each of its modules has one of the names."""
    texts = {module: Path(import_module(module).__file__ or "").read_text() for module in row.modules}
    names = [last_part(name) for name in row.names if last_part(name) not in NOT_WRITTEN]

    assert texts
    assert [name for name in names if not any(uses(text, name) for text in texts.values())] == []
    assert [each for each, text in texts.items() if names and not any(uses(text, name) for name in names)] == []


def test_rows__name_tests() -> None:
    """Each row names tests that exist, and each test is named by a row."""
    texts = [path.read_text() for path in TESTS.glob("test_*.py")]
    tests = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    named = {test for row in rows() for test in row.tests}

    assert [str(row) for row in rows() if not row.tests] == []
    assert (named - tests, tests - named) == (set(), set())


def test_names__are_found() -> None:
    """The patterns find names in the code and on the page: the tests above are not empty."""
    private = {name for tree in trees().values() for name in private_names(tree)}
    replaced = {name for tree in trees().values() for name in replaced_names(tree)}

    assert {"_from_testcase", "_connection_pools", "_do_update", "_non_atomic_requests"} <= private
    assert {"create_connection", "__class__", "_save_table", "settings_dict", "MigrationExecutor"} <= replaced
    assert {"BaseDatabaseWrapper.set_autocommit", "MigrationLoader.build_graph"} <= set(overridden_names())
    assert len(rows()) > 50
