"""Who may log in: names, roles and password hashes.

This module must not know what a role may do to a table or model, nor how a password reached it.
"""

from __future__ import annotations

import enum
import os
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from scoter.catalog.metastore import Metastore
from scoter.catalog.names import check_principal_name
from scoter.errors import AuthenticationFailed, InvalidValue
from scoter.suggestions import closest

MAX_PASSWORD_BYTES = 1024

# Each hash takes 64 MiB and several threads: more at once would let logins starve the statements.
_HASHES_AT_ONCE = max(1, min(4, os.cpu_count() or 1))

_PRINCIPALS = sa.table(
    "scoter_principals",
    sa.column("id", sa.Integer),
    sa.column("name", sa.String),
    sa.column("role", sa.String),
    sa.column("password_hash", sa.String),
    sa.column("generation", sa.BigInteger),
    sa.column("created_at", sa.DateTime),
)


class Role(enum.StrEnum):
    """What a principal may do; each role includes the ones before it."""

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"

    def allows(self, needed: Role) -> bool:
        """Say whether this role includes ``needed``.

        >>> Role.WRITER.allows(Role.READER), Role.WRITER.allows(Role.ADMIN)
        (True, False)
        """
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Principal:
    """Somebody who is logged in.

    ``generation`` changes with the password, the role and with removal: a token that carries another
    one is no longer valid.
    """

    name: str
    role: Role
    generation: int = field(default=0, compare=False)


class Principals:
    """The users of a lake; names compare exactly."""

    def __init__(self, metastore: Metastore) -> None:
        self._metastore = metastore
        self._hasher = PasswordHasher()  # Argon2id with the library's current parameters
        self._places = threading.BoundedSemaphore(_HASHES_AT_ONCE)
        self._decoy: str | None = None

    def exist(self) -> bool:
        """Say whether there is any user."""
        with self._metastore.reading() as connection:
            return connection.scalar(sa.select(_PRINCIPALS.c.id).limit(1)) is not None

    def add(self, name: str, role: Role, password: str) -> Principal:
        """Add a user.

        Raises InvalidValue when the name is taken or the password is empty or above 1,024 bytes,
        InvalidDefinition for a name that is not allowed.
        """
        check_principal_name(name)
        generation = _generation()
        values = {
            "name": name,
            "role": Role(role).value,
            "password_hash": self._hash(password),
            "generation": generation,
            "created_at": datetime.now(UTC).replace(tzinfo=None),
        }

        def insert(connection: sa.Connection) -> None:
            if connection.scalar(sa.select(_PRINCIPALS.c.id).where(_PRINCIPALS.c.name == name)) is not None:
                raise InvalidValue(f'user "{name}" exists', hint="the password can be changed")
            connection.execute(sa.insert(_PRINCIPALS).values(values))

        self._metastore.writing(insert)
        return Principal(name, Role(role), generation)

    def set_password(self, name: str, password: str) -> None:
        """Change a user's password, which ends the user's tokens; raises InvalidValue."""
        self._change(name, {"password_hash": self._hash(password)})

    def set_role(self, name: str, role: Role) -> None:
        """Change a user's role, which ends the user's tokens; raises InvalidValue."""
        self._change(name, {"role": Role(role).value})

    def remove(self, name: str) -> None:
        """Remove a user, which ends the user's tokens; raises InvalidValue when there is none."""

        def delete(connection: sa.Connection) -> int:
            return connection.execute(sa.delete(_PRINCIPALS).where(_PRINCIPALS.c.name == name)).rowcount

        if self._metastore.writing(delete) == 0:
            raise self._unknown(name)

    def verify(self, name: str, password: str) -> Principal:
        """Return the user whose name and password these are.

        Raises AuthenticationFailed with one message, after the work of one hash, whether the user is
        unknown or the password wrong.
        """
        refused = AuthenticationFailed("the user or the password is wrong")
        query = sa.select(*_PRINCIPALS.c["name", "role", "generation", "password_hash"]).where(
            _PRINCIPALS.c.name == name
        )
        try:
            secret = password.encode()
            name.encode()
        except UnicodeEncodeError as error:
            raise refused from error
        if len(secret) > MAX_PASSWORD_BYTES:
            raise refused
        with self._metastore.reading() as connection:
            row = connection.execute(query).one_or_none()
        expected = self._decoy_hash() if row is None else str(row.password_hash)
        try:
            with self._places:
                self._hasher.verify(expected, secret)
        except (VerificationError, InvalidHashError) as error:
            raise refused from error
        if row is None:
            raise refused
        if self._hasher.check_needs_rehash(expected):
            self._replace_hash(name, expected, password)
        return _principal(row)

    def get(self, name: str) -> Principal | None:
        """Return the user of that name as of now, or None."""
        query = sa.select(*_PRINCIPALS.c["name", "role", "generation"]).where(_PRINCIPALS.c.name == name)
        with self._metastore.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _principal(row)

    def list(self) -> list[Principal]:
        """Return all users by name."""
        query = sa.select(*_PRINCIPALS.c["name", "role", "generation"]).order_by(_PRINCIPALS.c.name)
        with self._metastore.reading() as connection:
            return [_principal(row) for row in connection.execute(query)]

    def _change(self, name: str, values: dict[str, str]) -> None:
        statement = (
            sa.update(_PRINCIPALS)
            .where(_PRINCIPALS.c.name == name)
            .values(generation=_generation(), **values)
        )

        def update(connection: sa.Connection) -> int:
            return connection.execute(statement).rowcount

        if self._metastore.writing(update) == 0:
            raise self._unknown(name)

    def _replace_hash(self, name: str, old: str, password: str) -> None:
        # The password is the same, so tokens stay valid; a password changed meanwhile is left alone.
        statement = (
            sa.update(_PRINCIPALS)
            .where(_PRINCIPALS.c.name == name, _PRINCIPALS.c.password_hash == old)
            .values(password_hash=self._hash(password))
        )
        self._metastore.writing(lambda connection: connection.execute(statement).rowcount)

    def _hash(self, password: str) -> str:
        try:
            secret = password.encode()
        except UnicodeEncodeError as error:
            raise InvalidValue("the password is not text") from error
        if not 0 < len(secret) <= MAX_PASSWORD_BYTES:
            raise InvalidValue(f"a password has between 1 and {MAX_PASSWORD_BYTES} bytes")
        with self._places:
            return self._hasher.hash(secret)

    def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = self._hash(secrets.token_hex(16))
        return self._decoy

    def _unknown(self, name: str) -> InvalidValue:
        names = [principal.name for principal in self.list()]
        return InvalidValue(f'user "{name}" does not exist', hint=closest(name, names))


def _principal(row: Any) -> Principal:
    return Principal(row.name, Role(row.role), row.generation)


def _generation() -> int:
    return secrets.randbits(62)
