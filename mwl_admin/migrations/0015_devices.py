"""Stations become the one registry of devices (docs/devices.md)."""

from typing import Any

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import mwl_admin.fields
import mwl_admin.validators


def tell_apart(apps: Any, schema_editor: Any) -> None:
    """A station that was made without a modality is no modality."""
    apps.get_model("mwl_admin", "Station").objects.filter(modality="").update(kind="other")


class Migration(migrations.Migration):
    dependencies = [
        ("mwl_admin", "0014_first_password"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Enrolment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "service",
                    models.CharField(
                        choices=[("worklist", "worklist"), ("images", "images")], max_length=16, verbose_name="service"
                    ),
                ),
                ("ae_title", models.CharField(max_length=16, verbose_name="AE title")),
                ("address", models.GenericIPAddressField(blank=True, null=True, verbose_name="address")),
                ("last_seen_at", models.DateTimeField(verbose_name="last seen at")),
            ],
            options={
                "verbose_name": "device to be enrolled",
                "verbose_name_plural": "devices to be enrolled",
                "ordering": ["ae_title", "-service"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="KeptOut",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ae_title", models.CharField(max_length=16, unique=True, verbose_name="AE title")),
                ("kept_out_at", models.DateTimeField(auto_now_add=True, verbose_name="kept out at")),
            ],
            options={
                "verbose_name": "AE title kept out",
                "verbose_name_plural": "AE titles kept out",
                "ordering": ["ae_title"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="UsedNonce",
            fields=[
                ("nonce", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("until", models.DateTimeField(db_index=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.AddField(
            model_name="historicalstation",
            name="certificates",
            field=models.TextField(
                blank=True,
                help_text="SHA-256 fingerprints of the client certificates that the device may show, one a line. "
                "They count where clients must show one. Left empty: one with its AE title as common name.",
                validators=[mwl_admin.validators.validate_fingerprints],
                verbose_name="certificates",
            ),
        ),
        migrations.AddField(
            model_name="historicalstation",
            name="host",
            field=models.CharField(
                blank=True,
                help_text="Name or IP address where the device answers. Left empty: the first expected address.",
                max_length=253,
                validators=[mwl_admin.validators.validate_host],
                verbose_name="host",
            ),
        ),
        migrations.AddField(
            model_name="historicalstation",
            name="kind",
            field=models.CharField(
                choices=[
                    ("modality", "modality"),
                    ("workstation", "workstation"),
                    ("archive", "archive"),
                    ("ai", "AI node"),
                    ("other", "other"),
                ],
                default="modality",
                max_length=16,
                verbose_name="kind",
            ),
        ),
        migrations.AddField(
            model_name="historicalstation",
            name="may_query",
            field=models.BooleanField(default=False, help_text="Ask which images are there.", verbose_name="may query"),
        ),
        migrations.AddField(
            model_name="historicalstation",
            name="may_retrieve",
            field=models.BooleanField(default=False, help_text="Fetch images.", verbose_name="may retrieve"),
        ),
        migrations.AddField(
            model_name="historicalstation",
            name="may_store",
            field=models.BooleanField(default=True, help_text="Send images to the receiver.", verbose_name="may store"),
        ),
        migrations.AddField(
            model_name="station",
            name="certificates",
            field=models.TextField(
                blank=True,
                help_text="SHA-256 fingerprints of the client certificates that the device may show, one a line. "
                "They count where clients must show one. Left empty: one with its AE title as common name.",
                validators=[mwl_admin.validators.validate_fingerprints],
                verbose_name="certificates",
            ),
        ),
        migrations.AddField(
            model_name="station",
            name="host",
            field=models.CharField(
                blank=True,
                help_text="Name or IP address where the device answers. Left empty: the first expected address.",
                max_length=253,
                validators=[mwl_admin.validators.validate_host],
                verbose_name="host",
            ),
        ),
        migrations.AddField(
            model_name="station",
            name="kind",
            field=models.CharField(
                choices=[
                    ("modality", "modality"),
                    ("workstation", "workstation"),
                    ("archive", "archive"),
                    ("ai", "AI node"),
                    ("other", "other"),
                ],
                default="modality",
                max_length=16,
                verbose_name="kind",
            ),
        ),
        migrations.AddField(
            model_name="station",
            name="may_query",
            field=models.BooleanField(default=False, help_text="Ask which images are there.", verbose_name="may query"),
        ),
        migrations.AddField(
            model_name="station",
            name="may_retrieve",
            field=models.BooleanField(default=False, help_text="Fetch images.", verbose_name="may retrieve"),
        ),
        migrations.AddField(
            model_name="station",
            name="may_store",
            field=models.BooleanField(default=True, help_text="Send images to the receiver.", verbose_name="may store"),
        ),
        migrations.AddField(
            model_name="unknowncaller",
            name="service",
            field=models.CharField(
                choices=[("worklist", "worklist"), ("images", "images")],
                default="worklist",
                max_length=16,
                verbose_name="service",
            ),
        ),
        migrations.AlterField(
            model_name="historicalprocedure",
            name="usual_station",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                limit_choices_to={"kind": "modality"},
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="mwl_admin.station",
                verbose_name="usual station",
            ),
        ),
        migrations.AlterField(
            model_name="historicalstation",
            name="enabled",
            field=models.BooleanField(
                default=True,
                help_text="A station that is switched off is turned away, whatever it asks for.",
                verbose_name="enabled",
            ),
        ),
        migrations.AlterField(
            model_name="historicalstation",
            name="modality",
            field=mwl_admin.fields.CodeStringField(
                blank=True,
                db_index=True,
                help_text="E.g. CT, MR, US, DX, MG. Only a modality has one.",
                verbose_name="modality",
            ),
        ),
        migrations.AlterField(
            model_name="historicalstation",
            name="port",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Where the device answers, e.g. C-ECHO. Left empty: 104.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(65535),
                ],
                verbose_name="DICOM port",
            ),
        ),
        migrations.AlterField(
            model_name="procedure",
            name="usual_station",
            field=models.ForeignKey(
                blank=True,
                limit_choices_to={"kind": "modality"},
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="usual_procedures",
                to="mwl_admin.station",
                verbose_name="usual station",
            ),
        ),
        migrations.AlterField(
            model_name="scheduledprocedurestep",
            name="stations",
            field=models.ManyToManyField(
                blank=True,
                help_text="None: any station of the modality. A new step of a procedure that has a usual station "
                "gets that.",
                limit_choices_to={"kind": "modality"},
                related_name="scheduled_procedure_steps",
                to="mwl_admin.station",
                verbose_name="stations",
            ),
        ),
        migrations.AlterField(
            model_name="station",
            name="enabled",
            field=models.BooleanField(
                default=True,
                help_text="A station that is switched off is turned away, whatever it asks for.",
                verbose_name="enabled",
            ),
        ),
        migrations.AlterField(
            model_name="station",
            name="modality",
            field=mwl_admin.fields.CodeStringField(
                blank=True,
                db_index=True,
                help_text="E.g. CT, MR, US, DX, MG. Only a modality has one.",
                verbose_name="modality",
            ),
        ),
        migrations.AlterField(
            model_name="station",
            name="port",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Where the device answers, e.g. C-ECHO. Left empty: 104.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(65535),
                ],
                verbose_name="DICOM port",
            ),
        ),
        migrations.AlterField(
            model_name="unknowncaller",
            name="ae_title",
            field=models.CharField(max_length=16, verbose_name="AE title"),
        ),
        migrations.RunPython(tell_apart, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="station",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["modality", "workstation", "archive", "ai", "other"])),
                name="station_kind_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="station",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind", "modality"), ("modality", ""), _connector="XOR"),
                name="station_modality_by_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="unknowncaller",
            constraint=models.UniqueConstraint(fields=("ae_title", "service"), name="one_row_for_each_caller"),
        ),
        migrations.AddConstraint(
            model_name="enrolment",
            constraint=models.UniqueConstraint(fields=("ae_title", "service"), name="one_enrolment_for_each_service"),
        ),
        migrations.AddField(
            model_name="keptout",
            name="kept_out_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="kept out by",
            ),
        ),
    ]
