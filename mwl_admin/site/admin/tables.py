"""Import and export of entries in the admin: django-import-export's pages around the code that the command uses too."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from import_export.admin import ImportExportMixin
from import_export.fields import Field
from import_export.formats import base_formats
from import_export.resources import Resource
from import_export.results import Error, Result, RowResult
from tablib import Dataset
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from mwl_admin.entries.tables import export
from mwl_admin.entries.tables.columns import HEADINGS
from mwl_admin.entries.tables.files import Table, read
from mwl_admin.entries.tables.rows import CREATE, ERROR, UNCHANGED, UPDATE, TableRow, check, import_table
from mwl_admin.entries.tables.spreadsheets import write_csv, write_xlsx
from mwl_admin.entries.tables.table_limits import TableError, TableLimits, refuse_large_file
from mwl_admin.entries.tables.waiting import WaitingFiles
from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.site import read_log

_TYPES = {
    CREATE: RowResult.IMPORT_TYPE_NEW,
    UPDATE: RowResult.IMPORT_TYPE_UPDATE,
    UNCHANGED: RowResult.IMPORT_TYPE_SKIP,
    ERROR: RowResult.IMPORT_TYPE_INVALID,
}
_NEEDED_TO_IMPORT = [
    f"mwl_admin.{action}_{model}"
    for action in ("add", "change")
    for model in ("patient", "requestedprocedure", "scheduledprocedurestep")
]


class _Rows(Dataset):  # type: ignore[misc]
    """A table on its way through django-import-export: the rows keep their numbers in the file."""

    def __init__(self, table: Table) -> None:
        width = len(table.headings)
        super().__init__(*([*cells, *[None] * width][:width] for _, cells in table.rows), headers=table.headings)
        self.table = table


class _Format(base_formats.Format):  # type: ignore[misc]
    """A kind of file. Our own reader finds out by itself what a file is."""

    def __init__(self, encoding: str | None = None) -> None:
        super().__init__()

    def is_binary(self) -> bool:
        return True

    def get_read_mode(self) -> str:
        return "rb"

    def can_import(self) -> bool:
        return True

    def can_export(self) -> bool:
        return True

    def create_dataset(self, in_stream: bytes) -> Any:
        table = read(in_stream)
        check(table)
        return _Rows(table)


class CSVFile(_Format):
    def get_title(self) -> str:
        return "csv"

    def get_extension(self) -> str:
        return "csv"

    def get_content_type(self) -> str:
        return "text/csv; charset=utf-8"

    def export_data(self, dataset: Dataset, **kwargs: Any) -> bytes:
        return write_csv(dataset.headers, dataset)


class XLSXFile(_Format):
    def get_title(self) -> str:
        return "xlsx"

    def get_extension(self) -> str:
        return "xlsx"

    def get_content_type(self) -> str:
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def export_data(self, dataset: Dataset, **kwargs: Any) -> bytes:
        return write_xlsx(dataset.headers, dataset)


class EntryImportForm(ImportForm):  # type: ignore[misc]
    """The form that takes a file; one that is too large is refused before it is read."""

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        try:
            refuse_large_file(file.size, TableLimits.current())
        except TableError as error:
            raise ValidationError(str(error)) from error
        return file


class EntryResource(Resource):  # type: ignore[misc]
    """Entries as django-import-export sees them; what is done with them is `mwl_admin.entries`'s."""

    locals().update({heading.name: Field(column_name=heading.name) for heading in HEADINGS})

    class Meta:
        use_transactions = True

    @classmethod
    def get_display_name(cls) -> str:
        return _("Entries")

    def import_data(self, dataset: _Rows, dry_run: bool = False, raise_errors: bool = False, **kwargs: Any) -> Result:
        result = Result()
        result.total_rows = len(dataset)
        source = _("import of %(file)s") % {"file": kwargs.get("file_name") or _("a file")}
        try:
            report = import_table(dataset.table, dry_run=dry_run, source=source[:100])
        except TableError as error:
            result.append_base_error(Error(error))
            return result
        # The page of errors numbers its rows by itself, the preview does not.
        wrong = report.count(ERROR) > 0
        result.diff_headers = report.headings if wrong else [_("Row"), *report.headings, _("Note")]
        for row in report.rows:
            self._add(result, row, report.headings)
        return result

    def _add(self, result: Result, row: TableRow, headings: list[str]) -> None:
        told = RowResult()
        told.import_type = _TYPES[row.action]
        told.row_values = dict(zip(headings, row.cells, strict=False))
        cells = [*(cell if cell is not None else "" for cell in row.cells), *[""] * len(headings)][: len(headings)]
        told.diff = [row.number, *cells, row.note]
        if row.requested is not None:
            told.instance, told.object_id, told.object_repr = row.requested, row.requested.pk, str(row.requested)
        result.increment_row_result_total(told)
        if row.action == ERROR and row.problems:
            problems: dict[str, list[str]] = {}
            for heading, message in row.problems:
                problems.setdefault(heading or _("Row"), []).append(message)
            result.append_invalid_row(row.number, told.row_values, ValidationError(problems))
        result.append_row_result(told)

    def export(self, queryset: Any = None, **kwargs: Any) -> Dataset:
        steps = ScheduledProcedureStep.objects.order_by("requested_procedure", "pk")
        if queryset is not None:
            steps = steps.filter(requested_procedure__in=queryset.order_by().values("pk"))
        return Dataset(*export.rows(steps), headers=export.headings())


