"""One row being written from outside: what is given is set, what changed is remembered, the model's rules are asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mwl_admin.entries.entry_attributes import COLUMNS, Level, keyword_of_field
from mwl_admin.entries.problems import Problem
from mwl_admin.entries.values import column_value


def required(given: Mapping[str, Any], *keywords: str, path: str = "") -> Iterator[Problem]:
    """Yield a problem for each keyword without a value."""
    for keyword in keywords:
        if not str(given.get(keyword) or "").strip(" ^="):
            yield Problem(path + keyword, _("is required."), "required")


class WrittenRecord:
    """A patient, an order or a step. ``changed`` are the keywords of what is not as it was."""

    def __init__(
        self,
        instance: Any,
        level: Level,
        problems: list[Problem],
        *,
        path: str = "",
        exclude: Collection[str] = (),
    ) -> None:
        self.instance = instance
        self.level = level
        self.path = path
        self.changed: list[str] = []
        self._problems = problems
        self._exclude = set(exclude)
        self._before: dict[str, dict[str, Any]] = {}

    def take(
        self,
        given: Mapping[str, Any],
        keywords: Iterable[str],
        *,
        replace: bool = False,
        keep: Collection[str] = (),
    ) -> None:
        """Set what is given of the attributes ``keywords``; with ``replace`` empty the others, but for ``keep``."""
        for keyword in keywords:
            if keyword in given:
                value = given[keyword]
            elif replace and keyword not in keep:
                value = None
            else:
                continue
            column = COLUMNS[keyword]
            try:
                converted = column_value(column, value)
            except ValueError as error:
                self.complain(keyword, str(error))
                # Its rule is broken already; asking the model about it too would say it a second time.
                self._exclude.add(column.name)
                continue
            if converted == "" and keyword in _GENERATED:
                continue
            self.set_columns(keyword, {column.name: converted})

    def set_columns(self, keyword: str, columns: Mapping[str, Any]) -> None:
        """Set columns of one attribute."""
        for name, value in columns.items():
            field = self.instance._meta.get_field(name)
            try:
                new = value if field.is_relation else field.to_python(value)
            except ValidationError as error:
                self.complain(keyword, " ".join(error.messages))
                self._exclude.add(name)
                continue
            old = getattr(self.instance, name, None)
            if new != old:
                self._before.setdefault(keyword, {}).setdefault(name, old)
                setattr(self.instance, name, new)
                self.note(keyword)

    def note(self, keyword: str) -> None:
        """Remember that an attribute has changed."""
        if keyword not in self.changed:
            self.changed.append(keyword)

    def was(self, keyword: str, column: str) -> Any:
        """Return what a column held before an attribute was set."""
        return self._before.get(keyword, {}).get(column, getattr(self.instance, column))

    def restore(self, keyword: str) -> None:
        """Take back what was set of an attribute."""
        for name, old in self._before.pop(keyword, {}).items():
            setattr(self.instance, name, old)
        self.changed = [changed for changed in self.changed if changed != keyword]

    def forget_restored(self) -> None:
        """Forget the attributes that are again what they were: emptied, and filled once more."""
        self.changed = [
            keyword
            for keyword in self.changed
            if keyword not in self._before
            or any(getattr(self.instance, name) != old for name, old in self._before[keyword].items())
        ]

    def complain(self, keyword: str, message: str, code: str = "invalid") -> None:
        """Note what is wrong with an attribute."""
        self._problems.append(Problem(self.path + keyword, message, code))

    def check(self) -> None:
        """Ask the model's own rules about what has changed."""
        if self.instance.pk and not self.changed:
            return
        try:
            self.instance.full_clean(exclude=self._exclude, validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            said = {problem.attribute for problem in self._problems}
            for name, messages in error.message_dict.items():
                keyword = keyword_of_field(self.level, name)
                if self.path + keyword not in said:
                    self.complain(keyword, " ".join(messages))

    def save(self, **relations: Any) -> list[str]:
        """Save what has changed; return the keywords of it."""
        is_new = self.instance.pk is None
        for name, value in relations.items():
            if getattr(self.instance, f"{name}_id") != value.pk:
                setattr(self.instance, name, value)
        if is_new or self.changed:
            self.instance.save()
        return [] if is_new else [self.path + keyword for keyword in self.changed]


_GENERATED = frozenset({"AccessionNumber", "RequestedProcedureID", "StudyInstanceUID", "ScheduledProcedureStepID"})
"""Made when empty, and never emptied."""
