"""The reverse proxy: HTTPS for everybody, real addresses for the site, and bounds for those who are slow."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import trustme

from tests.clients import tls
from tests.clients.compose import Project
from tests.components import requires
from tests.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900), requires("docker", "dcmtk", "openssl")]

LOGIN = "/admin/login/"

# Logs in wrongly, through the proxy, with addresses that are lies; prints the address that this client has.
SPOOF = """
import http.cookiejar, re, socket, ssl, urllib.parse, urllib.request
jar = http.cookiejar.CookieJar()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
handlers = [urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(jar)]
opener = urllib.request.build_opener(*handlers)
url = "{url}/admin/login/"
lies = {{"Host": "localhost", "Referer": url.replace("{host}", "localhost"), "X-Forwarded-For": "203.0.113.9",
        "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9", "X-Forwarded-Proto": "https"}}
opener.addheaders = list(lies.items())
page = opener.open(urllib.request.Request(url, headers=lies)).read().decode()
token = re.search('csrfmiddlewaretoken" value="([^"]+)', page)[1]
cookies = "; ".join(f"{{cookie.name}}={{cookie.value}}" for cookie in jar)
form = urllib.parse.urlencode({{"username": "{user}", "password": "wrong", "csrfmiddlewaretoken": token}}).encode()
opener.open(urllib.request.Request(url, form, headers={{**lies, "Cookie": cookies}})).read()
print(socket.gethostbyname(socket.gethostname()))
"""

# Opens connections that never finish what they begin, each in its way; says when, and holds them until it is ended.
SLOW = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
post = b"POST /admin/login/ HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: "
begun = {{
    "handshake": None,
    "head": b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nX-",
    "small body": post + b"900\\r\\n\\r\\nuser",
    "large body": post + b"60000\\r\\n\\r\\n" + b"a" * 20000,
}}["{kind}"]
held = []
for _ in range(200):
    try:
        connection = socket.create_connection(("proxy", 8443), timeout=10)
        if begun is not None:
            connection = context.wrap_socket(connection)
            connection.sendall(begun)
        held.append(connection)
    except OSError:
        continue
print("holding", len(held), flush=True)
sys.stdin.read()
"""


def get(project: Project, path: str, **options: object) -> requests.Response:
    return requests.get(f"{project.web_url}{path}", timeout=20, verify=str(project.certificate), **options)  # type: ignore[arg-type]


def logged(project: Project, user: str) -> list[str]:
    """Return the addresses from which somebody failed to log in as ``user``."""
    code = f"""from axes.models import AccessAttempt
print(*AccessAttempt.objects.filter(username={user!r}).values_list("ip_address", flat=True))"""
    return project.execute("mwl_admin", "python", "manage.py", "shell", "--no-imports", "-c", code).split()


def test_plain_http_is_sent_to_https_with_its_path(project: Project) -> None:
    for host in ("localhost", "127.0.0.1", "worklist.example"):
        answer = requests.get(
            f"http://localhost:{project.http_port}/today/?day=1",
            headers={"Host": host},
            allow_redirects=False,
            timeout=20,
        )
        assert answer.status_code == 308
        assert answer.headers["Location"] == f"https://{host}:{project.https_port}/today/?day=1"
    strange = requests.get(f"http://localhost:{project.http_port}/", headers={"Host": "a\"'<b>"}, timeout=20)
    assert strange.status_code == 400


def test_a_login_by_https_works_without_any_setting_and_its_cookies_travel_encrypted_only(project: Project) -> None:
    project.site()
    answer = get(project, LOGIN)
    assert answer.cookies
    assert all(cookie.secure for cookie in answer.cookies)
    assert "Server" not in answer.headers


def test_inside_nobody_is_redirected(project: Project) -> None:
    ask = "from urllib.request import urlopen; print(urlopen('http://site:8000/health', timeout=10).url)"
    assert project.execute("pacs_receiver", "python", "-c", ask).strip() == "http://site:8000/health"


