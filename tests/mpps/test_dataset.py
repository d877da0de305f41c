"""A data set is kept whole: from bytes to DICOM JSON and back nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from dicom_encoding.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from mwl_admin.mpps import dataset, report
from mwl_admin.mpps.mpps_attributes import TABLE
from mwl_admin.worklist.query_errors import IdentifierError
from tests.mpps.scu import changes, creation, final, series
from tests.worklist.queries import decoded, encoded

SYNTAXES = [IMPLICIT_LITTLE, EXPLICIT_LITTLE]


def again(ds: Dataset, transfer_syntax: str) -> Dataset:
    kept = dataset.read(encoded(ds, transfer_syntax), transfer_syntax)
    return decoded(dataset.write(kept, transfer_syntax), transfer_syntax)


@pytest.mark.parametrize("transfer_syntax", SYNTAXES)
def test_a_data_set_comes_back_as_it_was(transfer_syntax: str) -> None:
    ds = final()
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.TotalNumberOfExposures = 65535
    ds.DistanceSourceToDetector = "1000.0"
    ds.ExposedArea = [10, 20]
    ds.PixelSpacing = ["0.50", "1e-1"]
    ds.EntranceDoseInmGy = "1.5"
    ds.EventElapsedTimes = ["1", "2"]
    ds.FrameIncrementPointer = [0x00181063, 0x00181065]
    ds.RealWorldValueSlope = 0.1
    ds.CommentsOnRadiationDose = "several\r\nlines \\ and a backslash"
    ds.add_new(0x00110010, "LO", "SYNTHETIC")
    assert again(ds, transfer_syntax) == ds


def test_values_of_private_elements_come_back_byte_for_byte() -> None:
    ds = Dataset()
    ds.add_new(0x00110010, "LO", "SYNTHETIC")
    ds.add_new(0x00111001, "OB", b"\x00\xff\x01\x02")
    ds.add_new(0x00111002, "UN", b"\x80\x81")
    assert again(ds, EXPLICIT_LITTLE) == ds


def test_text_of_other_character_sets_is_kept_in_unicode() -> None:
    ds = changes(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne")
    kept = dataset.read(encoded(ds), IMPLICIT_LITTLE)
    assert kept == {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]}}
    assert again(ds, IMPLICIT_LITTLE).SpecificCharacterSet == "ISO_IR 192"


def test_many_images_fit() -> None:
    ds = final(PerformedSeriesSequence=[series(5000)])
    kept = dataset.read(encoded(ds), IMPLICIT_LITTLE)
    assert report.columns(kept)["instance_count"] == 5000


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_data_set_that_ends_early_is_refused(cut: int) -> None:
    with pytest.raises(IdentifierError):
        dataset.read(encoded(final())[:-cut], IMPLICIT_LITTLE)


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_any_bytes_are_read_or_refused(data: bytes, transfer_syntax: str) -> None:
    try:
        kept = dataset.read(data, transfer_syntax)
    except IdentifierError:
        return
    report.columns(kept)
    dataset.write(kept, transfer_syntax)


def test_each_attribute_of_the_table_is_in_the_dictionary_once() -> None:
    tags = [attribute.tag for attribute in TABLE]
    assert len(tags) == len(set(tags))


@pytest.mark.parametrize(
    ("date", "time", "read"),
    [
        ("20260504", "10", "2026-05-04 10:00:00"),
        ("2026.05.04", "1031", "2026-05-04 10:31:00"),
        ("20260504", "10:31:05", "2026-05-04 10:31:05"),
        ("20260504", "103160.25", "2026-05-04 10:31:59.250000"),
        ("20261304", "250000", "None None"),
        ("today", "noon", "None None"),
    ],
)
def test_dates_and_times_are_read_as_devices_write_them(date: str, time: str, read: str) -> None:
    kept = {"00400244": {"vr": "DA", "Value": [date]}, "00400245": {"vr": "TM", "Value": [time]}}
    columns = report.columns(kept)
    assert f"{columns['performed_start_date']} {columns['performed_start_time']}" == read


def test_the_dose_is_told_with_its_units() -> None:
    exposure = changes(KVP="120", ExposureTime="500", XRayTubeCurrentInuA="200000")
    ds = changes(TotalNumberOfExposures=2, ImageAndFluoroscopyAreaDoseProduct="12.5", ExposureDoseSequence=[exposure])
    kept = dataset.read(encoded(ds), IMPLICIT_LITTLE)
    assert list(report.dose(kept)) == [
        ("Exposures", "2"),
        ("Dose area product", "12.5 dGy·cm²"),
        ("Exposure 1", "120 kV, 500 ms, 200000 µA"),
    ]


def test_a_value_that_no_column_takes_stays_in_the_data_set_only() -> None:
    ds = creation(PatientID="P-1")
    kept = dataset.read(encoded(ds), IMPLICIT_LITTLE)
    kept["00100020"]["Value"] = ["P" * 65]
    assert report.columns(kept)["patient_id"] == ""
