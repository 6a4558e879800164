"""Scoter's settings: one frozen tree from ``scoter.toml``, environment and flags.

This module must not know what a setting is used for; nothing else reads the environment.
"""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from scoter.errors import ConfigurationError
from scoter.suggestions import closest

MIB = 1024 * 1024


# Where Linux says how much memory a container may take, by the version of its groups.
_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def _all_memory() -> int:
    """Return the bytes of memory that this machine or container has."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for place in _CONTAINER:
        with suppress(OSError, ValueError):
            found = min(found, int(Path(place).read_text("ascii")))
    return found


def _half_of_memory() -> int:
    return _all_memory() // 2


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Server(_Section):
    """Where the server listens and how long what it hands out is valid."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(31337, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    tls_cert: Path | None = Field(None, description="PEM file with the server's certificate chain")
    tls_key: Path | None = Field(None, description="PEM file with the server's private key")
    token_lifetime: int = Field(3600, gt=0, description="seconds that a login token is valid")
    ticket_lifetime: int = Field(3600, gt=0, description="seconds that a ticket and bound values are valid")
    handle_lifetime: int = Field(
        86_400, gt=0, le=20 * 86_400, description="seconds that a prepared statement's handle is valid"
    )
    session_idle: int = Field(1800, gt=0, description="seconds after which an idle session ends")
    max_sessions: int = Field(10_000, gt=0, description="sessions kept at once")
    principal_sessions: int = Field(2000, gt=0, description="sessions kept at once for one user")
    principal_statements: int = Field(128, gt=0, description="statements of one user accepted at once")
    principal_streams: int = Field(128, gt=0, description="results that one user fetches at once")
    stall_seconds: float = Field(300.0, gt=0, description="seconds that a client may stop reading a result")
    max_message_bytes: int = Field(
        16 * MIB, ge=MIB, le=2047 * MIB, description="most bytes of one message to clients that name no limit"
    )
    max_bind_bytes: int = Field(512 * MIB, gt=0, description="most bytes of values bound to a statement")
    held_bytes: int = Field(2048 * MIB, gt=0, description="disk bytes for large bound values and results")
    batch_bytes: int = Field(4 * MIB, ge=64 * 1024, le=15 * MIB, description="most bytes of one result batch")
    memory_limit: int = Field(
        default_factory=_all_memory,
        ge=256 * MIB,
        description="bytes of memory that the process may ask for; what asks for more ends its statement (Linux)",
    )
    drain_seconds: int = Field(30, ge=0, description="seconds that running statements get on SIGTERM")


class Query(_Section):
    """What one statement may use."""

    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, gt=0, description="threads of one statement"
    )
    memory_limit: int = Field(
        default_factory=_half_of_memory, ge=64 * MIB, description="bytes for all statements together"
    )
    statement_memory: int | None = Field(
        None, ge=32 * MIB, description="bytes for one statement; unset: memory_limit / concurrency"
    )
    concurrency: int = Field(4, gt=0, description="statements that run at once")
    queue: int = Field(64, ge=0, description="statements that may wait for a place")
    queue_seconds: float = Field(60.0, ge=0, description="seconds that a statement waits for a place")
    statement_timeout: float = Field(0.0, ge=0, description="seconds a statement may run; 0: no limit")
    max_sql_bytes: int = Field(1 * MIB, gt=0, description="most bytes of one statement")
    temp_bytes: int = Field(20_000 * MIB, gt=0, description="most temporary disk bytes of one statement")


