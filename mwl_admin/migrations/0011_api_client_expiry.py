"""API tokens have a last day, and end with their station."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mwl_admin", "0010_changed_since"),
    ]

    operations = [
        migrations.AddField(
            model_name="apiclient",
            name="expires_on",
            field=models.DateField(
                blank=True, help_text="The token's last day. Left empty: no end.", null=True, verbose_name="valid until"
            ),
        ),
        migrations.AlterField(
            model_name="apiclient",
            name="station",
            field=models.ForeignKey(
                blank=True,
                help_text="The modality that it is: sees and changes what the station's profile lets it see. "
                "Left empty: everything.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="api_clients",
                to="mwl_admin.station",
                verbose_name="station",
            ),
        ),
    ]
