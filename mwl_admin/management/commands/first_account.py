"""Makes the account by which the first user gets in."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import IntegrityError, transaction

from mwl_admin import environment

USERNAME = "admin"


class Command(BaseCommand):
    help = (
        "Makes the account “admin” when there is no account yet. Its password is DJANGO_SUPERUSER_PASSWORD, or a "
        "random one that is printed once."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = get_user_model().objects
        if accounts.exists():
            return
        given = environment.read(environment.environment(), "DJANGO_SUPERUSER_PASSWORD", str, "")
        password = given or secrets.token_urlsafe(12)
        try:
            with transaction.atomic():
                accounts.create_superuser(USERNAME, password=password)
        except IntegrityError:
            # Another container started at the same moment and was first.
            return
        told = "the password in DJANGO_SUPERUSER_PASSWORD" if given else f"password {password} (not shown again)"
        self.stdout.write(f"First account: {USERNAME}, {told}")
