"""Queries and reports know their size, so that it can be bounded; keys of unreasonable length are dropped."""

from typing import Any

from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Cast, Length

LONGEST = 65_536
"""Bytes of keys that stay. A modality's are a few hundred."""


def measure(apps: Any, schema_editor: Any) -> None:
    """Note how large what is kept already is."""
    database = schema_editor.connection.alias
    queries = apps.get_model("mwl_admin", "WorklistQuery").objects.using(database)
    text = Length(Cast("keys", models.TextField()))
    queries.annotate(length=text).filter(length__gt=LONGEST).update(keys=Value({}, models.JSONField()), keys_cut=True)
    queries.update(size=text + Value(400) + F("matches") * 150)
    reports = apps.get_model("mwl_admin", "PerformedProcedureStep").objects.using(database)
    reports.update(size=Length(Cast("data_set", models.TextField())) + Value(1000))


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0011_api_client_expiry")]

    operations = [
        migrations.AddField(
            "performedprocedurestep",
            "size",
            models.PositiveIntegerField(default=0, editable=False, help_text="Bytes that this takes, estimated."),
        ),
        migrations.AddField(
            "worklistquery",
            "keys_cut",
            models.BooleanField(
                default=False, help_text="The query was longer than what is kept of one.", verbose_name="keys cut"
            ),
        ),
        migrations.AddField(
            "worklistquery",
            "size",
            models.PositiveIntegerField(
                default=0, editable=False, help_text="Bytes that this and its deliveries take, estimated."
            ),
        ),
        migrations.RunPython(measure, migrations.RunPython.noop),
        migrations.AddIndex("worklistquery", models.Index(fields=["size"], name="query_size")),
    ]
