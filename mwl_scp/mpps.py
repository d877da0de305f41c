"""MPPS on the listener: N-CREATE, N-SET and N-GET of performed procedure steps (PS3.4 §F.7, §F.8), and their statuses.

No response says success before what it answers is committed: the operations of :mod:`mwl_admin.mpps.operations` return
when it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, close_old_connections

from dicom_encoding.statuses import NO_LONGER_UPDATABLE, Status
from dicom_encoding.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from dicom_listener.dimse import CommandField, MalformedCommand, name_of
from dicom_listener.service import Collected, Refused, Response
from gateway_settings.log import log_failure
from mwl_admin.models import PerformedProcedureStep
from mwl_admin.mpps import dataset, mpps_errors, operations
from mwl_admin.mpps.mpps_errors import MPPSError
from mwl_admin.worklist.query_errors import IdentifierError
from mwl_scp.pool import give_back

if TYPE_CHECKING:
    from dicom_listener.service import AcceptedAssociation, Request

logger = logging.getLogger(__name__)

PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
PERFORMED_STEP_RETRIEVE = "1.2.840.10008.3.1.2.3.4"
SOP_CLASSES = frozenset({PERFORMED_STEP, PERFORMED_STEP_RETRIEVE})
TRANSFER_SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)

_STATUSES: tuple[tuple[type[MPPSError], int], ...] = (
    # PS3.7 Annex C
    (mpps_errors.NotAllowedError, Status.NO_SUCH_ATTRIBUTE),
    (mpps_errors.InvalidValueError, Status.INVALID_ATTRIBUTE_VALUE),
    (mpps_errors.NoLongerUpdatableError, Status.PROCESSING_FAILURE),
    (mpps_errors.DuplicateInstanceError, Status.DUPLICATE_SOP_INSTANCE),
    (mpps_errors.NoSuchInstanceError, Status.NO_SUCH_SOP_INSTANCE),
    (mpps_errors.InvalidInstanceUIDError, Status.INVALID_SOP_INSTANCE),
    (mpps_errors.MissingAttributeError, Status.MISSING_ATTRIBUTE),
    (mpps_errors.MissingValueError, Status.MISSING_ATTRIBUTE_VALUE),
    (mpps_errors.NotAuthorizedError, Status.NOT_AUTHORIZED),
    (mpps_errors.TooLargeError, Status.RESOURCE_LIMITATION),
)

Answer = Callable[["AcceptedAssociation", "Request"], Response]


def _create(association: AcceptedAssociation, request: Request) -> Response:
    ds = dataset.read(request.data, request.context.transfer_syntax)
    uid = request.command.affected_sop_instance_uid
    performed = operations.create(ds, uid, calling_ae=association.calling_ae)
    _log("performed procedure step created", association, performed)
    return Response(Status.SUCCESS, elements={} if uid else {"AffectedSOPInstanceUID": performed.sop_instance_uid})


def _set(association: AcceptedAssociation, request: Request) -> Response:
    ds = dataset.read(request.data, request.context.transfer_syntax)
    uid = request.command.requested_sop_instance_uid
    performed = operations.modify(ds, uid, calling_ae=association.calling_ae)
    _log("performed procedure step set", association, performed)
    return Response(Status.SUCCESS)


def _get(association: AcceptedAssociation, request: Request) -> Response:
    command = request.command
    try:
        tags = command.attribute_identifier_list
    except MalformedCommand as error:
        raise Refused(Status.MISTYPED_ARGUMENT, str(error)) from error
    ds, unsupported = operations.retrieve(command.requested_sop_instance_uid, tags, calling_ae=association.calling_ae)
    logger.info("performed procedure step retrieved", extra={"fields": association.peer()})
    data = dataset.write(ds, request.context.transfer_syntax)
    if not unsupported:
        return Response(Status.SUCCESS, data)
    comment = "Requested optional Attributes are not supported"
    return Response(Status.ATTRIBUTES_NOT_SUPPORTED, data, comment, elements={"AttributeIdentifierList": unsupported})


def _answered(sop_class: str, answer: Answer, association: AcceptedAssociation, request: Request) -> Iterator[Response]:
    command = request.command
    named = command.affected_sop_class_uid or command.requested_sop_class_uid
    try:
        if request.context.abstract_syntax != sop_class:
            raise Refused(Status.UNRECOGNIZED_OPERATION, "Not an operation of this presentation context's SOP class")
        if named and named != sop_class:
            raise Refused(Status.NO_SUCH_SOP_CLASS, "The SOP class is not the presentation context's")
        close_old_connections()
        yield answer(association, request)
    except (MPPSError, IdentifierError, DatabaseError, InterfaceError) as error:
        refused = _refused(error)
        _log_refusal(error, refused.response, association, request)
        raise refused from error
    finally:
        give_back()


def _refused(error: Exception) -> Refused:
    if isinstance(error, IdentifierError):
        return Refused(Status.PROCESSING_FAILURE, error.comment, offending=error.offending)
    if not isinstance(error, MPPSError):
        return Refused(Status.RESOURCE_LIMITATION, "The worklist database cannot be reached")
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    error_id = NO_LONGER_UPDATABLE if isinstance(error, mpps_errors.NoLongerUpdatableError) else None
    refused = Refused(status, error.comment, error_id=error_id, offending=error.offending)
    if error.offending:
        # Offending Element is a C-service's; where an N-service names attributes it is here, so peers look in either.
        refused.response.elements = {"AttributeIdentifierList": error.offending}
    return refused


def _log(what: str, association: AcceptedAssociation, performed: PerformedProcedureStep) -> None:
    steps = performed.scheduled_procedure_steps.count()
    status = performed.performed_procedure_step_status
    logger.info(what, extra={"fields": association.peer(state=status, steps=steps)})


def _log_refusal(error: Exception, response: Response, association: AcceptedAssociation, request: Request) -> None:
    operation = name_of(request.command.field)
    fields = association.peer(operation=operation, status=f"{response.status:04X}", because=response.comment)
    if isinstance(error, DatabaseError | InterfaceError):
        log_failure(logger, "performed procedure step could not be kept", error, fields)
    else:
        logger.warning("performed procedure step refused", extra={"fields": fields})


OPERATIONS: dict[int, Collected] = {
    CommandField.N_CREATE_RQ: Collected(partial(_answered, PERFORMED_STEP, _create)),
    CommandField.N_SET_RQ: Collected(partial(_answered, PERFORMED_STEP, _set)),
    CommandField.N_GET_RQ: Collected(partial(_answered, PERFORMED_STEP_RETRIEVE, _get)),
}
