"""The first metastore: Scoter's own tables beside those of pyiceberg's SqlCatalog."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _iceberg()
    _models()
    op.create_table(
        "scoter_principals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(128), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.String(256), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "scoter_keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("secret", sa.LargeBinary(64), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )


def _iceberg() -> None:
    # A lake that bare pyiceberg made has these tables already, without iceberg_type if it is old.
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("iceberg_tables"):
        op.create_table(
            "iceberg_tables",
            sa.Column("catalog_name", sa.String(255), primary_key=True),
            sa.Column("table_namespace", sa.String(255), primary_key=True),
            sa.Column("table_name", sa.String(255), primary_key=True),
            sa.Column("metadata_location", sa.String(1000)),
            sa.Column("previous_metadata_location", sa.String(1000)),
            sa.Column("iceberg_type", sa.String(5)),
        )
    elif "iceberg_type" not in {column["name"] for column in inspector.get_columns("iceberg_tables")}:
        op.add_column("iceberg_tables", sa.Column("iceberg_type", sa.String(5)))
    if not inspector.has_table("iceberg_namespace_properties"):
        op.create_table(
            "iceberg_namespace_properties",
            sa.Column("catalog_name", sa.String(255), primary_key=True),
            sa.Column("namespace", sa.String(255), primary_key=True),
            sa.Column("property_key", sa.String(255), primary_key=True),
            sa.Column("property_value", sa.String(1000), nullable=False),
        )
    op.create_index(
        "scoter_iceberg_tables_folded", "iceberg_tables", ["catalog_name", sa.text("lower(table_name)")]
    )


def _models() -> None:
    op.create_table(
        "scoter_models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("schema_name", sa.String(128), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("schema_folded", sa.String(128), nullable=False),
        sa.Column("name_folded", sa.String(128), nullable=False),
        # The row outlives DROP MODEL, so that a later model of the name goes on counting.
        sa.Column("dropped", sa.Boolean, nullable=False),
        sa.Column("default_version", sa.Integer, nullable=False),
        sa.Column("last_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.UniqueConstraint("schema_folded", "name_folded"),
    )
    op.create_table(
        "scoter_model_versions",
        sa.Column("model_id", sa.Integer, sa.ForeignKey("scoter_models.id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("dropped", sa.Boolean, nullable=False),
    )
    op.create_table(
        "scoter_model_aliases",
        sa.Column("model_id", sa.Integer, sa.ForeignKey("scoter_models.id"), primary_key=True),
        sa.Column("alias_folded", sa.String(128), primary_key=True),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    revision_table = op.create_table(
        "scoter_model_revision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(revision_table, [{"id": 1, "revision": 0}])
