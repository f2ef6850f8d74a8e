"""References to models of installed packages: operations in a migration of the project, and makemigrations."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.service import APP

SETTINGS = """
SECRET_KEY = "only-for-tests"
INSTALLED_APPS = ["switchyard", "django.contrib.contenttypes", "django.contrib.auth", "blog", "core"]
DATABASES = {
    alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{alias}.sqlite3"} for alias in ("default", "other")
}
SWITCHYARD = {"OWNERS": {"*": "default", "blog": "other"}}
DATABASE_ROUTERS = ["switchyard.routing.AppRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
WITH_REFERENCE = """
from django.db import models

from switchyard.crossdb import CrossDatabaseForeignKey


class Post(models.Model):
    author = CrossDatabaseForeignKey("auth.User", on_delete=models.CASCADE)
"""
WITHOUT = """
from django.db import models


class Post(models.Model):
    author = models.BigIntegerField()
"""
MIGRATION = """
import switchyard.crossdb
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [{dependencies}]
    operations = [
        {operations}
    ]
"""
NEWEST = '("auth", "0012_alter_user_first_name_max_length")'
DELETES = """
from django.contrib.auth.models import User
from blog.models import Post

user = User.objects.create(username="ada")
Post.objects.create(author=user)
user.delete()
"""
WITHOUT_TRIGGERS = """
from django.db import connection

with connection.cursor() as cursor:
    cursor.execute("DROP TRIGGER deletions_blog_post_author_id_delete")
"""


class Project:
    """A project whose posts refer to Django's own users on another database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "project_settings.py").write_text(SETTINGS)
        for name in ("blog", "core"):
            (directory / name / "migrations").mkdir(parents=True)
            (directory / name / "__init__.py").touch()
            (directory / name / "models.py").touch()
            (directory / name / "migrations" / "__init__.py").touch()
        self.write("blog/models.py", WITH_REFERENCE)

    def write(self, path: str, text: str) -> None:
        """Write a module."""
        (self.directory / path).write_text(text)

    def migration(self, name: str, dependencies: str, operations: str) -> None:
        """Write a migration of the app `core`."""
        text = MIGRATION.format(dependencies=dependencies, operations=operations)
        self.write(f"core/migrations/{name}.py", text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Django in the project."""
        return subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            cwd=self.directory,
            env={"DJANGO_SETTINGS_MODULE": "project_settings", "PYTHONPATH": f"{APP}:{self.directory}"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A new project."""
    return Project(tmp_path)


def operations_in(error: str) -> str:
    """Return the operations that an error of makemigrations prints."""
    return error.partition("these operations:")[2]


def test_makemigrations__parent_of_a_package(project: Project) -> None:
    """Nothing is written into the package; the printed operation, in the project, makes the children follow."""
    refused = project.run("makemigrations")
    assert refused.returncode == 1
    assert "A reference across databases changes 'auth', an installed package" in refused.stderr
    assert "whose owner is 'default'" in refused.stderr

    project.migration("0001_record", NEWEST, operations_in(refused.stderr))
    made = project.run("makemigrations")
    assert made.returncode == 0, made.stderr
    assert project.run("makemigrations", "--check").returncode == 0
    migrated = project.run("migrate_all")
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    assert project.run("shell", "-v0", "-c", DELETES).returncode == 0
    handled = project.run("crossdb_worker", "--once", "--json")

    assert '"deleted": 1' in handled.stdout, handled.stderr


def test_migrate__of_a_parent_that_is_migrated_already(project: Project) -> None:
    """The check of missing triggers lets the migration run that makes them; afterwards it names that migration."""
    project.write("blog/models.py", WITHOUT)
    assert project.run("makemigrations").returncode == 0
    assert project.run("migrate_all").returncode == 0
    project.write("blog/models.py", WITH_REFERENCE)
    project.migration("0001_record", NEWEST, operations_in(project.run("makemigrations").stderr))
    assert project.run("makemigrations").returncode == 0

    migrated = project.run("migrate_all")
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    assert project.run("check", "--database=default").returncode == 0
    project.run("shell", "-v0", "-c", WITHOUT_TRIGGERS)
    refused = project.run("check", "--database=default")

    assert "'default' does not record the deletions of auth.User" in refused.stderr
    assert "sqlmigrate core 0001_record --database=default" in refused.stderr


def test_makemigrations__reference_to_a_package_is_removed(project: Project) -> None:
    """The printed operation removes the triggers, and going back brings them again."""
    project.migration("0001_record", NEWEST, operations_in(project.run("makemigrations").stderr))
    assert project.run("makemigrations").returncode == 0
    assert project.run("migrate_all").returncode == 0
    project.write("blog/models.py", WITHOUT)

    refused = project.run("makemigrations", "core", "auth")
    assert "ForgetDeletionsOf" in refused.stderr
    project.migration("0002_forget", '("core", "0001_record")', operations_in(refused.stderr))

    forwards = project.run("sqlmigrate", "core", "0002")
    backwards = project.run("sqlmigrate", "core", "0002", "--backwards")
    assert "CREATE TRIGGER" not in forwards.stdout, forwards.stderr
    assert "CREATE TABLE" in forwards.stdout, forwards.stderr
    assert "CREATE TRIGGER" in backwards.stdout, backwards.stderr
