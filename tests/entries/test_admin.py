"""Import and export on the site: preview, confirmation, errors, template."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, StepStatus

pytestmark = pytest.mark.django_db

HEADINGS = "Accession number,Patient ID,Family name,Date,Time,Modality\n"
GOOD = f"{HEADINGS}A-1,P-1,Doe,2026-05-04,10:30,CT\nA-1,P-1,Doe,2026-05-04,11:00,CT\nA-2,P-2,Roe,2026-05-04,12:00,MR\n"
IMPORT = "admin:mwl_admin_requestedprocedure_import"
CONFIRM = "admin:mwl_admin_requestedprocedure_process_import"


@pytest.fixture
def browser(client: Client, settings: Any, tmp_path: Path) -> Client:
    settings.DATA_DIR = tmp_path
    client.force_login(get_user_model().objects.create_superuser("anna"))
    return client


def upload(browser: Client, content: str | bytes, name: str = "entries.csv") -> str:
    data = content.encode() if isinstance(content, str) else content
    kind = "0" if name.endswith("csv") else "1"
    form = {"import_file": SimpleUploadedFile(name, data), "format": kind, "resource": "0"}
    response = browser.post(reverse(IMPORT), form)
    assert response.status_code == 200
    return response.content.decode()


def hidden(page: str) -> dict[str, str]:
    """Return what the confirmation would send."""
    fields = re.findall(r'<input type="hidden" name="(\w+)"(?: value="([^"]*)")?', page)
    return {name: value for name, value in fields if name != "csrfmiddlewaretoken"}


def confirm(browser: Client, page: str) -> str:
    return browser.post(reverse(CONFIRM), hidden(page), follow=True).content.decode()


def test_a_file_is_previewed_and_then_taken(browser: Client, tmp_path: Path) -> None:
    page = upload(browser, GOOD)
    assert "Roe" in page
    assert not Patient.objects.exists()
    (waiting,) = (tmp_path / "imports").iterdir()
    assert waiting.stat().st_mode & 0o077 == 0
    done = confirm(browser, page)
    assert "3 rows taken: 3 made, 0 updated, 0 unchanged." in done
    assert RequestedProcedure.objects.count() == 2
    assert ScheduledProcedureStep.objects.count() == 3
    assert not list((tmp_path / "imports").iterdir())


def test_errors_are_told_by_row_and_column_and_can_not_be_confirmed(browser: Client) -> None:
    page = upload(browser, GOOD + "A-3,P-3,Poe,2026-05-04,noon,<b>CT\n")
    assert "must be a time of day" in page
    assert "<b>CT" not in page
    assert "Confirm" not in page
    headings = re.findall(r"<th[^>]*>\s*([^<]*?)\s*</th>", page)
    assert headings.count("Row") == 1
    assert not RequestedProcedure.objects.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        (f"{HEADINGS}", "no rows"),
        ("Accession number,Shoe size\n1,2\n", "Shoe size"),
        ("\0\1", "neither"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_plain_words(browser: Client, content: str, words: str) -> None:
    page = upload(browser, content)
    assert words in page
    assert "Traceback" not in page


def test_what_changed_since_the_preview_is_told_and_nothing_is_taken(browser: Client) -> None:
    page = upload(browser, GOOD)
    upload_other = upload(browser, f"{HEADINGS}A-1,P-9,Other,2026-05-04,10:30,CT\n")
    confirm(browser, upload_other)
    told = confirm(browser, page)
    assert "Nothing was imported" in told
    assert not Patient.objects.filter(patient_id="P-2").exists()


@pytest.mark.parametrize("name", ["../secret_key", "secret_key", "0" * 32, ""])
def test_the_name_of_the_waiting_file_leads_nowhere_else(browser: Client, name: str) -> None:
    page = upload(browser, GOOD)
    response = browser.post(reverse(CONFIRM), {**hidden(page), "import_file_name": name}, follow=True)
    assert response.status_code == 200
    if name:
        assert "choose it again" in response.content.decode()
    assert not RequestedProcedure.objects.exists()


def test_old_files_are_forgotten(browser: Client, tmp_path: Path) -> None:
    import os

    upload(browser, GOOD)
    (waiting,) = (tmp_path / "imports").iterdir()
    os.utime(waiting, (0, 0))
    upload(browser, GOOD)
    assert not waiting.exists()


@pytest.mark.parametrize("kind", ["0", "1"])
def test_entries_are_exported_and_can_be_imported_again(browser: Client, kind: str) -> None:
    confirm(browser, upload(browser, GOOD))
    response = browser.post(reverse("admin:mwl_admin_requestedprocedure_export"), {"format": kind, "resource": "0"})
    assert response["Content-Disposition"].startswith("attachment")
    page = upload(browser, response.content, "entries.csv" if kind == "0" else "entries.xlsx")
    assert "3 rows taken: 0 made, 0 updated, 3 unchanged." in confirm(browser, page)


def test_a_row_whose_step_is_over_says_so_in_the_preview(browser: Client) -> None:
    confirm(browser, upload(browser, GOOD))
    ScheduledProcedureStep.objects.get(modality="MR").transition(StepStatus.COMPLETED)
    page = upload(browser, f"{HEADINGS}A-2,P-2,Roe,2026-05-04,15:00,MR\n")
    assert "is completed and stays as it is" in page


def test_the_template_can_be_had_in_both_kinds(browser: Client) -> None:
    assert "template.xlsx" in browser.get(reverse(IMPORT)).content.decode()
    for extension in ("csv", "xlsx"):
        response = browser.get(reverse(f"admin:mwl_admin_requestedprocedure_template_{extension}"))
        assert response.status_code == 200
        assert f"entries.{extension}" in response["Content-Disposition"]
    assert load_workbook(io.BytesIO(response.content)).sheetnames[0] == "Entries"


def test_who_may_only_look_may_not_import(client: Client) -> None:
    user = get_user_model().objects.create_user("ben", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_requestedprocedure"))
    client.force_login(user)
    assert client.get(reverse(IMPORT)).status_code == 403
    assert client.post(reverse(CONFIRM), {}).status_code == 403
    assert client.get(reverse("admin:mwl_admin_requestedprocedure_export")).status_code == 200


def test_the_list_offers_import_and_export(browser: Client) -> None:
    page = browser.get(reverse("admin:mwl_admin_requestedprocedure_changelist")).content.decode()
    assert reverse(IMPORT) in page
    assert reverse("admin:mwl_admin_requestedprocedure_export") in page