class Models(_Section):
    """What a model file may be and cost."""

    allowed_prefixes: tuple[str, ...] = Field(
        (), description="paths or URIs under which CREATE MODEL … FROM may read"
    )
    mlflow_uri: str | None = Field(
        None,
        pattern="^https?://",
        description="address of the MLflow server whose registry CREATE MODEL … FROM 'models:/…' may read",
    )
    max_bytes: int = Field(256 * MIB, gt=0, description="most bytes of a model file")
    max_nodes: int = Field(50_000, gt=0, description="most operators in a model")
    load_seconds: float = Field(20.0, gt=0, description="seconds that the first load may take")
    load_memory: int = Field(2048 * MIB, gt=0, description="bytes that the first load may take")
    cache_bytes: int = Field(1024 * MIB, gt=0, description="bytes of model files kept loaded")
    execution_provider: Literal["cpu", "cuda", "tensorrt", "openvino", "coreml", "directml"] = Field(
        "cpu", description="what ONNX Runtime computes on; its package must have it"
    )
    batch_seconds: float = Field(
        300.0, ge=0, description="seconds that a model may take for one batch of rows; 0: no limit"
    )
    quarantine_after: int = Field(
        3,
        ge=0,
        description="statements in a row that a model may end by its time or memory before it is not run any more; "
        "0: any number",
    )
    inline: bool = Field(True, description="compute linear models in SQL where many rows are scored")
    compile_trees: bool = Field(
        True, description="compile ensembles of trees that score many rows; needs the extra scoter[trees]"
    )


class Tables(_Section):
    """What tables that Scoter creates are given."""

    # Measured: snappy is read 1.3 to 1.7 times as fast as zstd and takes 1.4 times its space on TPC-H.
    compression: Literal["snappy", "zstd", "lz4", "gzip", "uncompressed"] = Field(
        "snappy", description="write.parquet.compression-codec of new tables"
    )


class ObjectStores(_Section):
    """How object stores are read."""

    cache_bytes: int = Field(
        10_000 * MIB, ge=0, description="disk bytes for parts of data files that were read; 0: none are kept"
    )
    cache_directory: Path | None = Field(
        None, description="directory of these parts; unset: `cache` in the lake's directory"
    )
    requests: int = Field(32, ge=1, le=512, description="requests to one store that run at once")
    timeout: float = Field(20.0, gt=0, description="seconds that a request may stand still")


class S3(_Section):
    """How the object store of one catalog is reached."""

    endpoint: str | None = Field(
        None, description="address of the store, as https://s3.example.org; unset: AWS"
    )
    region: str | None = Field(None, description="region of the buckets")
    access_key_id: str | None = Field(
        None, repr=False, description="key; unset: AWS's own variables, files and roles are asked"
    )
    secret_access_key: str | None = Field(None, repr=False, description="the key's secret")
    session_token: str | None = Field(None, repr=False, description="token of a temporary key")
    virtual_host: bool = Field(
        False,
        description="say that buckets are names of hosts, not parts of paths, at an endpoint of its own",
    )
    allowed_endpoints: tuple[str, ...] = Field(
        (), description="other addresses to which the catalog's server may lead"
    )

    def properties(self) -> dict[str, str]:
        """Return it as properties for pyiceberg."""
        named = {
            "s3.endpoint": self.endpoint,
            "s3.region": self.region,
            "s3.access-key-id": self.access_key_id,
            "s3.secret-access-key": self.secret_access_key,
            "s3.session-token": self.session_token,
            "s3.force-virtual-addressing": "true" if self.virtual_host else None,
        }
        return {name: value for name, value in named.items() if value is not None}


class CatalogSettings(_Section):
    """One Iceberg catalog: pyiceberg's type and properties, and where its tables' files are read from."""

    type: str | None = Field(
        None,
        description="pyiceberg's catalog type: sql, rest, glue, hive, …; unset for the embedded catalog only",
    )
    properties: dict[str, str] = Field(default_factory=dict, description="pyiceberg's properties")
    path_map: dict[str, str] = Field(
        default_factory=dict, description="prefixes in tables' metadata and the places they are read from"
    )
    s3: S3 = Field(default_factory=S3, description="how its object store is reached")  # type: ignore[arg-type]  # pydantic fills defaults

    @property
    def all_properties(self) -> dict[str, str]:
        """The properties for pyiceberg with those of the object store; they may hold secrets."""
        return self.properties | self.s3.properties()


