"""People of each role at the site, as Django's client shows it to them."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

Login = Callable[[str], Client]


@pytest.fixture
def login(db: None) -> Login:
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
