"""Make a group of each role."""

from typing import Any

from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

from mwl_admin.roles import ROLES


def make_roles(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions only when all migrations are done.
    for label in {label for role in ROLES.values() for label in role}:
        create_permissions(current_apps.get_app_config(label), verbosity=0, using=schema_editor.connection.alias)
    group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for name, applications in ROLES.items():
        group, made = group_model.objects.get_or_create(name=name)
        if not made:
            continue
        for label, codenames in applications.items():
            group.permissions.add(
                *permission_model.objects.filter(content_type__app_label=label, codename__in=codenames)
            )


class Migration(migrations.Migration):
    dependencies = [
        ("mwl_admin", "0003_history"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
