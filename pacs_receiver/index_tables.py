"""The index's tables, in the terms of SQLAlchemy Core. Migrations make them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# Points in time are seconds since the epoch, UTC. INTEGER PRIMARY KEY is what SQLite numbers by itself.
_Id = BigInteger().with_variant(Integer, "sqlite")

patient = Table(
    "patient",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("patient_id", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("birth_date", Text, nullable=False),
    Column("sex", Text, nullable=False),
    # Instances without a patient ID have nothing in common but that: the study's UID keeps them apart.
    Column("apart", Text, nullable=False),
    UniqueConstraint("patient_id", "issuer", "name", "birth_date", "sex", "apart"),
)

study = Table(
    "study",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study_uid", Text, nullable=False, unique=True),
    Column("patient", _Id, ForeignKey("patient.id"), nullable=False, index=True),
    Column("study_date", Text, nullable=False, index=True),
    Column("study_time", Text, nullable=False),
    Column("accession_number", Text, nullable=False, index=True),
    Column("study_id", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("series_count", BigInteger, nullable=False, server_default="0"),
    Column("instance_count", BigInteger, nullable=False, server_default="0"),
    Column("file_bytes", BigInteger, nullable=False, server_default="0"),
    Column("first_arrival", Double, nullable=False),
    Column("last_arrival", Double, nullable=False, index=True),
    # whom the stored images name, where changes on the site made the study another patient's; else NULL
    Column("original_patient", _Id, nullable=True),
    # when the changes that the site told of were compared with it
    Column("identity_at", Double, nullable=True),
    # set when the study has been stable; NULL again as soon as another instance arrives
    Column("completed_at", Double, nullable=True),
    # its images name persons who contradict each other: pacs_receiver.image_patients
    Column("mixed_up", Boolean, nullable=False, server_default=false()),
    CheckConstraint("instance_count >= 0", name="instance_count"),
    Index("ix_study_mixed_up", "id", sqlite_where=text("mixed_up"), postgresql_where=text("mixed_up")),
    Index(
        "ix_study_open",
        "last_arrival",
        sqlite_where=text("completed_at IS NULL"),
        postgresql_where=text("completed_at IS NULL"),
    ),
    Index(
        "ix_study_identity_open",
        "id",
        sqlite_where=text("identity_at IS NULL"),
        postgresql_where=text("identity_at IS NULL"),
    ),
)

# Everybody whom images of a study name. The study's own patient is whom the first one named, or who that is now.
study_patient = Table(
    "study_patient",
    metadata,
    Column("study", _Id, ForeignKey("study.id", ondelete="CASCADE"), primary_key=True),
    Column("patient", _Id, ForeignKey("patient.id"), primary_key=True, index=True),
    # who that is now, where changes on the site made them another; else NULL
    Column("current", _Id, nullable=True, index=True),
)

series = Table(
    "series",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study", _Id, ForeignKey("study.id"), nullable=False),
    Column("series_uid", Text, nullable=False, index=True),
    Column("modality", Text, nullable=False),
    Column("series_number", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("body_part", Text, nullable=False),
    Column("instance_count", BigInteger, nullable=False, server_default="0"),
    Column("file_bytes", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("study", "series_uid"),
)

instance = Table(
    "instance",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("sop_instance_uid", Text, nullable=False, unique=True),
    Column("series", _Id, ForeignKey("series.id"), nullable=False, index=True),
    # whom it names, a number of patient; NULL in rows of a version that did not keep it
    Column("patient", _Id, nullable=True),
    Column("sop_class_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("instance_number", Text, nullable=False),
    Column("data_bytes", BigInteger, nullable=False),
    Column("file_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("calling_ae", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("arrived_at", Double, nullable=False),
    # when a Storage Commitment for it was reported as success
    Column("committed_at", Double, nullable=True),
    # what is odd about its encoding, with tag and offset: it was kept as it came
    Column("odd", Text, nullable=False, server_default=text("''")),
    Index(None, "arrived_at"),
    Index("ix_instance_odd", "series", sqlite_where=text("odd <> ''"), postgresql_where=text("odd <> ''")),
)

# Work that must be done once, by whichever process comes first: a conditional UPDATE of claimed_until takes it.
# next_attempt is when it is due, NULL when it is over.

commitment = Table(
    "commitment",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("transaction_uid", Text, nullable=False),
    Column("ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    # JSON: pairs of SOP class and SOP instance UID, in rows of a version that kept no request
    Column("referenced", Text, nullable=False),
    # the Action Information as it came
    Column("request", LargeBinary, nullable=True),
    Column("transfer_syntax", Text, nullable=True),
    Column("reference_count", BigInteger, nullable=False, server_default="0"),
    # the Event Information for the association of the request, once it is made
    Column("report", LargeBinary, nullable=True),
    Column("event_type", Integer, nullable=True),
    Column("requested_at", Double, nullable=False),
    Column("next_attempt", Double, nullable=True, index=True),
    Column("claimed_until", Double, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("reported_at", Double, nullable=True),
    UniqueConstraint("ae_title", "transaction_uid"),
)

announcement = Table(
    "announcement",
    metadata,
    Column("id", _Id, primary_key=True),
    # travels with each attempt, so that the receiving side can drop repeats
    Column("event_id", Text, nullable=False, unique=True),
    Column("study_uid", Text, nullable=False, index=True),
    # JSON, as it is sent
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("next_attempt", Double, nullable=True, index=True),
    Column("claimed_until", Double, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("delivered_at", Double, nullable=True),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("held_until", Double, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("study_uid", Text, nullable=False, index=True),
    Column("instance_count", BigInteger, nullable=False),
    Column("file_bytes", BigInteger, nullable=False),
    # where it is about one instance
    Column("sop_instance_uid", Text, nullable=False, server_default=text("''")),
    Column("detail", Text, nullable=False, server_default=text("''")),
)

# Who was turned away, or is served only until staff have answered: one row for each AE title and address.
turned_away = Table(
    "turned_away",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("served", Boolean, nullable=False),
    Column("because", Text, nullable=False),
    Column("at", Double, nullable=False, index=True),
    Column("attempts", BigInteger, nullable=False),
    # how many of the attempts the site has been told of
    Column("reported", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("ae_title", "address", "served"),
)

# AE titles that stored images in the 90 days before the update that made devices known; empty where there was none.
served_before = Table(
    "served_before",
    metadata,
    Column("ae_title", Text, primary_key=True),
    Column("last_arrival", Double, nullable=False),
)

# The site's commands (docs/devices.md) by their ID, with their answer once there is one: a repeat gets the same.
command = Table(
    "command",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("at", Double, nullable=False, index=True),
    Column("claimed_until", Double, nullable=False),
    Column("status", Integer, nullable=True),
    Column("answer", Text, nullable=False),
)

# Patients who became others on the site (IHE RAD, Patient Information Reconciliation), in the order in which they did.
patient_change = Table(
    "patient_change",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("change_id", Text, nullable=False, unique=True),
    Column("old_patient_id", Text, nullable=False, index=True),
    # JSON, as the site told it
    Column("body", Text, nullable=False),
    # when the studies that were there followed; NULL until they have
    Column("applied_at", Double, nullable=True),
)