class Settings(BaseSettings):
    """Every setting of one lake; precedence from low to high: scoter.toml, environment, flags."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="SCOTER_", env_nested_delimiter="__"
    )

    directory: Path = Field(description="the lake's directory")
    catalog: str = Field("lake", description="name of the default catalog")
    schema_: str = Field("main", alias="schema", description="name of the default schema")
    server: Server = Field(default_factory=Server)  # type: ignore[arg-type]  # pydantic fills defaults
    query: Query = Field(default_factory=Query)  # type: ignore[arg-type]  # pydantic fills defaults
    models: Models = Field(default_factory=Models)  # type: ignore[arg-type]  # pydantic fills defaults
    tables: Tables = Field(default_factory=Tables)  # type: ignore[arg-type]  # pydantic fills defaults
    objects: ObjectStores = Field(default_factory=ObjectStores)  # type: ignore[arg-type]  # pydantic fills defaults
    catalogs: dict[str, CatalogSettings] = Field(
        default_factory=dict,
        description="other catalogs by name; one named like `catalog`, with a type, replaces it",
    )
    metastore: str | None = Field(
        None,
        description="SQLAlchemy URL of a PostgreSQL database for the metastore; unset: a file in the lake",
    )
    log: Path | None = Field(None, description="file of the statement log; unset: standard error")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the strongest first: flags, environment, scoter.toml."""
        toml = TomlConfigSettingsSource(settings_cls, _toml_path(init_settings()))
        return init_settings, env_settings, toml

    @property
    def metastore_url(self) -> str:
        """SQLAlchemy URL of the metastore; it may hold a password."""
        return self.metastore or f"sqlite:///{self.directory.absolute() / 'metastore.db'}"

    @property
    def object_cache(self) -> Path:
        """Absolute directory of what is kept of files in object stores."""
        return (self.objects.cache_directory or self.directory / "cache").absolute()

    @property
    def warehouse(self) -> Path:
        """Absolute directory of the lake's files."""
        return self.directory.absolute() / "warehouse"


_SECTIONS: dict[str, type[_Section]] = {
    "server": Server,
    "query": Query,
    "models": Models,
    "tables": Tables,
    "objects": ObjectStores,
}


def _toml_path(flags: dict[str, Any]) -> Path | None:
    path = Path(flags["directory"]) / "scoter.toml"
    return path if path.is_file() else None


def load(directory: Path | str, **flags: Any) -> Settings:
    """Read the settings of the lake in ``directory``; ``flags`` are nested dicts that win over all.

    Raises ConfigurationError for an unknown key, a value that does not fit, or unreadable TOML.
    """
    unknown = [name for name in os.environ if name.startswith("SCOTER_") and not _known(name)]
    if unknown:
        raise ConfigurationError(
            f"unknown setting in the environment: {min(unknown)}",
            hint="docs/operations.md lists the settings",
        )
    try:
        return Settings(directory=Path(directory), **flags)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = closest(str(first["loc"][-1]), _keys()) or "docs/operations.md lists the settings"
            raise ConfigurationError(f"unknown setting: {place}", hint=hint) from error
        raise ConfigurationError(f"setting {place}: {first['msg']}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"scoter.toml is not TOML: {error}") from error


def _keys() -> list[str]:
    names = ["schema" if name == "schema_" else name for name in Settings.model_fields]
    for section in _SECTIONS.values():
        names += list(section.model_fields)
    return names


def _known(variable: str) -> bool:
    """Say whether an environment variable names a setting (``SCOTER_SERVER__PORT``)."""
    parts = variable.removeprefix("SCOTER_").casefold().split("__")
    if parts[0] == "catalogs":
        return len(parts) > 1
    if parts[0] in _SECTIONS:
        return len(parts) == 1 or (len(parts) == 2 and parts[1] in _SECTIONS[parts[0]].model_fields)
    return len(parts) == 1 and parts[0] in {"catalog", "schema", "metastore", "log", "password"}


def client_password() -> str | None:
    """Return the password that a client logs in with, from ``SCOTER_PASSWORD``; no lake's setting."""
    return os.environ.get("SCOTER_PASSWORD")


def mlflow_login() -> tuple[str, str] | str | None:
    """Return the login of the MLflow server from MLflow's own variables: user and password, a token, or None."""
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        return user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    return os.environ.get("MLFLOW_TRACKING_TOKEN") or None
