"""Entries as a hospital's system sends them; all of them are invented."""

from __future__ import annotations

from typing import Any

WORKLIST = "/api/worklist/"
ENTRY = "/api/worklist/A-5001"
STEPS = "ScheduledProcedureStepSequence"


def step(**values: Any) -> dict[str, Any]:
    return {
        "Modality": "CT",
        "ScheduledProcedureStepStartDate": "20260504",
        "ScheduledProcedureStepStartTime": "1030",
        **values,
    }


def entry(*steps: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "AccessionNumber": "A-5001",
        "PatientID": "P-1001",
        "PatientName": "Müller^Änne",
        "PatientBirthDate": "19500701",
        "PatientSex": "F",
        "RequestedProcedureDescription": "CT thorax",
        STEPS: list(steps) or [step()],
        **values,
    }


def problems(response: Any) -> dict[str, str]:
    """Return what a refusal names: attributes and codes."""
    assert response["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert body["status"] == response.status_code
    return {problem["attribute"]: problem["code"] for problem in body["problems"]}
