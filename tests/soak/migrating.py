"""Migrations that are killed or replaced in the middle, and the checks that none is half recorded."""

from typing import NamedTuple

from tests.soak.images import Image
from tests.soak.owners import Owner
from tests.soak.release import Release, wait_until


class Done(NamedTuple):
    """What a slow migration has left in its database so far."""

    table: bool
    column: bool
    record: bool
    mark: bool


def done(release: Release, image: Image) -> Done:
    """Return what is there of the image's migration, by one statement."""
    owner, name = _owner(image), image.migration_name
    answer = owner.ask(
        release.cluster,
        "SELECT"
        f" (SELECT count(*) FROM information_schema.tables WHERE table_name = '{table_of(image)}'),"
        " (SELECT count(*) FROM information_schema.columns"
        f" WHERE table_name = '{owner.table}' AND column_name = 'soak_{image.number}'),"
        f" (SELECT count(*) FROM django_migrations WHERE app = '{owner.app}' AND name = '{name}'),"
        f" (SELECT count(*) FROM django_migrations WHERE app LIKE 'switchyard:%' AND name = '{owner.app}.{name}')",
    )
    return Done(*(number != "0" for number in answer.split("\t")))


def table_of(image: Image) -> str:
    """Return the table that a slow migration makes."""
    return f"{_owner(image).app}_soak{image.number}"


def wait_for_pause(release: Release, owner: Owner) -> None:
    """Wait until the migration of the owner is in its pause."""
    wait_until(
        lambda: owner.ask(release.cluster, owner.paused_sql) != "0", f"a migration of {owner.alias} in its pause"
    )


def assert_whole(release: Release, image: Image, *, finished: bool) -> None:
    """Check that the migration is recorded with all of its changes, or else, unless it has finished, not at all."""
    assert image.migration
    found = done(release, image)
    whole = Done(table=image.migration.pause_seconds > 0, column=True, record=True, mark=False)
    absent = Done(table=False, column=False, record=False, mark=False)
    assert found == whole or (not finished and found == absent), f"{image.migration_name} is half done: {found}"


def assert_stopped(release: Release, image: Image) -> None:
    """Wait for the failed Job of a half-applied migration, and check that its log says how to go on."""
    owner = _owner(image)

    def failed() -> bool:
        return any(
            condition["type"] == "Failed"
            for item in release.objects()
            if item["kind"] == "Job" and item["metadata"]["labels"]["switchyard/alias"] == owner.alias
            for condition in item["status"].get("conditions", [])
        )

    wait_until(failed, f"the Job of {owner.alias} failed")
    selector = f"app.kubernetes.io/component=migration,switchyard/alias={owner.alias}"
    log = release.cluster.kubectl("logs", "--selector", selector, "--tail=20")
    for words in (f"is half applied on '{owner.alias}'", f"--clear-mark={owner.app}.{image.migration_name}"):
        assert words in log, f"the log of the Job does not say {words!r}: {log}"
    found = done(release, image)
    assert found == Done(table=True, column=False, record=False, mark=True), f"{image.migration_name}: {found}"


def clear(release: Release, image: Image) -> None:
    """Do as the message says: remove the changes by hand, and let the migration run again without its mark."""
    owner = _owner(image)
    owner.ask(release.cluster, f"DROP TABLE {table_of(image)}")
    mark = f"{owner.app}.{image.migration_name}"
    release.upgrade(**{f"databases__{owner.alias}__clearMark": mark})
    release.wait_until_healthy()
    release.upgrade(**{f"databases__{owner.alias}__clearMark": None})


def _owner(image: Image) -> Owner:
    assert image.migration
    return image.migration.owner
