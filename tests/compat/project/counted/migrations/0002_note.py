import django.db.models.deletion
from django.db import migrations, models

import switchyard.crossdb


class Migration(migrations.Migration):
    dependencies = [
        ("counted", "0001_initial"),
        ("shop", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.CharField(max_length=100)),
                (
                    "item",
                    switchyard.crossdb.CrossDatabaseForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="notes", to="shop.item"
                    ),
                ),
                (
                    "copied_from",
                    switchyard.crossdb.CrossDatabaseForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="shop.item"
                    ),
                ),
            ],
        ),
    ]
