"""Instances whose encoding is odd, kept as they came"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_IS_ODD = sa.text("odd <> ''")


def upgrade() -> None:
    op.add_column("instance", sa.Column("odd", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index("ix_instance_odd", "instance", ["series"], sqlite_where=_IS_ODD, postgresql_where=_IS_ODD)


def downgrade() -> None:
    op.drop_index("ix_instance_odd", "instance")
    op.drop_column("instance", "odd")
