"""Bodies are refused by who sends them, before anything takes them apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import UploadedFile
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client

from mwl_admin.models import APIClient
from mwl_admin.web.bodies import longest_for
from mwl_admin.web.http_limits import API_BODY_BYTES, STRANGERS_BODY_BYTES
from tests.site.conftest import Login, desk, login, roles

__all__ = ["desk", "login", "roles"]

pytestmark = pytest.mark.django_db

IMPORT = "/admin/mwl_admin/requestedprocedure/import/"
MULTIPART = "multipart/form-data; boundary=x"
FORM = "application/x-www-form-urlencoded"
PAGES = ("/", "/admin/login/", "/today/", IMPORT, "/admin/mwl_admin/patient/add/", "/nowhere/", "/health")


class Untouched(io.RawIOBase):
    """A body that nobody may read."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


def send(client: Client, path: str, kind: str, length: int) -> int:
    environ: dict[str, Any] = {"wsgi.input": Untouched(), "CONTENT_LENGTH": str(length), "CONTENT_TYPE": kind}
    # with the cookie of its protection a form is read, to compare the two
    client.handler.enforce_csrf_checks = True
    client.cookies["csrftoken"] = "x" * 32
    return client.generic("POST", path, **environ).status_code


def test_files_of_strangers_are_kept_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UploadedFile, "__init__", lambda *_, **__: pytest.fail("a file was kept"))
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "x" * 32
    for path in PAGES:
        answer = client.post(path, {"username": "x", "file": io.BytesIO(b"y" * 1000)})
        assert not answer.wsgi_request.FILES


@pytest.mark.parametrize("kind", [FORM, MULTIPART, "application/json"])
@pytest.mark.parametrize("path", [*PAGES, "/api/worklist/", "/api/notices/study-complete", "/dicom-web/"])
def test_more_than_a_stranger_may_send_is_refused_unread(path: str, kind: str) -> None:
    assert send(Client(), path, kind, STRANGERS_BODY_BYTES + 1) == 413


def test_staff_send_long_forms_and_only_who_may_import_sends_files(login: Login) -> None:
    desk, nobody = login("Reception"), login("")
    assert send(nobody, IMPORT, MULTIPART, API_BODY_BYTES + 1) == 413
    assert send(desk, "/admin/mwl_admin/patient/add/", MULTIPART, API_BODY_BYTES + 1) == 413
    assert send(desk, IMPORT, MULTIPART, 100 * API_BODY_BYTES) == 413
    with pytest.raises(AssertionError, match="the body was read"):
        send(desk, IMPORT, MULTIPART, 15 * API_BODY_BYTES)


def test_a_token_that_is_known_may_send_long_entries_and_an_invented_one_may_not() -> None:
    _, token = APIClient.create(name="RIS", can_write=True)
    allowed = {known: longest_for(environ(HTTP_AUTHORIZATION=f"Bearer {known}")) for known in (token, "gw_x")}
    assert allowed == {token: API_BODY_BYTES, "gw_x": STRANGERS_BODY_BYTES}


def test_who_may_send_much_is_found_out_from_the_head_of_the_request(login: Callable[[str], Client]) -> None:
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in login("Reception").cookies.items())
    allowed = longest_for(environ(HTTP_COOKIE=cookie, path=IMPORT))
    assert allowed > 20 * API_BODY_BYTES
    assert longest_for(environ(HTTP_COOKIE="sessionid=invented", path=IMPORT)) == STRANGERS_BODY_BYTES
    assert longest_for(environ(HTTP_COOKIE=cookie, path="/nowhere/")) == STRANGERS_BODY_BYTES


def environ(path: str = "/api/worklist/", **headers: str) -> dict[str, object]:
    request: WSGIRequest = Client().post(path).wsgi_request
    return {**request.environ, "PATH_INFO": path, "wsgi.input": Untouched(), **headers}
