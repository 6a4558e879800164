"""Who calls: headers become a caller with a session, or the call is refused before it begins.

This module must not know what the call is about.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyarrow import flight

from scoter.catalog.principals import Principal, Principals, Role
from scoter.errors import AuthenticationFailed
from scoter.server.tokens import Claims, State, Tokens, new_session_id

LOCAL = Principal(name="local", role=Role.ADMIN)

_COOKIE = "scoter-session"
_FRESH = 1.0  # seconds for which what the metastore said of a principal is believed
_LOGIN = 30.0  # seconds for which a proven password is believed
_MOST = 1024  # principals and logins remembered

Headers = Mapping[str, Sequence[str | bytes]]


@dataclass(frozen=True)
class Caller:
    """Who a call comes from and which session it belongs to."""

    principal: Principal
    session: str
    version: int = 0
    state: State | None = None
    answer: Mapping[str, str] | None = None  # headers that hand the client a new token
    begun: bool = False  # whether the session begins with this call


class NoHandshake(flight.ServerAuthHandler):  # type: ignore[misc]  # pyarrow has no types
    """Lets Handshake through: without a handler gRPC answers it UNIMPLEMENTED and drivers give up.

    Authentication is in the headers of each call, also of Handshake.
    """

    def authenticate(self, outgoing: object, incoming: object) -> None:
        """Accept; the headers were checked before."""

    def is_valid(self, token: object) -> bytes:  # noqa: ARG002  # pyarrow calls it
        """Accept; the headers were checked before."""
        return b""


class Authentication:
    """Tells callers apart by Basic credentials and by the tokens that we mint."""

    def __init__(self, principals: Principals, tokens: Tokens, log: Callable[..., None]) -> None:
        self._principals = principals
        self._tokens = tokens
        self._log = log
        self._exist: _Remembered[bool] = _Remembered(_FRESH)
        self._known: _Remembered[Principal] = _Remembered(_FRESH)
        self._logins: _Remembered[Principal] = _Remembered(_LOGIN)
        self._secret = secrets.token_bytes(32)

    def identify(self, headers: Headers, *, mint: bool = True) -> Caller:
        """Return the caller; raises AuthenticationFailed when users exist and none is proven.

        Without ``mint`` a client that brings no token is not handed one.
        """
        claims = self._claims(headers)
        if not self._demanded():
            # Also an expired token still names its session: there is nothing to prove.
            mine = [c for c in claims if c.principal == LOCAL.name]
            if mine:
                return self._resume(LOCAL, mine[0])
            return self._begin(LOCAL) if mint else Caller(LOCAL, new_session_id())
        login = _basic(headers)
        if login is not None:
            return self._begin(self._login(*login))
        now = time.time()
        for found in claims:
            if found.expires > now:
                principal = self._current(found.principal, found.generation)
                if principal is not None:
                    return self._resume(principal, found)
        if claims:
            raise AuthenticationFailed("the login is no longer valid", hint="connect again")
        raise AuthenticationFailed("a user and a password are needed")

    def token_headers(self, caller: Caller, version: int, state: State) -> dict[str, str]:
        """Return headers with a token that holds a session's new state."""
        return self._headers(caller.principal, caller.session, version, state)

    def _resume(self, principal: Principal, claims: Claims) -> Caller:
        answer = None
        if self._tokens.is_old(claims):
            answer = self._headers(principal, claims.session, claims.version, claims.state)
        return Caller(principal, claims.session, claims.version, claims.state, answer)

    def _begin(self, principal: Principal) -> Caller:
        session = new_session_id()
        return Caller(principal, session, answer=self._headers(principal, session, 0, None), begun=True)

    def _headers(
        self, principal: Principal, session: str, version: int, state: State | None
    ) -> dict[str, str]:
        token = self._tokens.mint(principal.name, principal.generation, session, version, state)
        # Go and Python drivers adopt the header of any answer, JDBC and ODBC only cookies.
        return {"authorization": f"Bearer {token}", "set-cookie": f"{_COOKIE}={token}"}

    def _claims(self, headers: Headers) -> list[Claims]:
        """Return what the call's valid tokens say, the newest first.

        A client may bring several: JDBC keeps its first token for ever and adds the cookie, ADBC
        adds up the tokens of an answer's header and trailer.
        """
        found = [claims for token in _bearers(headers) if (claims := self._tokens.read(token)) is not None]
        if len(found) > 1:
            found.sort(key=lambda claims: (claims.version, claims.expires), reverse=True)
        return found

    def _demanded(self) -> bool:
        exist = self._exist.get("")
        if exist is None:
            exist = self._principals.exist()
            self._exist.put("", exist)
        return exist

    def _current(self, name: str, generation: int) -> Principal | None:
        """Return the principal unless it was removed, or its password or role changed since."""
        known = self._known.get(name)
        if known is None:
            known = self._principals.get(name)
            if known is not None:
                self._known.put(name, known)
        return known if known is not None and known.generation == generation else None

    def _login(self, name: str, password: str) -> Principal:
        # Some clients send Basic with every call. A password's hash is slow by design, so that a proven
        # login is remembered shortly, under a key that means nothing outside this process.
        key = hashlib.blake2b(f"{name}\0{password}".encode(), key=self._secret).hexdigest()
        proven = self._logins.get(key)
        if proven is not None and self._current(proven.name, proven.generation) is not None:
            return proven
        try:
            proven = self._principals.verify(name, password)
        except AuthenticationFailed:
            self._log("login refused", principal=name[:128])
            raise
        self._log("login", principal=proven.name)
        self._logins.put(key, proven)
        return proven


T = TypeVar("T")


class _Remembered(Generic[T]):
    """Values believed for a while; bounded, safe for many threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T | None:
        found = self._values.get(key)
        if found is None or found[0] < time.monotonic():
            return None
        return found[1]

    def put(self, key: str, value: T) -> None:
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = (time.monotonic() + self._seconds, value)
            while len(self._values) > _MOST:
                self._values.popitem(last=False)


def _bearers(headers: Headers) -> Iterator[str]:
    for value in headers.get("authorization", ()):
        scheme, _, token = _text(value).partition(" ")
        if scheme.casefold() == "bearer":
            yield token.strip()
    for value in headers.get("cookie", ()):
        for part in _text(value).split(";"):
            name, _, token = part.strip().partition("=")
            if name == _COOKIE:
                yield token.strip('"')


def _basic(headers: Headers) -> tuple[str, str] | None:
    for value in headers.get("authorization", ()):
        scheme, _, encoded = _text(value).partition(" ")
        if scheme.casefold() == "basic":
            try:
                # Go's driver leaves the padding out.
                plain = base64.b64decode(encoded.strip() + "==", validate=False).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise AuthenticationFailed("the Basic credentials can not be read") from error
            name, _, password = plain.partition(":")
            return name, password
    return None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
