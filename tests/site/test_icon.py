"""The picture on a browser's tab."""

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

pytestmark = pytest.mark.django_db


def test_pages_name_an_icon_that_is_there(desk: Client) -> None:
    page = desk.get("/today/").content.decode()
    assert 'rel="icon"' in page
    assert "mwl_admin/icon" in page
    assert finders.find("mwl_admin/icon.svg")
