"""Patients, studies, series and instances"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "patient",
        sa.Column("id", _id, nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.Column("apart", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patient"),
        sa.UniqueConstraint(
            "patient_id",
            "issuer",
            "name",
            "birth_date",
            "sex",
            "apart",
            name="uq_patient_patient_id_issuer_name_birth_date_sex_apart",
        ),
    )
    op.create_table(
        "study",
        sa.Column("id", _id, nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("patient", _id, nullable=False),
        sa.Column("study_date", sa.Text(), nullable=False),
        sa.Column("study_time", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("series_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("instance_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_arrival", sa.Double(), nullable=False),
        sa.Column("last_arrival", sa.Double(), nullable=False),
        sa.Column("completed_at", sa.Double(), nullable=True),
        sa.CheckConstraint("instance_count >= 0", name=op.f("ck_study_instance_count")),
        sa.ForeignKeyConstraint(["patient"], ["patient.id"], name="fk_study_patient_patient"),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("study_uid", name="uq_study_study_uid"),
    )
    for column in ("patient", "study_date", "accession_number", "last_arrival"):
        op.create_index(f"ix_study_{column}", "study", [column])
    op.create_table(
        "series",
        sa.Column("id", _id, nullable=False),
        sa.Column("study", _id, nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("series_number", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("body_part", sa.Text(), nullable=False),
        sa.Column("instance_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["study"], ["study.id"], name="fk_series_study_study"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("study", "series_uid", name="uq_series_study_series_uid"),
    )
    op.create_index("ix_series_series_uid", "series", ["series_uid"])
    op.create_table(
        "instance",
        sa.Column("id", _id, nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("series", _id, nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("instance_number", sa.Text(), nullable=False),
        sa.Column("data_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("calling_ae", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("arrived_at", sa.Double(), nullable=False),
        sa.Column("committed_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["series"], ["series.id"], name="fk_instance_series_series"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_instance_sop_instance_uid"),
    )
    op.create_index("ix_instance_series", "instance", ["series"])
    op.create_index("ix_instance_arrived_at", "instance", ["arrived_at"])


def downgrade() -> None:
    for table in ("instance", "series", "study", "patient"):
        op.drop_table(table)
