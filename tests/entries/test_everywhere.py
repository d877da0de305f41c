"""An attribute that is kept in a column of its own can be entered, imported and merged: it is left out nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import User
from django.test import RequestFactory

from mwl_admin.entries.entry_attributes import COLUMNS, Column, Level
from mwl_admin.entries.tables.columns import BY_KEYWORD
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.patients import merging

pytestmark = pytest.mark.django_db

EVERY = pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)


@EVERY
def test_staff_can_enter_it(column: Column, admin_user: User, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = admin_user
    order = admin.site.get_model_admin(RequestedProcedure)
    pages: dict[Level, list[Any]] = {
        Level.PATIENT: [admin.site.get_model_admin(Patient)],
        Level.REQUESTED: [order],
        Level.STEP: [admin.site.get_model_admin(ScheduledProcedureStep), *order.get_inline_instances(request)],
    }
    for page in pages[column.level]:
        assert column.name in flatten_fieldsets(page.get_fieldsets(request)), page


@EVERY
def test_files_of_rows_have_a_column_for_it(column: Column) -> None:
    assert column.keyword in BY_KEYWORD


@pytest.mark.parametrize("name", [column.name for column in COLUMNS.values() if column.level is Level.PATIENT])
def test_who_merges_two_records_sees_in_what_they_differ(name: str) -> None:
    assert name in merging._SHOWN
