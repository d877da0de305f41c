"""Makes the account by which the first user gets in."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from gateway_settings.environment import environment as read_environment
from gateway_settings.environment import read
from mwl_admin.management.terminal import PlainCommand
from mwl_admin.site import first_password

USERNAME = "admin"


class Command(PlainCommand):
    help = (
        "Makes the account “admin” when there is no account yet. Its password is DJANGO_SUPERUSER_PASSWORD, or a "
        "random one that is kept in the file first_password of DATA_DIR until it is changed, at the first login."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = get_user_model().objects
        if accounts.exists():
            return
        given = read(read_environment(), "DJANGO_SUPERUSER_PASSWORD", str, "")
        try:
            with transaction.atomic():
                account = accounts.create_superuser(USERNAME, password=given or None)
                if not given:
                    first_password.make(account)
        except IntegrityError:
            # Another container started at the same moment and was first.
            return
        except OSError as error:
            raise CommandError(
                f"The first password can't be kept in {first_password.path()} ({error.strerror}): "
                "set DJANGO_SUPERUSER_PASSWORD, or make DATA_DIR writable."
            ) from error
        where = "in DJANGO_SUPERUSER_PASSWORD" if given else f"in {first_password.path()}, to be changed at first login"
        self.stdout.write(f"First account: {USERNAME}; its password is {where}")
