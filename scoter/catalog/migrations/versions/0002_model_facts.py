"""What is said of models: comment, owner and tags of each, and the facts of each version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scoter_models", sa.Column("comment", sa.Text))
    op.add_column("scoter_models", sa.Column("owner", sa.String(128), nullable=False, server_default=""))
    # A name that a model gave up keeps its numbers for that model.
    op.add_column("scoter_models", sa.Column("renamed_to", sa.Integer))
    op.execute("UPDATE scoter_models SET owner = created_by")
    op.add_column("scoter_model_versions", sa.Column("facts", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "scoter_model_tags",
        sa.Column("model_id", sa.Integer, sa.ForeignKey("scoter_models.id"), primary_key=True),
        sa.Column("tag_folded", sa.String(128), primary_key=True),
        sa.Column("tag", sa.String(128), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
