"""Everybody whom images of a study name, and what an audited act was about"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_mixed_up = sa.text("mixed_up")


def upgrade() -> None:
    op.create_table(
        "study_patient",
        sa.Column("study", _id, nullable=False),
        sa.Column("patient", _id, nullable=False),
        sa.Column("current", _id, nullable=True),
        sa.ForeignKeyConstraint(["study"], ["study.id"], name="fk_study_patient_study_study", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["patient"], ["patient.id"], name="fk_study_patient_patient_patient"),
        sa.PrimaryKeyConstraint("study", "patient", name="pk_study_patient"),
    )
    op.execute(
        "INSERT INTO study_patient (study, patient, current) SELECT id, COALESCE(original_patient, patient), "
        "CASE WHEN original_patient IS NULL THEN NULL ELSE patient END FROM study"
    )
    for column in ("patient", "current"):
        op.create_index(f"ix_study_patient_{column}", "study_patient", [column])
    op.add_column("study", sa.Column("mixed_up", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_study_mixed_up", "study", ["id"], sqlite_where=_mixed_up, postgresql_where=_mixed_up)
    op.add_column("instance", sa.Column("patient", _id, nullable=True))
    for column in ("sop_instance_uid", "detail"):
        op.add_column("audit", sa.Column(column, sa.Text(), server_default=sa.text("''"), nullable=False))


def downgrade() -> None:
    for column in ("sop_instance_uid", "detail"):
        op.drop_column("audit", column)
    op.drop_column("instance", "patient")
    op.drop_index("ix_study_mixed_up", "study")
    op.drop_column("study", "mixed_up")
    op.drop_table("study_patient")
