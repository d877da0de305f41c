"""A browser without scripts: Django's client, logged in."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client

from tests.clock import steady_clock

__all__ = ["steady_clock"]


@pytest.fixture
def anna(db: None) -> User:
    """A member of staff who may do everything."""
    user = get_user_model().objects.create_superuser("anna")
    assert isinstance(user, User)
    return user


@pytest.fixture
def browser(client: Client, anna: User) -> Client:
    """The site as Anna sees it."""
    client.force_login(anna)
    return client
