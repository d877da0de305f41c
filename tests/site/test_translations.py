"""Every text can be translated: with a language in which all of them stand in brackets, nothing stands outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import formats, timezone
from pydicom.datadict import dictionary_description

from mwl_admin.entries.tables.columns import HEADINGS
from mwl_admin.models import ReceivedStudy, ScheduledProcedureStep, Station
from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_ATTRIBUTES
from tests.components import demand
from tests.mwl_admin.pages import ADD_ENTRY, STEP, form_values
from tests.site import demo, pseudo
from tests.site.addresses import PAGES, addresses, make_what_is_shown

pytestmark = pytest.mark.django_db

HEADLINE = "Accession number,Patient ID,Family name,Date,Time,Modality\n"
LETTER = r"[^\W\d_]"
PROGRAMS = {"api:openapi-view"}
"""What is read by those who program: in English."""
TERMS = {"XLSX", "CSV", "xlsx", "csv", "ms", "esc", "Axes"}
"""Formats, a unit, a key of the keyboard, and a package."""
COLUMNS = [heading.name for heading in HEADINGS]
"""What the columns of a file are called is how it is read."""
ATTRIBUTE_NAMES = [dictionary_description(attribute.tag) for attribute in (*ATTRIBUTES, *STEP_ATTRIBUTES)]
SPEAKS_OF = {
    "admin:mwl_admin_requestedprocedure_import": COLUMNS,
    "admin:mwl_admin_requestedprocedure_export": COLUMNS,
    **dict.fromkeys(("step_delivery", "query_as_station", "query_explained"), ATTRIBUTE_NAMES),
}
NOT_OURS = (
    r"\w+-\w+ relationships?: .+",  # how Django calls a link of two records on the page that deletes one
    r": (pbkdf2_sha256|\S+\*+)",  # the start of a password's hash
    r"\([0-9A-F]{4},[0-9A-F]{4}\)",  # a tag
)


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the language in which each text stands in brackets."""
    demand("gettext")
    return tmp_path_factory.mktemp("language")


@pytest.fixture(scope="module")
def language_paths(language: Path) -> list[Path]:
    return pseudo.make(language)


@pytest.fixture
def department(
    settings: Any, language: Path, language_paths: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Client]:
    """An invented department whose site is in that language, seen by its administrator."""
    User.objects.create_superuser("anna", password="correct horse battery")
    Group.objects.get_or_create(name="Reception")
    demo.fill(timezone.localtime().replace(tzinfo=None))
    make_what_is_shown()
    monkeypatch.syspath_prepend(tmp_path)
    settings.FORMAT_MODULE_PATH = [pseudo.make_formats(tmp_path)]
    settings.LOCALE_PATHS = language_paths
    settings.LANGUAGE_CODE = pseudo.CODE
    settings.DATA_DIR = tmp_path
    formats.reset_format_cache()
    client = Client()
    client.force_login(User.objects.get(username="anna"))
    yield client
    formats.reset_format_cache()


def data() -> Iterator[str]:
    """Yield what stands in the database, and the terms that are the same in every language."""
    records: list[Any] = [
        model for model in apps.get_app_config("mwl_admin").get_models() if "istorical" not in model.__name__
    ]
    for model in [*records, User, Group, *apps.get_app_config("axes").get_models()]:
        for record in model._base_manager.all():
            for field in model._meta.concrete_fields:
                yield from strings(getattr(record, field.attname))
    for name in User.objects.values_list("username", flat=True):
        yield from (name.capitalize(), name[0].upper())
    yield from TERMS


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        # A name is also shown by its parts.
        yield from (value, *re.split(r"[\^=\n]", value))
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


@pytest.fixture
def untranslated(department: Client) -> Any:
    """Tells what of a page can't be translated."""

    def tell(page: str, *typed: str) -> list[str]:
        known = {text.strip() for text in (*data(), *typed) if re.search(LETTER, text)}
        longest_first = map(re.escape, sorted(known, key=len, reverse=True))
        whole = re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")
        lines = [line for line in pseudo.outside(page) if not any(re.fullmatch(form, line) for form in NOT_OURS)]
        return [line for line in lines if re.search(LETTER, whole.sub("", line))]

    return tell


