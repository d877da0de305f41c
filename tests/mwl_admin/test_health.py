"""The site's own health, for machines."""

import pytest
from django.db import connection
from django.test import Client


@pytest.mark.django_db
def test_it_is_well_when_the_worklist_can_be_read(client: Client) -> None:
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok"}
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_it_is_not_well_when_the_database_fails(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE mwl_admin_sequence RENAME TO elsewhere")
    try:
        response = client.get("/health")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO mwl_admin_sequence")
    assert response.status_code == 503
    assert response.json() == {"status": "error", "database": "unavailable"}


@pytest.mark.django_db
def test_it_takes_no_post(client: Client) -> None:
    assert client.post("/health").status_code == 405
