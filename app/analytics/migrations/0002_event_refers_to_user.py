"""Make the user's key a reference. The column and its index stay as they are: only Django's state changes."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import switchyard.crossdb


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex(model_name="analyticsevent", name="event_user_at"),
                migrations.RenameField(model_name="analyticsevent", old_name="user_id", new_name="user"),
                migrations.AlterField(
                    model_name="analyticsevent",
                    name="user",
                    field=switchyard.crossdb.CrossDatabaseForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AddIndex(
                    model_name="analyticsevent",
                    index=models.Index(fields=["user", "at"], name="event_user_at"),
                ),
            ],
        ),
    ]
