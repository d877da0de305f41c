"""Commitments, announcements, leases and the audit trail"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_open = sa.text("completed_at IS NULL")


def upgrade() -> None:
    op.create_index("ix_study_open", "study", ["last_arrival"], sqlite_where=_open, postgresql_where=_open)
    op.create_table(
        "commitment",
        sa.Column("id", _id, nullable=False),
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("ae_title", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("referenced", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("next_attempt", sa.Double(), nullable=True),
        sa.Column("claimed_until", sa.Double(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reported_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_commitment"),
        sa.UniqueConstraint("ae_title", "transaction_uid", name="uq_commitment_ae_title_transaction_uid"),
    )
    op.create_index("ix_commitment_next_attempt", "commitment", ["next_attempt"])
    op.create_table(
        "announcement",
        sa.Column("id", _id, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("next_attempt", sa.Double(), nullable=True),
        sa.Column("claimed_until", sa.Double(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("delivered_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_announcement"),
        sa.UniqueConstraint("event_id", name="uq_announcement_event_id"),
    )
    op.create_index("ix_announcement_study_uid", "announcement", ["study_uid"])
    op.create_index("ix_announcement_next_attempt", "announcement", ["next_attempt"])
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("held_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _id, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("instance_count", sa.BigInteger(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_study_uid", "audit", ["study_uid"])


def downgrade() -> None:
    for table in ("audit", "lease", "announcement", "commitment"):
        op.drop_table(table)
    op.drop_index("ix_study_open", "study")
