"""Who may open an association: one rule, one answer, one line in the log."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicom_listener.access import Caller, Reason, Rejected, rule_from
from dicom_listener.identity import HEALTH_AE_TITLE
from tests.clients.raw import association_request, item, maximum_length
from tests.dicom_listener.conftest import Listen
from tests.dicom_listener.listening import config_with

NETWORKS = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("settings", "caller", "reason"),
    [
        ({}, Caller("ANY", "WHATEVER", "203.0.113.9"), None),
        ({"require_called_ae": True}, Caller("ANY", "TOY", "203.0.113.9"), None),
        ({"require_called_ae": True}, Caller("ANY", "OTHER", "203.0.113.9"), Reason.CALLED_AE),
        ({"calling_ae_titles": frozenset({"CT1"})}, Caller("CT1", "TOY", "203.0.113.9"), None),
        ({"calling_ae_titles": frozenset({"CT1"})}, Caller("ct1", "TOY", "203.0.113.9"), Reason.CALLING_AE),
        ({"networks": NETWORKS}, Caller("ANY", "TOY", "10.1.2.3"), None),
        ({"networks": NETWORKS}, Caller("ANY", "TOY", "::ffff:10.1.2.3"), None),
        ({"networks": NETWORKS}, Caller("ANY", "TOY", "fd00::1%eth0"), None),
        ({"networks": NETWORKS}, Caller("ANY", "TOY", "10.2.0.1"), Reason.CALLING_AE),
        ({"networks": NETWORKS}, Caller("ANY", "TOY", "::1"), Reason.CALLING_AE),
        (
            {},
            Caller("ANY", "TOY", "10.1.2.3", identify=lambda: Rejected(Reason.NO_REASON, "no user identity")),
            Reason.NO_REASON,
        ),
    ],
)
def test_the_rule_follows_the_settings(
    tmp_path: Path, settings: dict[str, Any], caller: Caller, reason: Reason | None
) -> None:
    rejected = rule_from(config_with(tmp_path, **settings))(caller)
    assert (rejected.reason if rejected else None) is reason


def test_a_rule_that_raises_lets_nobody_in(listen: Listen, log_lines: Callable[[], list[str]]) -> None:
    def rule(caller: Caller) -> None:
        raise RuntimeError("no database")

    listener = listen(access=rule)
    with listener.peer() as peer:
        peer.send(association_request())
        assert peer.read_pdu().rejection == (1, 1, 1)
    listener.wait_until_at_rest()
    assert any("nobody is let in" in line for line in log_lines())
    assert not any("no database" in line for line in log_lines())


@pytest.mark.parametrize(
    ("settings", "rejection", "because"),
    [
        ({"calling_ae_titles": frozenset({"CT1"})}, (1, 1, 3), "calling AE title is not on the list"),
        ({"networks": NETWORKS}, (1, 1, 3), "address is in no allowed network"),
        ({"require_called_ae": True}, (1, 1, 7), "called AE title is not this one's"),
    ],
)
def test_a_rejection_is_one_line_with_who_and_why(
    listen: Listen,
    log_lines: Callable[[], list[str]],
    settings: dict[str, Any],
    rejection: tuple[int, int, int],
    because: str,
) -> None:
    listener = listen(**settings)
    with listener.peer() as peer:
        peer.send(association_request(called=b"ELSE"))
        assert peer.read_pdu().rejection == rejection
    listener.wait_until_at_rest()
    [line] = log_lines()
    assert because in line
    assert "calling=RAW" in line
    assert "called=ELSE" in line
    assert "address=127.0.0.1" in line


TOKEN = "Zm9vYmFyYmF6cXV4"


def asks(version: str, calling: str = HEALTH_AE_TITLE) -> bytes:
    """The request of a health check that knows this token."""
    items = (maximum_length(16384), item(0x52, b"1.2.3.4"), item(0x55, version.encode()))
    return association_request(calling=calling.encode(), user_items=items)


@pytest.mark.parametrize("settings", [{}, {"calling_ae_titles": frozenset({"CT1"})}])
def test_the_health_checks_own_associations_do_not_fill_the_log(
    listen: Listen, log_lines: Callable[[], list[str]], settings: dict[str, Any]
) -> None:
    listener = listen(health_token=TOKEN, **settings)
    with listener.peer() as peer:
        peer.send(asks(TOKEN))
        if peer.read_pdu().kind == 2:
            peer.release()
    listener.wait_until_at_rest()
    assert log_lines() == []


@pytest.mark.parametrize("token", [TOKEN, ""])
@pytest.mark.parametrize("version", ["", "GATEWAY_0_1", TOKEN[:-1], TOKEN + "x", TOKEN.lower(), "é"])
def test_whoever_only_takes_its_name_is_logged_as_anybody(
    listen: Listen, log_lines: Callable[[], list[str]], token: str, version: str
) -> None:
    listener = listen(health_token=token)
    with listener.associated(asks(version)) as peer:
        peer.release()
    listener.wait_until_at_rest()
    accepted, ended = log_lines()
    assert "association accepted" in accepted
    assert "association ended" in ended
    assert "calling=GATEWAY_HEALTH" in ended
