"""Commitment requests are kept as they came, and checked by another process than the one that took them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("commitment", sa.Column("request", sa.LargeBinary(), nullable=True))
    op.add_column("commitment", sa.Column("transfer_syntax", sa.Text(), nullable=True))
    op.add_column("commitment", sa.Column("reference_count", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("commitment", sa.Column("report", sa.LargeBinary(), nullable=True))
    op.add_column("commitment", sa.Column("event_type", sa.Integer(), nullable=True))


def downgrade() -> None:
    for column in ("event_type", "report", "reference_count", "transfer_syntax", "request"):
        op.drop_column("commitment", column)
