"""Association negotiation (PS3.8 §7.1, PS3.7 Annex D): a proposal in, an A-ASSOCIATE-AC out.

pynetdicom's ``negotiate_as_acceptor`` decides on each presentation context, and its PDU classes encode the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_items import (
    ApplicationContextItem,
    AsynchronousOperationsWindowSubItem,
    PresentationContextItemAC,
    UserIdentitySubItemAC,
    UserInformationItem,
)
from pynetdicom.pdu_primitives import (
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SOPClassExtendedNegotiation,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from dicom_listener.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_listener.proposal import APPLICATION_CONTEXT, IMPOSSIBLE_UID
from dicom_listener.service import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_listener.proposal import Proposal
    from dicom_listener.service import Service


@dataclass(slots=True)
class Agreement:
    """The result of a negotiation: accepted contexts by ID, and the encoded A-ASSOCIATE-AC."""

    contexts: dict[int, Context]
    pdu: bytes


@lru_cache(maxsize=4096)
def _supported(abstract_syntax: str, transfer_syntaxes: tuple[str, ...], scu_role: bool) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = abstract_syntax
    context.transfer_syntax = list(transfer_syntaxes)
    if scu_role:
        context.scu_role = True
        context.scp_role = True
    return context


def agree(proposal: Proposal, raw_request: bytes, service: Service, max_pdu_length: int) -> Agreement:
    """Decide on each presentation context and encode the A-ASSOCIATE-AC.

    ``raw_request`` is the request's body: the AC repeats its AE titles and reserved fields as they came (PS3.8 §9.3.3).
    """
    results: list[PresentationContext] = []
    roles: dict[str, Any] = {}
    for proposed in proposal.contexts:
        abstract_syntax = str(proposed.abstract_syntax)
        syntaxes = _acceptable(service, abstract_syntax, tuple(str(uid) for uid in proposed.transfer_syntax))
        supported = []
        if syntaxes is not None:
            # none is acceptable: a syntax that no peer proposes makes pynetdicom answer "not supported" (result 4)
            supported = [_supported(abstract_syntax, syntaxes or ("2.25.0",), abstract_syntax in service.scu_roles)]
        result, replies = negotiate_as_acceptor([proposed], supported, proposal.roles)  # type: ignore[arg-type]
        results.extend(result)
        roles.update((str(reply.sop_class_uid), reply) for reply in replies)
    pdu = A_ASSOCIATE_AC()
    application_context = ApplicationContextItem()
    application_context.application_context_name = APPLICATION_CONTEXT
    pdu.variable_items.append(application_context)
    for result_context in results:
        item = PresentationContextItemAC()
        item.from_primitive(result_context)
        pdu.variable_items.append(item)
    information = UserInformationItem()
    information.from_primitive([*_own_items(max_pdu_length), *roles.values(), *_replies(proposal, service)])
    if proposal.asynchronous_operations:
        information.user_data.append(_one_operation_at_a_time())
    if proposal.identity_answered:
        information.user_data.append(_identity_confirmed())
    pdu.variable_items.append(information)
    encoded = bytearray(pdu.encode())
    encoded[10:74] = raw_request[4:68]
    return Agreement({context.context_id: context for context in map(_context, results) if context}, bytes(encoded))


def _acceptable(service: Service, abstract_syntax: str, proposed: tuple[str, ...]) -> tuple[str, ...] | None:
    impossible = IMPOSSIBLE_UID.decode()
    if abstract_syntax == impossible:
        return None
    return service.transfer_syntaxes(abstract_syntax, tuple(uid for uid in proposed if uid != impossible))


def _context(result: PresentationContext) -> Context | None:
    if result.result != 0 or result.context_id is None:
        return None
    return Context(result.context_id, str(result.abstract_syntax), str(result.transfer_syntax[0]))


@lru_cache(maxsize=8)
def _own_items(max_pdu_length: int) -> tuple[Any, ...]:
    maximum = MaximumLengthNotification()
    maximum.maximum_length_received = max_pdu_length
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return maximum, implementation, version


def _replies(proposal: Proposal, service: Service) -> Iterator[SOPClassExtendedNegotiation]:
    for sop_class, information in proposal.extended.items():
        answer = service.extended_negotiation(sop_class, information) if service.extended_negotiation else None
        if answer is None:
            continue
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = sop_class
        item.service_class_application_information = answer
        yield item


def _one_operation_at_a_time() -> AsynchronousOperationsWindowSubItem:
    item = AsynchronousOperationsWindowSubItem()
    item.maximum_number_operations_invoked = 1
    item.maximum_number_operations_performed = 1
    return item


def _identity_confirmed() -> UserIdentitySubItemAC:
    item = UserIdentitySubItemAC()
    item.server_response = b""
    return item
