"""Indexes for what has changed since a moment (the API's ``updated_since``)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0009_unknown_caller")]

    operations = [
        migrations.AddIndex("requestedprocedure", models.Index(fields=["updated_at"], name="entry_updated")),
        migrations.AddIndex("scheduledprocedurestep", models.Index(fields=["updated_at"], name="step_updated")),
    ]
