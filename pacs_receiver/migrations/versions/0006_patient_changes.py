"""Patients who became others on the site: the studies of theirs follow, and keep whom their images name"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_OPEN = sa.text("identity_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "patient_change",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("change_id", sa.Text(), nullable=False),
        sa.Column("old_patient_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("position", name="pk_patient_change"),
        sa.UniqueConstraint("change_id", name="uq_patient_change_change_id"),
    )
    op.create_index("ix_patient_change_old_patient_id", "patient_change", ["old_patient_id"])
    op.add_column("study", sa.Column("original_patient", _id, nullable=True))
    op.add_column("study", sa.Column("identity_at", sa.Double(), nullable=True))
    # No change was told before this version: there is nothing to compare these with.
    op.execute("UPDATE study SET identity_at = last_arrival")
    op.create_index("ix_study_identity_open", "study", ["id"], sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)


def downgrade() -> None:
    op.drop_index("ix_study_identity_open", "study")
    for column in ("identity_at", "original_patient"):
        op.drop_column("study", column)
    op.drop_table("patient_change")
