"""AE titles that called and did not come as far as a query."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0008_reading_lists")]

    operations = [
        migrations.CreateModel(
            name="UnknownCaller",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ae_title", models.CharField(max_length=16, unique=True, verbose_name="AE title")),
                ("address", models.GenericIPAddressField(blank=True, null=True, verbose_name="address")),
                ("last_seen_at", models.DateTimeField(db_index=True, verbose_name="last seen at")),
                (
                    "rejected_because",
                    models.CharField(
                        blank=True,
                        help_text="Empty when it was let in, and echoed.",
                        max_length=64,
                        verbose_name="rejected because",
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0, verbose_name="attempts")),
            ],
            options={
                "ordering": ["-last_seen_at"],
                "default_permissions": (),
                "verbose_name": "unknown caller",
                "verbose_name_plural": "unknown callers",
            },
        ),
    ]
