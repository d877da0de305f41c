"""What a station could not show of a step, told when it is saved and not when the patient stands in front of it."""

from collections.abc import Iterable, Iterator

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mwl_admin.models import ScheduledProcedureStep, Station
from mwl_admin.models.status import OPEN
from mwl_admin.worklist.charset import CharacterSet, split_terms
from mwl_admin.worklist.values import transliterated


def warnings(step: ScheduledProcedureStep) -> Iterator[str]:
    """Yield in plain words what will be missing, garbled or unseen at the stations that are to see the step."""
    entry, patient = step.requested_procedure, step.requested_procedure.patient
    if not (step.scheduled_procedure_step_description or step.protocol_codes.exists()):
        yield _("The step has neither a description nor a protocol code: modalities need one of them.")
    if not (entry.requested_procedure_description or entry.code_value):
        yield _("The requested procedure has neither a description nor a code: modalities need one of them.")
    assigned = list(step.stations.all())
    stations = assigned or list(Station.objects.filter(modality=step.modality, enabled=True))
    if not stations:
        yield _("No station for %(modality)s is known that could show this step.") % {"modality": step.modality}
    # The warning for a character that the station can't show, the text that has it, and whether the text is a name.
    texts = (
        (
            _("%(station)s can't show “%(lost)s” in the name: it will read “?” (its profile can change that)."),
            patient.patient_name,
            True,
        ),
        (
            _(
                "%(station)s can't show “%(lost)s” in the step's description: it will read “?” "
                "(its profile can change that)."
            ),
            step.scheduled_procedure_step_description,
            False,
        ),
        (
            _(
                "%(station)s can't show “%(lost)s” in the performing physician: it will read “?” "
                "(its profile can change that)."
            ),
            step.scheduled_performing_physician_name,
            True,
        ),
        (
            _(
                "%(station)s can't show “%(lost)s” in the referring physician: it will read “?” "
                "(its profile can change that)."
            ),
            entry.referring_physician_name,
            True,
        ),
    )
    for station in stations:
        yield from _at(station, step, texts, assigned=bool(assigned))


def _at(
    station: Station, step: ScheduledProcedureStep, texts: Iterable[tuple[str, str, bool]], *, assigned: bool
) -> Iterator[str]:
    title = station.ae_title
    if assigned and not station.enabled:
        yield _("%(station)s is switched off, and will not see this step.") % {"station": title}
    if assigned and station.modality != step.modality:
        yield _("%(station)s is for %(other)s, and this step is for %(modality)s.") % {
            "station": title,
            "other": station.modality,
            "modality": step.modality,
        }
    ahead = (step.scheduled_date - timezone.localdate()).days
    if step.status in OPEN and station.days_ahead is not None and ahead > station.days_ahead:
        text = ngettext(
            "%(station)s sees %(days)d day ahead, and will see this step only then.",
            "%(station)s sees %(days)d days ahead, and will see this step only then.",
            station.days_ahead,
        )
        yield text % {"station": title, "days": station.days_ahead}
    charset = CharacterSet(split_terms(station.response_character_set))
    for warning, text, is_name in texts:
        shown = transliterated(text) if is_name and station.transliterate_names else text
        lost = "".join(sorted(charset.loses(shown)))
        if lost:
            yield warning % {"station": title, "lost": lost}


def warn(request: HttpRequest, step: ScheduledProcedureStep) -> None:
    """Tell the person who saved a step what a station could not show of it."""
    for text in dict.fromkeys(warnings(step)):
        messages.warning(request, text)
