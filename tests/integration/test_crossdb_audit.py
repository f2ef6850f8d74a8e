"""The audit of references between PostgreSQL and MySQL, in both directions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.scratch_tables import scratch_tables
from tests.support.servers import Servers

from config.databases import topology
from config.settings import SWITCHYARD
from switchyard.crossdb import CrossDatabaseForeignKey, sources
from switchyard.crossdb.references.audit import Audit, audits
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.worker.children import parents_among

pytestmark = pytest.mark.docker

# Without triggers: the audit needs none, and the server's user may not make any on MySQL.
OPTIONS: dict[str, Any] = {"recorded_by": "signals", "related_name": "+"}


class Number(models.Model):
    """A parent with an integer key."""

    class Meta:
        apps = Apps()
        app_label = "accounts"
        db_table = "test_number"

    def __str__(self) -> str:
        return str(self.pk)


class Code(models.Model):
    """A parent with a text key."""

    code = models.CharField(max_length=20, primary_key=True)

    class Meta:
        apps = Number._meta.apps
        app_label = "accounts"
        db_table = "test_code"

    def __str__(self) -> str:
        return self.code


class Counted(models.Model):
    """A child that goes with its number."""

    number = CrossDatabaseForeignKey(Number, models.CASCADE, **OPTIONS)

    class Meta:
        apps = Number._meta.apps
        app_label = "analytics"
        db_table = "test_counted"

    def __str__(self) -> str:
        return str(self.number_id)


class Coded(models.Model):
    """A child that stays without its code."""

    code = CrossDatabaseForeignKey(Code, models.SET_NULL, null=True, **OPTIONS)

    class Meta:
        apps = Number._meta.apps
        app_label = "analytics"
        db_table = "test_coded"

    def __str__(self) -> str:
        return str(self.code_id)


BY_NUMBER = Reference(Counted._meta.get_field("number"))
BY_CODE = Reference(Coded._meta.get_field("code"))


@pytest.fixture
def owners(
    request: pytest.FixtureRequest, servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[tuple[str, str]]:
    """The aliases of the parents and of the children, with their tables."""
    parents, children = request.param
    databases = topology(servers.environ("migrator"), data_dir=tmp_path).databases
    switchyard = {**SWITCHYARD, "OWNERS": {"*": "default", "accounts": parents, "analytics": children}, "READ_ONLY": []}
    with (
        django_db_blocker.unblock(),
        connected(databases),
        override_settings(SWITCHYARD=switchyard),
        scratch_tables(parents, (Number, Code)),
        scratch_tables(children, (Counted, Coded)),
    ):
        yield parents, children
    if parents == "legacy":
        servers.ask("legacy", "DROP TABLE switchyard_tombstone")


def between(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    """Run the test for each pair of owners: parents' and children's."""
    return pytest.mark.parametrize("owners", pairs, ids=" to ".join, indirect=True)


def audited(reference: Reference, *, fix: bool) -> Audit:
    """Audit one reference, which must not fail."""
    (found,) = audits([reference], fix=fix)
    assert found.error == ""
    return found


def texts(model: type[models.Model]) -> list[str]:
    """Return the keys that the children hold as texts, in the order of the children."""
    return [str(child) for child in model._base_manager.order_by("pk")]


@between(("default", "legacy"), ("legacy", "default"), ("legacy", "legacy"))
def test_audit__numbers(owners: tuple[str, str]) -> None:
    """Orphans over several chunks are found exactly, and a fix deletes them only."""
    Number.objects.bulk_create([Number(pk=key) for key in range(1, 20_001, 2)])
    missing = [2**62, *range(2, 25_001, 1_000)]
    Counted.objects.bulk_create([Counted(number_id=key) for key in [*range(1, 20_001, 2), *missing, *missing]])

    reported, fixed = audited(BY_NUMBER, fix=False), audited(BY_NUMBER, fix=True)

    for found in (reported, fixed):
        assert (found.checked, found.orphan_keys, found.orphans) == (10_026, 26, 52)
        assert found.examples == sorted(missing)[:10]
    assert (reported.fixed, fixed.fixed) == (0, 52)
    assert texts(Counted) == list(map(str, range(1, 20_001, 2)))
    assert not audited(BY_NUMBER, fix=False).has_orphans


@between(("default", "legacy"), ("legacy", "default"))
def test_audit__texts(owners: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """'ABC' has the parent 'abc' only where the parents' server says so; other children stay as they are."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 2)
    Code.objects.bulk_create([Code(code=code) for code in ("abc", "Zoë", "a 🚉", "x'y\\")])
    stored = ["ABC", "abc", None, "Zoë", "zoe", "ABC", "abc ", "a 🚉", "a 🚋", "x'y\\", "none"]
    Coded.objects.bulk_create([Coded(code_id=code) for code in stored])
    # MySQL's collation ignores case and accents, and not spaces at the end.
    gone = {"abc ", "a 🚋", "none"} if owners[0] == "legacy" else {"ABC", "abc ", "zoe", "a 🚋", "none"}

    found = audited(BY_CODE, fix=True)

    assert (found.checked, sorted(found.examples)) == (9, sorted(gone))
    assert found.orphans == found.fixed == sum(code in gone for code in stored)
    assert texts(Coded) == ["None" if code in gone else str(code) for code in stored]


@between(("default", "legacy"), ("legacy", "default"))
def test_audit__many_texts(owners: tuple[str, str]) -> None:
    """More texts than one chunk has are found and fixed."""
    Code.objects.bulk_create([Code(code="there")])
    Coded.objects.bulk_create([Coded(code_id=code) for code in ("there", *(f"gone{key}" for key in range(10_500)))])

    found = audited(BY_CODE, fix=True)

    assert (found.checked, found.orphan_keys, found.orphans, found.fixed) == (10_501, 10_500, 10_500, 10_500)
    assert [str(child) for child in Coded.objects.exclude(code=None)] == ["there"]


@between(("legacy", "default"))
def test_parents_among__other_spellings(owners: tuple[str, str]) -> None:
    """Keys of another case that MySQL takes for equal are found among hundreds that are missing."""
    Code.objects.bulk_create([Code(code=f"code{number}") for number in range(150)])
    spelled = [f"CODE{number}" for number in range(150)]

    missing = [f"missing{number}" for number in range(150)]
    assert parents_among(BY_CODE, [*spelled, *missing]) == set(spelled)
    assert parents_among(BY_CODE, ["code7", "CODE7", *missing]) == {"code7", "CODE7"}