@pytest.mark.parametrize("subject", PAGES)
def test_no_page_has_a_text_that_cannot_be_translated(department: Client, untranslated: Any, subject: str) -> None:
    told = []
    for name in PAGES[subject]:
        # Of the log of logins it is its package's to translate what the titles of the records are.
        if name in PROGRAMS or name.startswith("admin:axes_"):
            continue
        for address in addresses(name):
            response = department.get(address, follow=True)
            assert response.status_code == 200, address
            page = response.content.decode()
            told += [f"{name} {address}: {line}" for line in untranslated(page, *SPEAKS_OF.get(name, []))]
    assert not told, "\n".join(told)


def test_nothing_that_appears_on_a_page_is_without_a_translation(department: Client, untranslated: Any) -> None:
    step = ScheduledProcedureStep.objects.filter(status="SCHEDULED").earliest("pk")
    study, station = ReceivedStudy.objects.earliest("pk"), Station.objects.get(ae_title="CT1")
    tomorrow = timezone.localdate() + timedelta(days=1)
    asked: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("similar_patients", [], {"family_name": "Müller", "given_name": "Änne"}),
        ("free_slots", [], {"station": station.pk, "date": tomorrow.isoformat()}),
        ("free_slots", [], {"station": station.pk, "date": "2020-01-01"}),
        ("end_dialog", [step.pk, "CANCELLED"], {}),
        ("today", [], {"q": "nobody of this name"}),
        ("today", [], {"status": "DISCONTINUED"}),
    ]
    done: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("echo_station", [station.pk], {}),
        ("change_status", [step.pk, "ARRIVED"], {}),
        ("change_status", [step.pk, "undo"], {}),
        ("change_status", [step.pk, "undo"], {}),
        ("change_status", [step.pk, "CANCELLED"], {"reason": "a\\b"}),
        ("change_status", [step.pk, "nothing"], {}),
        ("settle_study", [study.pk, "seen"], {"announced": "before"}),
        ("settle_study", [study.pk, "seen"], {}),
        ("settle_study", [study.pk, "undo"], {}),
        ("settle_step", [step.pk, "seen"], {}),
    ]
    told = []
    for method, calls in ((department.get, asked), (department.post, done)):
        for name, arguments, values in calls:
            response = method(reverse(name, args=arguments), values)
            assert response.status_code == 200, name
            told += [f"{name}: {line}" for line in untranslated(response.content.decode())]
    assert not told, "\n".join(told)


@pytest.mark.parametrize(
    ("model", "actions"),
    [
        (
            "scheduledprocedurestep",
            ["arrived", "ready", "start", "complete", "undo", "undo", "discontinue", "cancel", "reschedule"],
        ),
        ("performedprocedurestep", ["take_back", "take_back"]),
        ("receivedstudy", ["settle", "reopen"]),
        ("apiclient", ["renew", "delete_selected"]),
    ],
)
def test_no_action_answers_without_a_translation(
    department: Client, untranslated: Any, model: str, actions: list[str]
) -> None:
    records = [record.pk for record in apps.get_model("mwl_admin", model)._default_manager.all()[:4]]
    told = []
    for action in actions:
        form = {"action": action, "_selected_action": records}
        address = reverse(f"admin:mwl_admin_{model}_changelist")
        response = department.post(f"{address}?day=all" if "step" in model else address, form, follow=True)
        assert response.status_code == 200
        told += [f"{action}: {line}" for line in untranslated(response.content.decode())]
    assert not told, "\n".join(told)


