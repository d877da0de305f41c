"""One word for a thing: what the menu calls a page stands in its title and its heading, and in its messages."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from mwl_admin.models import RequestedProcedure
from mwl_admin.roles import ROLES
from mwl_admin.site.page_names import NAMES
from tests.factory import make_step
from tests.mwl_admin.pages import form_values
from tests.site.conftest import Login

pytestmark = pytest.mark.django_db

SITE = " | Worklist"
NEW_ENTRY = "New entry"


def menu_of(client: Client) -> dict[str, str]:
    """Return the menu that this person has: addresses by label."""
    groups = client.get(reverse("today")).context["sidebar_navigation"]
    return {str(item["title"]): item["link"] for group in groups for item in group["items"]}


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def title_of(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert found is not None
    return text_of(found[1]).removesuffix(SITE)


def crumbs_of(page: str) -> list[str]:
    """Return the crumbs, which are the page's heading."""
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    assert heading is not None
    return [
        text
        for part in re.findall(r"<(a|span) [^>]*truncate[^>]*>(.*?)</\1", heading[1], re.DOTALL)
        if (text := text_of(part[1]))
    ]


@pytest.mark.parametrize("role", ROLES)
def test_a_page_is_called_the_same_in_menu_title_and_heading(login: Login, role: str) -> None:
    client = login(role)
    menu = menu_of(client)
    assert len(menu) >= 6
    for label, address in menu.items():
        page = client.get(address).content.decode()
        last = "Entries" if label == NEW_ENTRY else label  # the page that it is reached from
        assert (title_of(page), crumbs_of(page)[-1]) == (label, last), address


@pytest.mark.parametrize("label", sorted(NAMES))
def test_buttons_and_pages_of_one_record_use_the_same_word(admin_client: Client, label: str) -> None:
    application, model = label.split(".")
    page = admin_client.get(reverse(f"admin:{application}_{model}_changelist"))
    assert page.context["opts"].verbose_name == str(NAMES[label].one)
    add = admin_client.get(reverse(f"admin:{application}_{model}_add"))
    if add.status_code == 200:
        assert title_of(add.content.decode()) in {f"Add {NAMES[label].one}", NEW_ENTRY}


def test_a_message_says_entry(admin_client: Client) -> None:
    entry = make_step().requested_procedure
    address = reverse("admin:mwl_admin_requestedprocedure_change", args=[entry.pk])
    values = form_values(admin_client.get(address)) | {"requested_procedure_description": "Other"}
    page = text_of(admin_client.post(address, values, follow=True).content.decode())
    assert re.search(r"The entry “.*” was changed successfully", page)
    assert RequestedProcedure.objects.get().requested_procedure_description == "Other"


def test_a_message_says_account(admin_client: Client) -> None:
    address = reverse("admin:auth_user_add")
    values = {"username": "berta", "password1": "correct horse b", "password2": "correct horse b"}
    values |= {"usable_password": "true"}
    page = text_of(admin_client.post(address, values, follow=True).content.decode())
    assert re.search(r"The account “.*” was added successfully", page)
