"""Studies that are complete: marked when no instance has come for a while, and announced by a signed HTTP POST.

Announcements wait in a table of the index until the other side has taken them: at least once, each with an ID by which
repeats can be dropped. docs/notifications.md tells the receiving side what it gets.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Collection, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from pacs_receiver import aside, image_patients, jobs, queries
from pacs_receiver.database import reading
from pacs_receiver.due import mend_arrivals
from pacs_receiver.index_tables import announcement, instance, patient, series, study
from pacs_receiver.site_link import NoRedirect

logger = logging.getLogger(__name__)

_TIMEOUT = 10.0
_CLAIM_SECONDS = 60.0
_KEEP_DELIVERED_SECONDS = 90 * 86400.0


def mark_complete(engine: Engine, *, stable_seconds: float, announce: bool, root: Path | None = None) -> int:
    """Mark the studies that have been stable for ``stable_seconds`` and queue their announcements; return how many.

    ``root`` is the storage, below which newer bytes may lie aside. A study that grows again later, or of which newer
    bytes were laid aside or settled, is marked and announced again, with its new counts and a new ID.
    """
    marked = 0
    mend_arrivals(engine, time.time())
    query = (
        select(study.c.id, study.c.last_arrival)
        .where(
            study.c.completed_at.is_(None),
            study.c.last_arrival < time.time() - stable_seconds,
            study.c.instance_count > 0,
        )
        .order_by(study.c.last_arrival)
        .limit(100)
    )
    with reading(engine) as connection:
        found = connection.execute(query).all()
    waiting = [of.sop_instance_uid for of in aside.newer(root)] if root is not None and found else []
    for row in found:
        with engine.begin() as connection:
            now = time.time()
            taken = connection.execute(
                update(study)
                .where(study.c.id == row.id, study.c.completed_at.is_(None), study.c.last_arrival == row.last_arrival)
                .values(completed_at=now)
            )
            if taken.rowcount != 1:
                continue
            marked += 1
            if announce:
                body = _body(connection, row.id, now, waiting)
                connection.execute(
                    announcement.insert().values(
                        event_id=body["id"],
                        study_uid=body["study"]["uid"],
                        body=json.dumps(body, ensure_ascii=False),
                        created_at=now,
                        next_attempt=now,
                    )
                )
    return marked


def _body(connection: Connection, study_id: int, now: float, waiting: Collection[str]) -> dict[str, Any]:
    row = connection.execute(select(study).where(study.c.id == study_id)).one()
    of_series = connection.execute(
        select(series.c.modality).where(series.c.study == study_id, series.c.instance_count > 0).distinct()
    ).scalars()
    senders = connection.execute(
        select(instance.c.calling_ae, instance.c.address)
        .join(series, instance.c.series == series.c.id)
        .where(series.c.study == study_id)
        .distinct()
    ).all()
    return {
        "id": str(uuid.uuid4()),
        "event": "study.complete",
        "at": _iso(now),
        "study": {
            "uid": row.study_uid,
            "date": row.study_date,
            "time": row.study_time,
            "id": row.study_id,
            "description": row.description,
            "accession_number": row.accession_number,
            "modalities": sorted(filter(None, of_series)),
            "series": row.series_count,
            "instances": row.instance_count,
            "bytes": row.file_bytes,
            "set_aside": queries.count_of(connection, study_id, waiting),
            "odd_instances": queries.odd_count(connection, study_id),
            "first_arrival": _iso(row.first_arrival),
            "last_arrival": _iso(row.last_arrival),
        },
        "patient": _patient(connection, row.patient),
        # whom the stored images name, where the patient has become another since
        **({} if row.original_patient is None else {"original_patient": _patient(connection, row.original_patient)}),
        "other_patients": image_patients.others(connection, study_id, row.patient) if row.mixed_up else [],
        "senders": [{"ae_title": sender.calling_ae, "address": sender.address} for sender in sorted(senders)],
    }


def _patient(connection: Connection, patient_row: int) -> dict[str, str]:
    row = connection.execute(select(patient).where(patient.c.id == patient_row)).one()
    return {
        "id": row.patient_id,
        "issuer": row.issuer,
        "name": row.name,
        "birth_date": row.birth_date,
        "sex": row.sex,
    }


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + "Z"


def deliver_due(engine: Engine, *, url: str, secret: str) -> int:
    """Send the announcements that are due; return how many were taken by the other side."""
    delivered = 0
    for row_id in jobs.due(engine, announcement, time.time(), longest_claim=_CLAIM_SECONDS):
        if jobs.claim(engine, announcement, row_id, time.time(), _CLAIM_SECONDS, longest_claim=_CLAIM_SECONDS):
            delivered += _deliver(engine, row_id, url, secret)
    return delivered


def _deliver(engine: Engine, row_id: int, url: str, secret: str) -> bool:
    with reading(engine) as connection:
        row = connection.execute(select(announcement).where(announcement.c.id == row_id)).one()
    problem = post(url, row.body.encode(), event_id=row.event_id, secret=secret)
    if problem:
        fields = {"attempt": row.attempts + 1, "because": problem}
        logger.warning("a study could not be announced", extra={"fields": fields})
        jobs.try_again(engine, announcement, row_id, time.time(), row.attempts)
        return False
    with engine.begin() as connection:
        connection.execute(
            update(announcement)
            .where(announcement.c.id == row_id)
            .values(next_attempt=None, claimed_until=0, delivered_at=time.time(), attempts=row.attempts + 1)
        )
    return True


def post(url: str, body: bytes, *, event_id: str, secret: str) -> str:
    """POST ``body``; return what went wrong, empty when the answer was 2xx."""
    request = urllib.request.Request(  # noqa: S310 - the configuration admits http and https only
        url, data=body, headers=headers(body, event_id=event_id, secret=secret, timestamp=int(time.time()))
    )
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request, timeout=_TIMEOUT):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"the answer was {error.code}"
    except (OSError, HTTPException) as error:
        return type(getattr(error, "reason", error)).__name__


def headers(body: bytes, *, event_id: str, secret: str, timestamp: int) -> Mapping[str, str]:
    """The headers of an announcement; signed with HMAC SHA-256 over timestamp, a dot, and the body."""
    found = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "gateway-pacs-receiver",
        "X-Gateway-Event-Id": event_id,
        "X-Gateway-Timestamp": str(timestamp),
    }
    if secret:
        signed = f"{timestamp}.".encode() + body
        found["X-Gateway-Signature"] = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return found


def forget_delivered(engine: Engine) -> None:
    """Drop announcements that were taken long ago."""
    with engine.begin() as connection:
        connection.execute(
            announcement.delete().where(announcement.c.delivered_at < time.time() - _KEEP_DELIVERED_SECONDS)
        )
