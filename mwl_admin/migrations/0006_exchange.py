"""API clients, and what the image receiver tells."""

from typing import Any

import django.core.validators
import django.db.models.deletion
from django.apps import apps as current_apps
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

import mwl_admin.fields

GRANTS = {
    "Radiographer": ("view_receivedstudy", "change_receivedstudy"),
    "Manager": ("view_receivedstudy", "change_receivedstudy"),
    "Administrator": (
        "view_receivedstudy",
        "change_receivedstudy",
        "view_apiclient",
        "add_apiclient",
        "change_apiclient",
        "delete_apiclient",
    ),
}


def grant(apps: Any, schema_editor: Any) -> None:
    """Give the roles that exist already what roles that are made now have."""
    create_permissions(current_apps.get_app_config("mwl_admin"), verbosity=0, using=schema_editor.connection.alias)
    group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for group in group_model.objects.filter(name__in=GRANTS):
        found = permission_model.objects.filter(content_type__app_label="mwl_admin", codename__in=GRANTS[group.name])
        group.permissions.add(*found)


class Migration(migrations.Migration):
    dependencies = [
        ("mwl_admin", "0005_search_indexes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="historicalstation",
            name="completes_with_images",
            field=models.BooleanField(
                default=False,
                help_text="The station sends no MPPS: its steps are complete when the image receiver has their images.",
                verbose_name="complete with its images",
            ),
        ),
        migrations.AddField(
            model_name="station",
            name="completes_with_images",
            field=models.BooleanField(
                default=False,
                help_text="The station sends no MPPS: its steps are complete when the image receiver has their images.",
                verbose_name="complete with its images",
            ),
        ),
        migrations.CreateModel(
            name="APIClient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="Which system it is; the history of entries names it.",
                        max_length=64,
                        unique=True,
                        verbose_name="name",
                    ),
                ),
                ("token_hash", models.CharField(editable=False, max_length=64, unique=True)),
                ("token_start", models.CharField(editable=False, max_length=16, verbose_name="token begins with")),
                (
                    "can_read",
                    models.BooleanField(
                        default=True, help_text="Search the worklist and read entries.", verbose_name="may read"
                    ),
                ),
                (
                    "can_write",
                    models.BooleanField(
                        default=False, help_text="Make, change and cancel entries.", verbose_name="may write"
                    ),
                ),
                (
                    "enabled",
                    models.BooleanField(
                        default=True,
                        help_text="A client that is switched off is refused at once.",
                        verbose_name="enabled",
                    ),
                ),
                (
                    "requests_per_minute",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Left empty: the limit of all clients.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000000),
                        ],
                        verbose_name="requests per minute",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "last_used_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last used at"),
                ),
                (
                    "station",
                    models.ForeignKey(
                        blank=True,
                        help_text="A modality that asks by DICOMweb: its profile applies. Left empty: sees everything.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="api_clients",
                        to="mwl_admin.station",
                        verbose_name="station",
                    ),
                ),
            ],
            options={
                "verbose_name": "API client",
                "ordering": ["name"],
                "verbose_name_plural": "API clients",
            },
        ),
        migrations.CreateModel(
            name="ReceivedStudy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("study_instance_uid", mwl_admin.fields.UIDField(unique=True, verbose_name="Study Instance UID")),
                (
                    "accession_number",
                    models.CharField(blank=True, db_index=True, max_length=64, verbose_name="accession number"),
                ),
                ("patient_id", models.CharField(blank=True, db_index=True, max_length=64, verbose_name="patient ID")),
                ("patient_name", models.CharField(blank=True, max_length=200, verbose_name="patient name")),
                ("name_folded", models.CharField(blank=True, editable=False, max_length=200)),
                ("patient_birth_date", models.DateField(blank=True, null=True, verbose_name="birth date")),
                ("description", models.CharField(blank=True, max_length=64, verbose_name="description")),
                ("modalities", models.JSONField(default=list, verbose_name="modalities")),
                (
                    "senders",
                    models.JSONField(default=list, help_text="AE titles that sent the images.", verbose_name="senders"),
                ),
                ("series_count", models.PositiveIntegerField(default=0, verbose_name="series")),
                ("instance_count", models.PositiveIntegerField(default=0, verbose_name="images")),
                ("first_arrival_at", models.DateTimeField(verbose_name="first image")),
                ("last_arrival_at", models.DateTimeField(verbose_name="last image")),
                ("announced_at", models.DateTimeField(verbose_name="complete since")),
                ("settled_at", models.DateTimeField(blank=True, editable=False, null=True, verbose_name="settled at")),
                (
                    "requested_procedure",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="received_studies",
                        to="mwl_admin.requestedprocedure",
                        verbose_name="entry",
                    ),
                ),
                (
                    "settled_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="settled by",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "received studies",
                "ordering": ["-last_arrival_at", "-id"],
                "verbose_name": "received study",
            },
        ),
        migrations.CreateModel(
            name="StudyNotice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_id", models.CharField(max_length=64, unique=True, verbose_name="event id")),
                ("announced_at", models.DateTimeField(verbose_name="announced at")),
                ("received_at", models.DateTimeField(auto_now_add=True, verbose_name="received at")),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notices",
                        to="mwl_admin.receivedstudy",
                        verbose_name="study",
                    ),
                ),
            ],
            options={
                "ordering": ["-received_at"],
                "verbose_name": "study notice",
                "verbose_name_plural": "study notices",
            },
        ),
        migrations.AddIndex(
            model_name="receivedstudy",
            index=models.Index(fields=["-last_arrival_at"], name="received_last_arrival"),
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
