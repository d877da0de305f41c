"""A received study's UID may have leading zeros, as some devices make them: the rule changes, the column does not."""

from django.db import migrations

import mwl_admin.fields


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0022_former_patient_ids")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "receivedstudy",
                    "study_instance_uid",
                    mwl_admin.fields.DeviceUIDField(max_length=64, unique=True, verbose_name="Study Instance UID"),
                )
            ]
        )
    ]
