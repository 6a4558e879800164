"""Reads a table's metadata file that anybody may have written: only so many bytes, and only what can be used.

This module must not know catalogs, nor where files may lie.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from pyiceberg.io import InputFile
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.transforms import BucketTransform, TruncateTransform

from scoter.errors import CorruptData, NotSupported

MOST_BYTES = 128 * 1024 * 1024
"""Bytes of a metadata file, of a compressed one when it is expanded; in memory it takes up to forty times as many."""

_COMPRESSED = ".gz.metadata.json"
_GZIP = 31  # zlib's word for a gzip header and the largest window
_MOST_WIDTH = 2**31 - 1
_DEEPEST = 60  # Arrow's interface passes 64 levels on


def read_metadata(source: InputFile) -> TableMetadata:
    """Return the metadata in a file.

    Raises CorruptData for one of more than MOST_BYTES, one that is cut off and one whose numbers no table can
    have, NotSupported for columns that are nested too deep; pydantic's ValidationError for what is no metadata;
    what ``source`` raises where it can not be read.
    """
    if len(source) > MOST_BYTES:
        raise _too_long()
    with source.open() as stream:
        data = stream.read(MOST_BYTES + 1)
    if source.location.endswith(_COMPRESSED):
        data = _expanded(data)
    if len(data) > MOST_BYTES:
        raise _too_long()
    metadata = TableMetadataUtil.parse_obj(parsed(data))
    for spec in metadata.partition_specs:
        for field in spec.fields:
            match field.transform:
                case BucketTransform(num_buckets=number) | TruncateTransform(width=number):
                    if not 0 < number <= _MOST_WIDTH:
                        raise CorruptData(
                            "the metadata of the table has a partition transform of a width that none can have"
                        )
    return metadata


def parsed(data: bytes) -> dict[str, Any]:
    """Return the object that a metadata file of a table or a view holds.

    Raises ValueError for what is no JSON, CorruptData for what is no object, NotSupported where its schemas have
    types that are nested too deep.
    """
    try:
        found = json.loads(data.decode())
    except RecursionError as error:
        raise CorruptData("the metadata file holds what none does, too deep to be read") from error
    if not isinstance(found, dict):
        raise CorruptData("the metadata file holds no object")
    schemas = found.get("schemas")
    # Before pydantic sees them, whose validators are as deep as the types.
    if _is_deep([found.get("schema"), *(schemas if isinstance(schemas, list) else [])]):
        raise NotSupported(f"a column has more than {_DEEPEST} types inside each other")
    return found


def _expanded(data: bytes) -> bytes:
    found = b""
    # A file may be of several parts.
    while data or not found:
        stream = zlib.decompressobj(_GZIP)
        try:
            found += stream.decompress(data, MOST_BYTES + 1 - len(found))
        except zlib.error as error:
            raise CorruptData("the compressed metadata file is damaged") from error
        if len(found) > MOST_BYTES:
            break
        if not stream.eof:
            raise CorruptData("the compressed metadata file is cut off")
        data = stream.unused_data
    return found


def _is_deep(schemas: Sequence[object]) -> bool:
    """Say whether types stand in each other too deep, in schemas as JSON has them; they may be anything."""
    level, depth = list(schemas), 0
    while level:
        depth += 1
        if depth > _DEEPEST + 1:
            return True
        inside: list[object] = []
        for kind in level:
            if isinstance(kind, dict):
                fields = kind.get("fields")
                inside += (
                    [f.get("type") for f in fields if isinstance(f, dict)] if isinstance(fields, list) else []
                )
                inside += [kind[part] for part in ("element", "key", "value", "type") if part in kind]
        level = inside
    return False


def _too_long() -> CorruptData:
    return CorruptData(
        f"the metadata file has more than {MOST_BYTES:,} bytes",
        hint="expire snapshots with the engine that writes the table",
    )
