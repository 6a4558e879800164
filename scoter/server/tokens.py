"""Login tokens: short-lived signed claims that say who a connection is and what its session holds.

This module must not know headers, passwords or which session is open.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import jwt

_ALGORITHM = "HS256"
_REMEMBERED = 4096  # verified tokens kept, so that a connection's token is checked once


@dataclass(frozen=True)
class State:
    """What a session changes: where names are looked up and its settings."""

    catalog: str
    schema: str
    timezone: str
    statement_timeout: float
    query_tag: str


@dataclass(frozen=True)
class Claims:
    """What a token says.

    ``generation`` is the principal's when it was minted; ``version`` counts the changes of ``state``,
    0 is the untouched session.
    """

    principal: str
    generation: int
    session: str
    version: int
    state: State | None
    expires: float


def new_session_id() -> str:
    """Return a session id: 128 random bits as text."""
    return secrets.token_urlsafe(16)


class Tokens:
    """Mints and reads tokens with a key derived from the lake's signing key.

    A token holds its session's state, so that a server that was restarted, or another one on the same
    lake, goes on with the session instead of silently falling back to its start.
    """

    def __init__(self, signing_key: bytes, lifetime: float) -> None:
        self._key = hmac.digest(signing_key, b"scoter token", "sha256")
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._read: OrderedDict[str, Claims] = OrderedDict()

    def mint(
        self, principal: str, generation: int, session: str, version: int = 0, state: State | None = None
    ) -> str:
        """Return a new token that is valid for the lifetime from now."""
        now = int(time.time())
        claims: dict[str, object] = {"sub": principal, "iat": now, "exp": now + int(self._lifetime)}
        claims |= {"gen": generation, "sid": session, "ver": version}
        if state is not None:
            claims["ctx"] = [
                state.catalog,
                state.schema,
                state.timezone,
                state.statement_timeout,
                state.query_tag,
            ]
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def read(self, token: str) -> Claims | None:
        """Return a token's claims, None if we did not sign it. The caller looks at ``expires``."""
        with self._lock:
            known = self._read.get(token)
            if known is not None:
                self._read.move_to_end(token)
                return known
        claims = self._verify(token)
        if claims is not None:
            with self._lock:
                self._read[token] = claims
                while len(self._read) > _REMEMBERED:
                    self._read.popitem(last=False)
        return claims

    def is_old(self, claims: Claims) -> bool:
        """Say whether more than half of the token's life is over, so that a new one is due."""
        return claims.expires - time.time() < self._lifetime / 2

    def _verify(self, token: str) -> Claims | None:
        try:
            # The expiry is left to the caller: without users an old token still names its session. When it
            # was made does not matter: the clock of another server of this lake may be ahead.
            found = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "require": ["sub", "exp", "gen", "sid", "ver"],
                },
            )
        except jwt.InvalidTokenError:
            return None
        state = State(*found["ctx"]) if "ctx" in found else None
        return Claims(found["sub"], found["gen"], found["sid"], found["ver"], state, float(found["exp"]))
