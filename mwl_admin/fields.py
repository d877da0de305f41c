"""Model fields typed by VR, so that a DICOM rule is stated once and not at each column.

Values are normalised on their way in: Unicode NFC, and spaces that DICOM holds to be without meaning (leading and
trailing ones, PS3.5 §6.2) are dropped. A value that its VR can't carry is refused by whatever writes a row:
``full_clean()``, ``save()``, ``bulk_create()`` and ``update()``, each by a ``ValidationError``.
"""

import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from pydicom.datadict import tag_for_keyword

from mwl_admin import validators


def normalise(value: str) -> str:
    """The form in which text is stored and compared: NFC, without insignificant spaces."""
    return value.strip(" ") if value.isascii() else unicodedata.normalize("NFC", value).strip(" ")


def _refuse_illegal(field: "_LineField | _LinesField", value: Any) -> None:
    """The last gate, which no way of saving goes around: forms have told the user long before."""
    if not isinstance(value, str):
        return
    try:
        type(field).check_value(value)
    except ValidationError as error:
        raise ValidationError({field.name: error}) from error


class _LineField(models.CharField):  # type: ignore[type-arg]
    """A single-line value of one VR; subclasses say which."""

    vr = ""
    limit = 0
    check_value: validators.Validator

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", self.limit)
        super().__init__(*args, **kwargs)
        # check_value tells about the length too: Django's own validator would say it a second time.
        self.validators[:] = [type(self).check_value, *self._validators]  # type: ignore[attr-defined]

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        if kwargs.get("max_length") == self.limit:
            del kwargs["max_length"]
        return name, path, args, kwargs

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return normalise(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return normalise(value) if isinstance(value, str) else value

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        _refuse_illegal(self, value)
        return super().get_db_prep_save(value, connection)


class LongStringField(_LineField):
    """LO."""

    vr = "LO"
    limit = validators.LO_LENGTH
    check_value = staticmethod(validators.validate_long_string)


class ShortStringField(_LineField):
    """SH."""

    vr = "SH"
    limit = validators.SH_LENGTH
    check_value = staticmethod(validators.validate_short_string)


class CodeStringField(_LineField):
    """CS; small letters are taken as capitals."""

    vr = "CS"
    limit = validators.CS_LENGTH
    check_value = staticmethod(validators.validate_code_string)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return value.upper() if isinstance(value, str) else value


class AETitleField(_LineField):
    """AE."""

    vr = "AE"
    limit = validators.AE_LENGTH
    check_value = staticmethod(validators.validate_ae_title)


class UIDField(_LineField):
    """UI."""

    vr = "UI"
    limit = validators.UI_LENGTH
    check_value = staticmethod(validators.validate_uid)


class DeviceUIDField(UIDField):
    """UI as devices make it: a component may have leading zeros."""

    check_value = staticmethod(validators.validate_uid_of_device)


class NameComponentField(_LineField):
    """One component of a PN group, e.g. the family name."""

    vr = "PN"
    limit = validators.PN_GROUP_LENGTH
    check_value = staticmethod(validators.validate_name_component)


class NameGroupField(_LineField):
    """One component group of a PN, its components separated by ``^``."""

    vr = "PN"
    limit = validators.PN_GROUP_LENGTH
    check_value = staticmethod(validators.validate_name_group)


class PersonNameField(_LineField):
    """A whole PN, up to three component groups separated by ``=``."""

    vr = "PN"
    limit = validators.PN_LENGTH
    check_value = staticmethod(validators.validate_person_name)


class _LinesField(models.TextField):  # type: ignore[type-arg]
    """Text of several lines; subclasses say by which rule."""

    vr = ""
    check_value: validators.Validator

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.validators.insert(0, type(self).check_value)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return normalise(value) if isinstance(value, str) else value

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        _refuse_illegal(self, value)
        return super().get_db_prep_save(value, connection)


class ShortTextField(_LinesField):
    """ST."""

    vr = "ST"
    check_value = staticmethod(validators.validate_short_text)


class LongTextField(_LinesField):
    """LT."""

    vr = "LT"
    check_value = staticmethod(validators.validate_long_text)


class LongStringsField(_LinesField):
    """Several values of LO, one a line; in a data set they are separated by backslashes."""

    vr = "LO"
    check_value = staticmethod(validators.validate_long_strings)


class KeywordsFormField(forms.CharField):
    """Keywords, one a line."""

    widget = forms.Textarea(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return str(value or "").replace(",", " ").split()

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != list(initial or []))


class KeywordsField(models.JSONField):
    """A list of DICOM keywords."""

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        if not isinstance(value, list) or not all(isinstance(keyword, str) for keyword in value):
            raise ValidationError(_("This must be a list of attribute keywords."), code="keywords")
        for keyword in value:
            if tag_for_keyword(keyword) is None:
                raise ValidationError(
                    _("“%(keyword)s” is not the keyword of a DICOM attribute, such as PregnancyStatus."),
                    code="keyword",
                    params={"keyword": keyword},
                )

    def formfield(self, **kwargs: Any) -> Any:
        # A default that is callable would otherwise send the initial value along, hidden and in another form.
        return models.Field.formfield(self, form_class=KeywordsFormField, **{**kwargs, "show_hidden_initial": False})
