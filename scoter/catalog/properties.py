"""Which Iceberg properties Scoter lets through: an allow-list, because some of them load code.

This module must not know where a property comes from or what is done with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.table.metadata import TableMetadata

from scoter.errors import ConfigurationError, InvalidDefinition, NotSupported
from scoter.suggestions import closest

# Everything else is left out: properties that name a class to import, that move files out of the table's
# directory, that redirect storage credentials, or that delete metadata files a ticket may still point to.
_EXACT = frozenset(
    {
        "comment",
        "commit.manifest-merge.enabled",
        "commit.manifest.min-count-to-merge",
        "commit.manifest.target-size-bytes",
        "commit.retry.max-wait-ms",
        "commit.retry.min-wait-ms",
        "commit.retry.num-retries",
        "commit.retry.total-timeout-ms",
        "created-at",
        "format-version",
        "gc.enabled",
        "history.expire.max-ref-age-ms",
        "history.expire.max-snapshot-age-ms",
        "history.expire.min-snapshots-to-keep",
        "owner",
        "read.split.target-size",
        "schema.name-mapping.default",
        "write.avro.compression-codec",
        "write.delete.isolation-level",
        "write.delete.mode",
        "write.distribution-mode",
        "write.format.default",
        "write.merge.isolation-level",
        "write.merge.mode",
        "write.metadata.compression-codec",
        "write.metadata.metrics.default",
        "write.metadata.previous-versions-max",
        "write.parquet.bloom-filter-max-bytes",
        "write.parquet.compression-codec",
        "write.parquet.compression-level",
        "write.parquet.dict-size-bytes",
        "write.parquet.page-row-limit",
        "write.parquet.page-size-bytes",
        "write.parquet.row-group-limit",
        "write.parquet.row-group-size-bytes",
        "write.summary.partition-limit",
        "write.target-file-size-bytes",
        "write.update.isolation-level",
        "write.update.mode",
    }
)
_PREFIXES = ("scoter.", "write.metadata.metrics.column.", "write.parquet.bloom-filter-enabled.column.")

# A table's own limits on retries are bounded, or a property could hold a server's thread for days.
_BOUNDS = {
    "commit.retry.num-retries": 20,
    "commit.retry.min-wait-ms": 60_000,
    "commit.retry.max-wait-ms": 60_000,
    "commit.retry.total-timeout-ms": 1_800_000,
}
_MAX_VALUE = 32_768  # characters; name mappings of wide tables are long

# In a catalog's or table's settings for storage these name a class that pyiceberg would import.
_CODE = frozenset(
    {
        "auth.impl",
        "catalog-impl",
        "io-impl",
        "py-catalog-impl",
        "py-io-impl",
        "s3.retry-strategy-impl",
        "write.location-provider.impl",
        "write.py-location-provider.impl",
    }
)


def is_allowed(key: str) -> bool:
    """Say whether a table property of that name may be set and is honoured."""
    return key in _EXACT or key.startswith(_PREFIXES)


def allowed(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the table properties that are honoured; the others are not an error in a foreign table."""
    return {key: value for key, value in properties.items() if is_allowed(key) and _within(key, value)}


def check(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties of a table that is to be created or altered.

    Raises InvalidDefinition for one that is not on the list, NotSupported for a format version that
    can not be written.
    """
    for key, value in properties.items():
        if not is_allowed(key):
            hint = closest(key, sorted(_EXACT)) or 'names of your own may begin with "scoter."'
            raise InvalidDefinition(f'the table property "{key[:200]}" can not be set', hint=hint)
        if len(value) > _MAX_VALUE or not _within(key, value):
            raise InvalidDefinition(f'the value of the table property "{key[:200]}" is not allowed')
        if key == "format-version" and value != "2":
            raise NotSupported(f"tables of format version {value[:20]} can not be written", hint="use 2")
        if key == "write.format.default" and value.casefold() != "parquet":
            raise NotSupported(f"data files of format {value[:20]} can not be written", hint="use parquet")
    return dict(properties)


def tamed(metadata: TableMetadata) -> TableMetadata:
    """Return the metadata with only the honoured properties, so that no reader of it can act on others."""
    kept = allowed(metadata.properties)
    if len(kept) == len(metadata.properties):
        return metadata
    return metadata.model_copy(update={"properties": kept})


def without_code(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the catalog or storage properties without those that name a class to import."""
    return {key: value for key, value in properties.items() if not _loads_code(key)}


def check_catalog(name: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of an attached catalog; raises ConfigurationError for one that loads code."""
    for key in properties:
        if _loads_code(key):
            raise ConfigurationError(f"setting catalogs.{name}.properties: {key} can not be set")
    return dict(properties)


def _loads_code(key: str) -> bool:
    return key in _CODE or key.endswith(("-impl", ".impl"))


def _within(key: str, value: str) -> bool:
    bound = _BOUNDS.get(key)
    return bound is None or (value.isascii() and value.isdigit() and int(value[:20]) <= bound)
