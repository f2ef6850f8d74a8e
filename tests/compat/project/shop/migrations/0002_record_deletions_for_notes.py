from django.db import migrations

import switchyard.crossdb


class Migration(migrations.Migration):
    dependencies = [
        ("shop", "0001_initial"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="item",
            constraint=switchyard.crossdb.RecordDeletions(
                name="deletions_counted_note_item_id", reference="counted.Note.item"
            ),
        ),
        migrations.AddConstraint(
            model_name="item",
            constraint=switchyard.crossdb.RecordDeletions(
                name="deletions_counted_note_copied_from_id", reference="counted.Note.copied_from"
            ),
        ),
    ]
