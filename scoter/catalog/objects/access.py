"""How an object store is reached: its endpoint and credentials, and which of them a server may set.

This module must not know how requests are made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlparse

from scoter.errors import ConfigurationError

SCHEMES = frozenset({"s3", "s3a", "s3n"})

_REGION = re.compile(r"[a-z0-9-]{1,40}")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
# Of what a catalog's server sends with a table, nothing else is used: not proxies, roles, profiles or signers.
_SENT = frozenset(
    {
        "client.region",
        "s3.access-key-id",
        "s3.endpoint",
        "s3.force-virtual-addressing",
        "s3.path-style-access",
        "s3.region",
        "s3.secret-access-key",
        "s3.session-token",
    }
)
_KEYS = frozenset({"s3.access-key-id", "s3.secret-access-key", "s3.session-token"})


def is_object(location: str) -> bool:
    """Say whether a location is an object of an S3 store."""
    return location.partition("://")[0] in SCHEMES


def object_path(location: str) -> str:
    """Return bucket and key of an object's location.

    >>> object_path("s3a://lake/a b/c.parquet")
    'lake/a b/c.parquet'
    """
    return location.partition("://")[2]


@dataclass(frozen=True)
class Access:
    """One store as one holder of credentials sees it; without keys AWS's own chain of sources is asked."""

    endpoint: str = ""
    region: str = ""
    key_id: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    virtual_host: bool = False
    anonymous: bool = False

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> Access:
        """Read pyiceberg's properties; raises ConfigurationError for an endpoint, region or pair of keys of none."""
        endpoint = properties.get("s3.endpoint", "").rstrip("/")
        region = properties.get("s3.region") or properties.get("client.region", "")
        url = urlparse(endpoint)
        if endpoint and (
            url.scheme not in {"http", "https"} or not _HOST.fullmatch(url.netloc) or url.path or url.query
        ):
            raise ConfigurationError("s3.endpoint is no address such as https://s3.example.org")
        if region and not _REGION.fullmatch(region):
            raise ConfigurationError("s3.region is no name of a region")
        key_id, secret = properties.get("s3.access-key-id", ""), properties.get("s3.secret-access-key", "")
        if bool(key_id) != bool(secret):
            raise ConfigurationError(
                "s3.access-key-id and s3.secret-access-key go together, and one is missing"
            )
        path_style = properties.get("s3.path-style-access")
        virtual = properties.get("s3.force-virtual-addressing")
        return cls(
            endpoint,
            region,
            key_id,
            secret,
            properties.get("s3.session-token", ""),
            virtual_host=_true(virtual) or (path_style is not None and not _true(path_style)),
            anonymous=_true(properties.get("s3.anonymous")),
        )


def lent(own: Mapping[str, str], sent: Mapping[str, str], endpoints: Sequence[str], name: str) -> Access:
    """Return the access to a table's files: the catalog's own settings, with what its server sent over them.

    A server may lend credentials, but lead only to the endpoint that the catalog's settings name, to those
    in ``endpoints``, and to AWS. Raises ConfigurationError for another one.
    """
    kept = {key: value for key, value in sent.items() if key in _SENT}
    endpoint = kept.get("s3.endpoint", "").rstrip("/")
    known = [address.rstrip("/") for address in (own.get("s3.endpoint", ""), *endpoints) if address]
    if endpoint and endpoint not in known and not _is_aws(endpoint):
        raise ConfigurationError(
            f'the server of catalog "{name}" leads to an object store that is not allowed',
            hint=f"setting catalogs.{name}.s3.allowed_endpoints lists the allowed ones",
        )
    if kept.keys() & _KEYS:
        # A lent key goes with its own secret and token, never with ours.
        own = {key: value for key, value in own.items() if key not in _KEYS}
    return Access.of({**own, **kept})


def _is_aws(endpoint: str) -> bool:
    url = urlparse(endpoint)
    return url.scheme == "https" and (url.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _true(value: str | None) -> bool:
    return (value or "").casefold() in {"true", "1", "yes"}
