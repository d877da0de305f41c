"""Making an order and its steps: what a new one gets that nobody gave, whichever way the entry comes in.

The form, the web API, files of rows and the synthetic day make entries by this one rule. Identifiers and the first
status are the models' own (`generated_fields`, `StepStatus.SCHEDULED`). Worklist files of other systems
(`mwl_admin.wlfiles`) say all that there is: they take no part in filling, and save by the same function.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from mwl_admin.models import Procedure, ProtocolCode, RequestedProcedure, ScheduledProcedureStep, Station


def usual_description(procedure: Procedure) -> str:
    """Return how an order of this procedure is described: as the catalogue does, or by the procedure's name."""
    return str(procedure.description or procedure.name)


def fill_order(order: RequestedProcedure) -> None:
    """Take from the procedure that was picked the description and the code that an order leaves empty."""
    procedure = order.procedure
    if procedure is None:
        return
    if not order.requested_procedure_description:
        order.requested_procedure_description = usual_description(procedure)
    if not order.code_value:
        order.code_value = procedure.code_value
        order.coding_scheme_designator = procedure.coding_scheme_designator
        order.coding_scheme_version = procedure.coding_scheme_version
        order.code_meaning = procedure.code_meaning


def usual_modality(procedure: Procedure | None, stations: Iterable[Station]) -> str:
    """Return the modality of the first station, or else of the procedure; empty when there is neither."""
    return next((str(station.modality) for station in stations), str(procedure.modality) if procedure else "")


def usual_station(order: RequestedProcedure, modality: str) -> Station | None:
    """Return the station on which the order's procedure is usually done, where it is of the step's modality."""
    station = order.procedure.usual_station if order.procedure else None
    return station if station is not None and station.modality == modality else None


def usual_protocols(order: RequestedProcedure) -> QuerySet[ProtocolCode]:
    """Return the protocol codes of the order's procedure."""
    return order.procedure.protocol_codes.all() if order.procedure else ProtocolCode.objects.none()


def fill_step(step: ScheduledProcedureStep, stations: Iterable[Station] = ()) -> None:
    """Give a new step the modality and the description that it leaves empty, before it is checked and saved."""
    if not step.modality:
        step.modality = usual_modality(step.requested_procedure.procedure, stations)
    if not step.scheduled_procedure_step_description:
        step.scheduled_procedure_step_description = step.requested_procedure.requested_procedure_description


def equip_step(step: ScheduledProcedureStep) -> None:
    """Give a new step that is saved without stations, or without protocol codes, those that are usual."""
    order = step.requested_procedure
    if order.procedure is None:
        return
    station = usual_station(order, step.modality)
    if station is not None and not step.stations.exists():
        step.stations.add(station)
    if not step.protocol_codes.exists():
        step.protocol_codes.set(usual_protocols(order))


def save_step(
    step: ScheduledProcedureStep, stations: Iterable[Station] = (), protocol_codes: Iterable[ProtocolCode] = ()
) -> None:
    """Save a new step with its stations and protocol codes; what is not given is usual."""
    step.save()
    if stations := list(stations):
        step.stations.set(stations)
    if protocol_codes := list(protocol_codes):
        step.protocol_codes.set(protocol_codes)
    equip_step(step)