def test_no_form_refuses_or_takes_without_a_translation(department: Client, untranslated: Any) -> None:
    wrong = {
        "patient_id": "a\\b", "family_name": "x" * 65, "given_name": "a^b", "ideographic_name": "a=b",
        "phonetic_name": "a^b^c^d^e^f", "patient_size": "9", "patient_birth_date": "01/01/2999", "allergies": "x" * 65,
        "ae_title": "é", "modality": "c t!", "expected_addresses": "here", "omitted_when_empty": "Nothing",
        "days_back": "-1", "code_value": "1", "requests_per_minute": "0", "name": "\t",
    }  # fmt: skip
    told = []
    for model in ("patient", "station", "procedure", "protocolcode", "apiclient"):
        view = f"admin:mwl_admin_{model}_add"
        response = department.post(reverse(view), {**form_values(department.get(reverse(view))), **wrong})
        told += [f"{view}: {line}" for line in untranslated(response.content.decode())]
    good = {
        "new_patient_id": "P-9",
        "new_family_name": "Żak",
        f"{STEP}modality": "CT",
        f"{STEP}scheduled_time": "10:30",
    }
    for values in ({}, {**wrong, "study_instance_uid": "1..2", "referring_physician_name": "a=b=c=d"}, good):
        response = department.post(
            reverse(ADD_ENTRY), {**form_values(department.get(reverse(ADD_ENTRY))), **values}, follow=True
        )
        told += [f"entry: {line}" for line in untranslated(response.content.decode())]
    step = ScheduledProcedureStep.objects.filter(status="SCHEDULED").earliest("pk")
    for later in ({}, {"later": "5", "time": "10:30"}, {"date": "2026-01-01", f"version-{step.pk}": str(step.version)}):
        response = department.post(reverse("reschedule"), {"step": step.pk, **later}, follow=True)
        told += [f"reschedule: {line}" for line in untranslated(response.content.decode())]
    change = reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk])
    stale = form_values(department.get(change)) | {"seen_version": "0", "scheduled_procedure_step_description": "Other"}
    response = department.post(change, stale)
    told += [f"stale: {line}" for line in untranslated(response.content.decode(), "Other")]
    assert not told, "\n".join(told)


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADLINE}A-1,P-1,Doe,noon,never,<CT>\n,P-2,Roe,,,\nA-1,P-7,,,,\n",
        f"{HEADLINE}A-1,P-1,Doe,2026-05-04,10:30,CT\n",
        "Accession number,Shoe size\n1,2\n",
        "Accession number,Patient ID\n",
        "Patient ID\n1\n",
        "",
        "\0",
    ],
)
def test_no_import_is_refused_or_previewed_without_a_translation(
    department: Client, untranslated: Any, content: str
) -> None:
    address = reverse("admin:mwl_admin_requestedprocedure_import")
    form = {"import_file": SimpleUploadedFile("entries.csv", content.encode()), "format": "0", "resource": "0"}
    page = department.post(address, form).content.decode()
    cells = [*re.split(r"[,\n]", content), *COLUMNS]
    told = untranslated(page, *cells)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)"(?: value="([^"]*)")?', page))
    if "import_file_name" in hidden:
        del hidden["csrfmiddlewaretoken"]
        answer = department.post(reverse("admin:mwl_admin_requestedprocedure_process_import"), hidden, follow=True)
        told += untranslated(answer.content.decode(), *cells)
    assert not told, "\n".join(told)


def test_nobody_is_kept_out_without_a_translation(department: Client, untranslated: Any, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 2
    stranger, login, told = Client(), reverse("admin:login"), []
    for response in (
        stranger.get(login),
        *(stranger.post(login, {"username": "anna", "password": "wrong"}) for _ in range(3)),
    ):
        told += untranslated(response.content.decode())
    assert not told, "\n".join(told)


def test_what_the_scripts_say_comes_in_the_language_of_the_site(
    department: Client, language: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pseudo.make_scripts(language / "scripts")
    monkeypatch.setattr(apps.get_app_config("mwl_admin"), "path", str(language / "scripts"))
    texts = department.get(reverse("texts"))
    assert "⟦Close the menu⟧".encode("unicode_escape").decode() in texts.content.decode().replace("\\u0020", " ")
    today = department.get(reverse("today")).content.decode()
    assert today.index(reverse("texts")) < today.index("mwl_admin/site.js")