@pytest.mark.parametrize("way", ["through the proxy", "around it"])
def test_the_login_record_has_the_clients_own_address_whatever_it_says(project: Project, way: str) -> None:
    network, url = ("edge", "https://proxy:8443") if way == "through the proxy" else ("front", "http://site:8000")
    user = f"nobody-{network}"
    host = url.partition("//")[2]
    own = project.elsewhere(network, SPOOF.format(url=url, host=host, user=user)).strip()
    assert logged(project, user) == [own]


@contextmanager
def slow_clients(project: Project, kind: str) -> Iterator[None]:
    """Hold connections from one address, in a container, that begin something and don't go on."""
    command = ["docker", "run", "--rm", "--interactive", "--network", f"{project.name}_edge", project.image]
    with subprocess.Popen(
        [*command, "python", "-c", SLOW.format(kind=kind)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        try:
            assert clients.stdout.readline().startswith("holding")
            yield
        finally:
            clients.stdin.close()


@pytest.mark.parametrize("kind", ["handshake", "head", "small body", "large body"])
def test_200_slow_clients_of_one_address_keep_nobody_else_waiting(project: Project, kind: str) -> None:
    with slow_clients(project, kind):
        for path in ("/health", LOGIN):
            begun = time.monotonic()
            assert get(project, path).status_code == 200
            assert time.monotonic() - begun < 1, path


def test_one_address_has_a_bounded_number_of_connections(project: Project) -> None:
    with slow_clients(project, "head"):
        held = project.execute("proxy", "bash", "-c", "grep -c ':20FB .* 01 ' /proc/net/tcp || true")
        assert 50 < int(held) <= 101


def test_the_proxy_serves_worklist_searches_and_no_images_yet(project: Project) -> None:
    searched = get(project, "/dicom-web/modality-scheduled-procedure-steps")
    assert searched.status_code == 401
    images = get(project, "/dicom-web/studies")
    assert (images.status_code, images.text) == (404, "No images are served here yet.")


def test_a_site_that_is_away_is_told_in_plain_words(project: Project) -> None:
    project.compose("stop", "mwl_admin")
    try:
        answer = get(project, "/today/")
        assert answer.status_code == 503
        assert "The worklist is not there right now" in answer.text
    finally:
        project.compose("start", "mwl_admin")
        wait_until(lambda: get(project, "/health").status_code == 200, timeout=90)


def test_the_proxys_log_tells_no_path(project: Project) -> None:
    get(project, "/api/entries/SECRET-4711?patient=SECRET-4712")
    log = wait_until(lambda: "GET api 40" in (text := project.compose("logs", "proxy")) and text, timeout=20)
    assert "SECRET" not in str(log)


def test_old_versions_and_weak_ciphers_are_refused(project: Project) -> None:
    offer = tls.scan(project.https_port)
    assert tls.weak(offer) == set()
    assert {"TLS 1.2", "TLS 1.3"} <= offer.versions
    assert offer.ciphers


def test_a_departments_certificate_is_served_and_binds_browsers_to_https(project: Project, tmp_path: Path) -> None:
    assert "Strict-Transport-Security" not in get(project, "/health").headers
    authority = trustme.CA()
    issued = authority.issue_cert("worklist.example", "localhost")
    certificate, key, trusted = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    key.chmod(0o644)  # the job's user must read it
    certificate.chmod(0o644)
    authority.cert_pem.write_to_path(trusted)

    def strict(host: str) -> str | None:
        answer = requests.get(
            f"{project.web_url}/health", headers={"Host": host}, verify=str(trusted), timeout=20
        )  # fmt: skip
        assert answer.status_code == 200
        return answer.headers.get("Strict-Transport-Security")

    own = project.certificate.read_text()
    try:
        project.up(HTTPS_CERTIFICATE_PATH=str(certificate), HTTPS_PRIVATE_KEY_PATH=str(key))
        project.compose("restart", "proxy")
        wait_until(lambda: project.is_healthy("proxy"), timeout=60)
        assert strict("worklist.example") == "max-age=31536000"
        assert strict("localhost") is None
    finally:
        project.up()
        project.compose("restart", "proxy")
        wait_until(lambda: project.is_healthy("proxy"), timeout=60)
        project.certificate.write_text(own)
