"""Record the deletion of each user, so that their events are deleted as well."""

from django.db import migrations

import switchyard.crossdb


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="user",
            constraint=switchyard.crossdb.RecordDeletions(
                name="deletions_analytics_analyticsevent_user_id",
                reference="analytics.AnalyticsEvent.user",
            ),
        ),
    ]
