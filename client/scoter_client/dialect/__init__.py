"""The SQLAlchemy dialect ``scoter``."""

from scoter_client.dialect.dialect import ScoterDialect

__all__ = ["ScoterDialect"]