class EntryExchange(ImportExportMixin):  # type: ignore[misc]
    """Admin of entries with import, export and a template to fill in."""

    resource_classes = [EntryResource]
    formats = [CSVFile, XLSXFile]
    import_form_class = EntryImportForm
    export_form_class = ExportForm
    tmp_storage_class = WaitingFiles
    import_template_name = "mwl_admin/import.html"

    def get_urls(self) -> list[Any]:
        own = [
            path(
                f"import/template.{extension}",
                self.admin_site.admin_view(self.template),
                {"extension": extension},
                name=f"mwl_admin_requestedprocedure_template_{extension}",
            )
            for extension in ("csv", "xlsx")
        ]
        return [*own, *super().get_urls()]

    def has_import_permission(self, request: HttpRequest) -> bool:
        """A file makes and changes patients, entries and steps, so whoever imports one may do all that by hand."""
        return request.user.has_perms(_NEEDED_TO_IMPORT)

    def template(self, request: HttpRequest, extension: str) -> HttpResponse:
        """The headings to fill in below, and what they mean."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        kind = CSVFile() if extension == "csv" else XLSXFile()
        content = export.template_csv() if extension == "csv" else export.template_xlsx()
        return HttpResponse(
            content,
            content_type=kind.get_content_type(),
            headers={"Content-Disposition": f'attachment; filename="entries.{extension}"'},
        )

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().import_action(request, **kwargs)
        result = (getattr(response, "context_data", None) or {}).get("result")
        if result is not None:
            rows = (getattr(row, "row_values", None) or {} for row in result.rows)
            read_log.note_all(request, "import preview", (str(row.get("Patient ID") or "") for row in rows))
        return response

    def get_export_data(self, file_format: Any, request: HttpRequest, queryset: Any, **kwargs: Any) -> Any:
        patients = queryset.order_by().values_list("patient__patient_id", flat=True)
        read_log.note_all(request, "export", patients.distinct())
        return super().get_export_data(file_format, request, queryset, **kwargs)

    def add_data_read_fail_error_to_form(self, form: Any, error: Exception) -> None:
        if not isinstance(error, TableError):
            super().add_data_read_fail_error_to_form(form, error)
            return
        form.add_error("import_file", str(error))

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().process_import(request, **kwargs)
        except FileNotFoundError:
            messages.error(request, _("The file has waited for too long, or was taken already: choose it again."))
            return redirect("admin:mwl_admin_requestedprocedure_import")
        return response

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        if result.has_errors() or result.has_validation_errors():
            # Somebody has changed an entry since the preview.
            messages.error(request, _("Nothing was imported: a row no longer fits. Look at the preview again."))
            return redirect("admin:mwl_admin_requestedprocedure_import")
        response: HttpResponse = super().process_result(result, request)
        return response

    def generate_log_entries(self, result: Result, request: HttpRequest) -> None:
        # One line for an entry, however many steps it has.
        seen: set[int] = set()
        for row in result:
            if row.object_id in seen:
                row.import_type = RowResult.IMPORT_TYPE_SKIP
            elif row.object_id is not None:
                seen.add(row.object_id)
        super().generate_log_entries(result, request)

    def add_success_message(self, result: Result, request: HttpRequest) -> None:
        totals = result.totals
        text = ngettext(
            "%(n)d row taken: %(made)d made, %(updated)d updated, %(unchanged)d unchanged.",
            "%(n)d rows taken: %(made)d made, %(updated)d updated, %(unchanged)d unchanged.",
            result.total_rows,
        )
        values = {
            "n": result.total_rows,
            "made": totals[RowResult.IMPORT_TYPE_NEW],
            "updated": totals[RowResult.IMPORT_TYPE_UPDATE],
            "unchanged": totals[RowResult.IMPORT_TYPE_SKIP],
        }
        messages.success(request, text % values)
