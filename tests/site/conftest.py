"""People of each role at the site, as Django's client shows it to them."""

from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from tests.clock import steady_clock

__all__ = ["steady_clock"]

Login = Callable[[str], Client]


@pytest.fixture
def roles(db: None) -> None:
    """The groups that the migration makes: a test with transactions of its own leaves an empty database behind."""
    if not Group.objects.exists():
        migration = import_module("mwl_admin.migrations.0004_roles")
        migration.make_roles(apps, SimpleNamespace(connection=connection))


@pytest.fixture
def login(roles: None) -> Login:
    """``login("Reception")`` is the site as someone of that role sees it; ``login("")`` has no role."""

    def make(role: str) -> Client:
        user = User.objects.create_user(role.lower() or "nobody", is_staff=True)
        if role:
            user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def desk(login: Login) -> Client:
    """The site as reception sees it."""
    return login("Reception")


@pytest.fixture
def manager(login: Login) -> Client:
    return login("Manager")
