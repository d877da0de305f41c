"""Changes of patients on their way to the receiver, and under whom images are stored."""

import uuid

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mwl_admin", "0018_mpps_doubts"),
    ]

    operations = [
        migrations.AddField(
            model_name="receivedstudy",
            name="stored_patient_birth_date",
            field=models.DateField(blank=True, null=True, verbose_name="birth date in the images"),
        ),
        migrations.AddField(
            model_name="receivedstudy",
            name="stored_patient_id",
            field=models.CharField(blank=True, max_length=64, verbose_name="patient ID in the images"),
        ),
        migrations.AddField(
            model_name="receivedstudy",
            name="stored_patient_name",
            field=models.CharField(blank=True, max_length=200, verbose_name="patient name in the images"),
        ),
        migrations.CreateModel(
            name="OutgoingChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("change_id", models.UUIDField(default=uuid.uuid4, unique=True, verbose_name="change")),
                ("body", models.JSONField(verbose_name="body")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="created at")),
                ("attempts", models.PositiveIntegerField(default=0, verbose_name="attempts")),
                (
                    "next_attempt_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="next attempt"),
                ),
                ("claimed_until", models.DateTimeField(blank=True, null=True, verbose_name="claimed until")),
                ("delivered_at", models.DateTimeField(blank=True, null=True, verbose_name="delivered at")),
                ("refused", models.CharField(blank=True, max_length=200, verbose_name="refused because")),
            ],
            options={
                "verbose_name": "change for the receiver",
                "verbose_name_plural": "changes for the receiver",
                "ordering": ["pk"],
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("delivered_at", None), ("refused", "")),
                        fields=["id"],
                        name="outgoing_change_waiting",
                    )
                ],
            },
        ),
    ]
