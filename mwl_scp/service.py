"""The worklist provider as the listener runs it: what is answered, in which transfer syntaxes, and by what."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from django.db import connections

from dicom_encoding.syntaxes import SYNTAXES
from dicom_listener.access import rule_from
from dicom_listener.dimse import CommandField
from dicom_listener.service import AcceptedAssociation, Collected, Service
from mwl_scp import handlers, mpps
from mwl_scp.access import both, known_devices
from mwl_scp.call_writer import CallWriter
from mwl_scp.config import Config
from mwl_scp.pool import pooled
from mwl_scp.recording import QueryRecord, Recorder
from mwl_scp.reminding import reminding

VERIFICATION = "1.2.840.10008.1.1"
MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"


@contextlib.contextmanager
def build(config: Config) -> Iterator[Service]:
    """Give the service of one worker process, for as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(pooled())
        # It runs in any case: it also deletes what is old.
        recorder = stack.enter_context(Recorder(config.retention_days, limits=config.record_limits).running())
        record: Callable[[QueryRecord], None] = recorder.record if config.record_queries else _forget
        callers = stack.enter_context(CallWriter().running())
        stack.enter_context(reminding(config.policy))
        known = known_devices(config.policy)
        yield Service(
            transfer_syntaxes=transfer_syntaxes,
            operations={
                CommandField.C_FIND_RQ: Collected(partial(handlers.find, config.policy, record), walked=False),
                **mpps.OPERATIONS,
            },
            access=callers.watched(both(rule_from(config.listener), known)),
            echoed=callers.echoed,
            association_ended=_association_ended,
        )


def transfer_syntaxes(abstract_syntax: str, proposed: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the acceptable transfer syntaxes for an abstract syntax, best first; None when it is not supported."""
    if abstract_syntax in mpps.SOP_CLASSES:
        return tuple(uid for uid in mpps.TRANSFER_SYNTAXES if uid in proposed)
    if abstract_syntax not in {VERIFICATION, MODALITY_WORKLIST_FIND}:
        return None
    return tuple(uid for uid in SYNTAXES if uid in proposed)


def _association_ended(_association: AcceptedAssociation) -> None:
    # Each association has a thread of its own, and Django keeps a connection for each thread.
    connections.close_all()


def _forget(_record: QueryRecord) -> None:
    return
