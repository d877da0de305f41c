"""A line of the reading log tells all patients that a page showed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0007_settled_step")]

    operations = [
        migrations.RenameField("patientread", "patient_identifier", "patient_identifiers"),
        migrations.AlterField(
            model_name="patientread",
            name="patient_identifiers",
            field=models.TextField(verbose_name="patient IDs"),
        ),
        migrations.AddField(
            model_name="patientread",
            name="records",
            field=models.PositiveIntegerField(
                default=1, help_text="How many patients the page showed.", verbose_name="records"
            ),
        ),
    ]
