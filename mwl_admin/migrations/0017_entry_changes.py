"""The log of changes. Its triggers are made when all migrations are done (`mwl_admin.changes.installing`)."""

from typing import Any

from django.db import migrations, models


def remove_triggers(apps: Any, schema_editor: Any) -> None:
    from mwl_admin.changes.installing import remove

    remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0016_enrolment")]

    operations = [
        migrations.CreateModel(
            name="ChangeFeed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("era", models.CharField(max_length=16)),
                ("system", models.CharField(max_length=64)),
                ("triggers", models.CharField(max_length=64)),
                ("floor_position", models.BigIntegerField(default=0)),
                ("floor_id", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "log of changes",
                "verbose_name_plural": "logs of changes",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="EntryChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField()),
                ("entry_id", models.BigIntegerField()),
                ("gone", models.CharField(blank=True, default="", max_length=64)),
                ("changed_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "change of an entry",
                "verbose_name_plural": "changes of entries",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["position", "id"], name="change_order"),
                    models.Index(fields=["entry_id", "position"], name="change_of_entry"),
                ],
                "constraints": [models.UniqueConstraint(fields=("position", "entry_id", "gone"), name="change_once")],
            },
        ),
        migrations.RemoveIndex("requestedprocedure", "entry_updated"),
        migrations.RemoveIndex("scheduledprocedurestep", "step_updated"),
        migrations.RunPython(migrations.RunPython.noop, remove_triggers),
    ]
