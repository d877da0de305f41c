"""Who was turned away, who was served before devices had to be known, and commands of the site"""

import time
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SERVED_BEFORE_SECONDS = 90 * 86400.0


def upgrade() -> None:
    op.create_table(
        "turned_away",
        sa.Column("id", _id, nullable=False),
        sa.Column("ae_title", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("served", sa.Boolean(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("reported", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turned_away"),
        sa.UniqueConstraint("ae_title", "address", "served", name="uq_turned_away_ae_title_address_served"),
    )
    op.create_index("ix_turned_away_at", "turned_away", ["at"])
    op.create_table(
        "served_before",
        sa.Column("ae_title", sa.Text(), nullable=False),
        sa.Column("last_arrival", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("ae_title", name="pk_served_before"),
    )
    op.create_table(
        "command",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("claimed_until", sa.Double(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_command"),
    )
    op.create_index("ix_command_at", "command", ["at"])
    # Until this version strangers were served: whoever used that lately goes on until staff have answered.
    op.execute(
        sa.text(
            "INSERT INTO served_before (ae_title, last_arrival) SELECT calling_ae, max(arrived_at) FROM instance "
            "WHERE arrived_at > :since AND calling_ae <> '' GROUP BY calling_ae"
        ).bindparams(since=time.time() - _SERVED_BEFORE_SECONDS)
    )


def downgrade() -> None:
    for table in ("command", "served_before", "turned_away"):
        op.drop_table(table)
