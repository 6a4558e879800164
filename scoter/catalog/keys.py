"""The key that signs tickets, handles and tokens: one for a lake, so that any of its servers reads them.

This module must not know what is signed with it.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa

from scoter.catalog.metastore import Metastore

_BYTES = 32
_KEY = 1
_KEYS = sa.table(
    "scoter_keys",
    sa.column("id", sa.Integer),
    sa.column("secret", sa.LargeBinary),
    sa.column("created_at", sa.DateTime),
)


def signing_key(metastore: Metastore) -> bytes:
    """Return the lake's 32 random bytes; the first call of all processes makes them."""
    query = sa.select(_KEYS.c.secret).where(_KEYS.c.id == _KEY)
    with metastore.reading() as connection:
        found = connection.scalar(query)
    if found is not None:
        return bytes(found)

    def create(connection: sa.Connection) -> bytes:
        # Asked again under the write lock: another process may have been first.
        first = connection.scalar(query)
        if first is not None:
            return bytes(first)
        secret = secrets.token_bytes(_BYTES)
        now = datetime.now(UTC).replace(tzinfo=None)
        connection.execute(sa.insert(_KEYS).values(id=_KEY, secret=secret, created_at=now))
        return secret

    return metastore.writing(create)
