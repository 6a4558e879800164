"""Where a server is and how it is reached: a URI taken apart.

This module must not know drivers or SQL.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_PORT = 31337

_TLS_BY_SCHEME = {
    "grpc": False,
    "grpc+tcp": False,
    "grpc+tls": True,
    "scoter": None,
}
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True)
class Address:
    """What a URI says; None where it says nothing."""

    host: str
    port: int
    tls: bool | None
    user: str | None
    password: str | None
    catalog: str | None
    schema: str | None
    options: dict[str, Any]

    def driver_uri(self, *, tls: bool) -> str:
        """Return the address as the Flight SQL driver takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'grpc+tls' if tls else 'grpc'}://{host}:{self.port}"


def read(uri: str) -> Address:
    """Take ``scoter://user:password@host:port/catalog/schema?option=value`` or ``grpc[+tls]://host:port`` apart.

    Raises ValueError.
    """
    parts = urlsplit(uri)
    if parts.scheme not in _TLS_BY_SCHEME:
        raise ValueError(f"the URI must begin with one of {', '.join(_TLS_BY_SCHEME)}, not {parts.scheme!r}")
    if parts.hostname is None:
        raise ValueError("the URI names no host")
    catalog, schema = path_names(unquote(parts.path))
    return Address(
        host=parts.hostname,
        port=parts.port or DEFAULT_PORT,
        tls=_TLS_BY_SCHEME[parts.scheme],
        user=unquote(parts.username) if parts.username is not None else None,
        password=unquote(parts.password) if parts.password is not None else None,
        catalog=catalog,
        schema=schema,
        options=options(
            dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        ),
    )


def path_names(path: str) -> tuple[str | None, str | None]:
    """Return catalog and schema of ``catalog/schema``. Raises ValueError."""
    names = path.strip("/").split("/") if path.strip("/") else []
    if len(names) > 2:
        raise ValueError(f"a database is catalog/schema, not {path!r}")
    catalog, schema = (*names, None, None)[:2]
    return catalog, schema


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def options(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the options behind ``?``. Raises ValueError for one that is unknown or can not be read."""
    if unknown := sorted(texts.keys() - OPTIONS.keys()):
        raise ValueError(f"unknown options: {', '.join(unknown)}")
    return {name: _value(name, text) for name, text in texts.items()}


def _value(name: str, text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError(f"{name} stands in the URI more than once")  # noqa: TRY004  # the URI is wrong, not a type
    try:
        return OPTIONS[name](text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _truth(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"true or false is meant, not {text!r}")


# What may stand behind the ? of a URI, and how it is read.
OPTIONS: dict[str, Callable[[str], Any]] = {
    "token": str,
    "tls": _truth,
    "tls_root_certs": str,
    "tls_verify": _truth,
    "timeout": float,
    "max_message_bytes": int,
}
