import django.db.models.deletion
from django.db import migrations, models

import mwl_admin.fields


class Migration(migrations.Migration):
    dependencies = [
        ("mwl_admin", "0021_downtime"),
    ]

    operations = [
        migrations.CreateModel(
            name="FormerPatientID",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("patient_id", mwl_admin.fields.LongStringField(verbose_name="patient ID")),
                ("issuer_of_patient_id", mwl_admin.fields.LongStringField(blank=True, verbose_name="issuer")),
                (
                    "merged",
                    models.BooleanField(
                        help_text="The ID was this person's too; otherwise it was a wrong one that has been corrected.",
                        verbose_name="merged",
                    ),
                ),
                ("changed_at", models.DateTimeField(auto_now=True, verbose_name="changed at")),
                (
                    "record",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="former_ids",
                        to="mwl_admin.patient",
                        verbose_name="patient",
                    ),
                ),
            ],
            options={
                "verbose_name": "former patient ID",
                "verbose_name_plural": "former patient IDs",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("patient_id", "issuer_of_patient_id"), name="former_patient_id_unique"
                    )
                ],
            },
        ),
    ]
