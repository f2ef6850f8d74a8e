"""Images of the service, each with another code than the one before it, and with one migration more where asked for.

An image has the migrations of all earlier images. It is built on top of the image of the release, so that dozens of
them are built and loaded in a minute.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster import run
from tests.soak.owners import OWNERS, Owner

MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("{app}", "{previous}")]
    operations = [{slow}
        migrations.AddField("{model}", "soak_{number}", models.CharField(max_length=16, null=True)),
    ]
"""
# A table before the pause and a column after it: a migration that is killed in the pause has done one half.
SLOW = """
        migrations.CreateModel("Soak{number}", [("id", models.BigAutoField(primary_key=True))]),
        migrations.RunSQL("{pause}"),"""
FIELD = """
from django.db import models

models.CharField(max_length=16, null=True).contribute_to_class({model}, "soak_{number}")
"""


@dataclass(frozen=True)
class Migration:
    """A migration that adds a column to the table of an owner, after a pause if there is one."""

    alias: str
    pause_seconds: int = 0

    @property
    def owner(self) -> Owner:
        """The owner that it changes."""
        return OWNERS[self.alias]


@dataclass(frozen=True)
class Image:
    """An image in the node of the cluster."""

    number: int
    tag: str
    migration: Migration | None = None

    @property
    def migration_name(self) -> str:
        """The name of its migration in the records of Django."""
        return f"{5000 + self.number}_soak"


def built(cluster: str, base: str, migrations: Iterable[Migration | None]) -> list[Image]:
    """Build an image for each entry on top of the image `base`, load them into the node, and return them."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        container = run("docker", "create", base).strip()
        run("docker", "cp", f"{container}:/srv/app", tree / "app")
        run("docker", "rm", container)
        images = [*_build(tree, base, migrations)]
    names = [f"switchyard:{image.tag}" for image in images]
    run("kind", "load", "docker-image", "--name", cluster, *names, timeout=600)
    run("docker", "image", "rm", *names)
    return images


def _build(tree: Path, base: str, migrations: Iterable[Migration | None]) -> Iterator[Image]:
    (tree / "Dockerfile").write_text(f"FROM {base}\nCOPY app /srv/app\n")
    for number, migration in enumerate(migrations, start=1):
        (tree / "app" / "config" / "soak.py").write_text(f"NUMBER = {number}\n")
        if migration:
            _add(tree / "app", Image(number, "", migration), migration)
        built_id = run("docker", "build", "--quiet", tree, timeout=300).strip()
        tag = f"soak-{built_id.removeprefix('sha256:')[:12]}"
        run("docker", "tag", built_id, f"switchyard:{tag}")
        yield Image(number, tag, migration)


def _add(apps: Path, image: Image, migration: Migration) -> None:
    """Add the migration of the image to its app, and the column to the model."""
    owner = migration.owner
    app = apps / owner.app
    with (app / "models.py").open("a") as models:
        models.write(FIELD.format(model=owner.model, number=image.number))
    pause = owner.pause_sql.format(seconds=migration.pause_seconds)
    text = MIGRATION.format(
        app=owner.app,
        previous=max(file.stem for file in (app / "migrations").glob("[0-9]*.py")),
        model=owner.model,
        number=image.number,
        slow=SLOW.format(number=image.number, pause=pause) if migration.pause_seconds else "",
    )
    (app / "migrations" / f"{image.migration_name}.py").write_text(text)
