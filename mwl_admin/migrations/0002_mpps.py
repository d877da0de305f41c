import django.db.models.deletion
from django.db import migrations, models

import mwl_admin.fields


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="performedprocedurestep",
            name="protocol",
            field=models.CharField(blank=True, max_length=255, verbose_name="protocol"),
        ),
        migrations.AddField(
            model_name="performedprocedurestep",
            name="discontinuation_reason",
            field=mwl_admin.fields.LongStringField(blank=True, verbose_name="discontinuation reason"),
        ),
        migrations.AddField(
            model_name="performedprocedurestep",
            name="disregarded_for",
            field=models.ManyToManyField(
                blank=True,
                help_text="Steps whose end, reported by this, staff have taken back.",
                related_name="disregarded_performed_procedure_steps",
                to="mwl_admin.scheduledprocedurestep",
                verbose_name="disregarded for",
            ),
        ),
        migrations.AddField(
            model_name="scheduledprocedurestep",
            name="started_by",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="What a modality reported first; empty when staff started the step by hand.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="started_scheduled_procedure_steps",
                to="mwl_admin.performedprocedurestep",
                verbose_name="started by",
            ),
        ),
    ]
