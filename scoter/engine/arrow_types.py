"""Arrow types of rows that are given: as what DuckDB reads them, and as what Iceberg stores them.

This module must not know tables, batches or connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyarrow import types as arrow
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from scoter.catalog.names import folded

_EXTENSION = b"ARROW:extension:name"
_EXTENSIONS = frozenset({"arrow.json", "arrow.uuid"})
_SHOWN = 60


class Unfit(Exception):
    """Why a type can not be used; reads on after the column's name and type."""


def shown(text: object) -> str:
    """Return a type's name, cut where it is long."""
    whole = str(text)
    return whole if len(whole) <= _SHOWN else whole[: _SHOWN - 1] + "…"


def readable(field: pa.Field, *, new: bool = False) -> pa.DataType:
    """Return the type that DuckDB reads without loss: the field's own, or one that it is cast to.

    For a ``new`` table it is also a type that Iceberg has. Raises Unfit.
    """
    kind = field.type
    extension = (field.metadata or {}).get(_EXTENSION)
    if isinstance(kind, pa.BaseExtensionType):
        extension = kind.extension_name.encode()
        if kind.extension_name in _EXTENSIONS:
            return kind
    if extension is not None:
        name = shown(extension.decode(errors="replace"))
        raise Unfit(f"has the extension type {name}, which is not known")
    if is_encoded(kind):
        return encoded(kind, readable(pa.field("", kind.value_type), new=new))
    if arrow.is_nested(kind):
        return _readable_nested(kind, new=new)
    if arrow.is_decimal(kind):
        return _readable_decimal(kind)
    if arrow.is_duration(kind) or arrow.is_interval(kind):
        raise Unfit("can not be stored in an Iceberg table")
    return _readable_new(kind) if new else _readable_plain(kind)


def _readable_plain(kind: pa.DataType) -> pa.DataType:
    if arrow.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if arrow.is_time64(kind):
        return pa.time64("us")
    return pa.float32() if arrow.is_float16(kind) else kind


def _readable_new(kind: pa.DataType) -> pa.DataType:
    if arrow.is_null(kind):
        raise Unfit("does not say what its values are")
    return pa.decimal128(20, 0) if arrow.is_uint64(kind) else _readable_plain(kind)


def encoded(kind: pa.DataType, value: pa.DataType) -> pa.DataType:
    """Return the dictionary or run-end encoded type ``kind``, or ``value`` where its values are cast to that."""
    if value == kind.value_type:
        return kind
    if arrow.is_run_end_encoded(kind):
        raise Unfit("can not be read when it is run-end encoded")
    return value


def _readable_decimal(kind: pa.DataType) -> pa.DataType:
    scale, whole = max(kind.scale, 0), kind.precision - min(kind.scale, 0)
    if scale > 38 or (whole > 38 and not arrow.is_decimal256(kind)):
        raise Unfit("has more than 38 digits")
    if arrow.is_decimal256(kind) or kind.scale < 0:
        return pa.decimal128(min(whole, 38), scale)
    return kind


def _readable_nested(kind: pa.DataType, *, new: bool) -> pa.DataType:
    if arrow.is_union(kind):
        raise Unfit("can not be stored in an Iceberg table")
    if arrow.is_map(kind):
        key, item = readable(kind.key_field, new=new), readable(kind.item_field, new=new)
        if key != kind.key_type or is_encoded(key):
            # To cast or decode a key could make it NULL, at which Arrow ends the process.
            raise Unfit("has keys of a type that can not be read")
        return with_item(kind, item)
    if arrow.is_struct(kind):
        parts = [kind.field(index) for index in range(kind.num_fields)]
        if not parts:
            raise Unfit("has no fields")
        if len({folded(part.name) for part in parts}) < len(parts) or not all(
            is_name(part.name) for part in parts
        ):
            raise Unfit("has fields without a name or of one name")
        found = [readable(part, new=new) for part in parts]
        return with_fields(kind, parts, found)
    element = readable(kind.value_field, new=new)
    return with_element(kind, element)


def with_fields(kind: pa.DataType, parts: Sequence[pa.Field], found: Sequence[pa.DataType]) -> pa.DataType:
    """Return the struct type ``kind`` with fields of other types."""
    if all(part.type == one for part, one in zip(parts, found, strict=True)):
        return kind
    return pa.struct([part.with_type(one) for part, one in zip(parts, found, strict=True)])


def with_item(kind: pa.DataType, item: pa.DataType) -> pa.DataType:
    """Return the map type ``kind`` with values of another type."""
    return kind if item == kind.item_type else pa.map_(kind.key_field, kind.item_field.with_type(item))


def with_element(kind: pa.DataType, element: pa.DataType) -> pa.DataType:
    """Return the list type ``kind`` with elements of another type."""
    if element == kind.value_type:
        return kind
    field = kind.value_field.with_type(element)
    if arrow.is_list(kind):
        return pa.list_(field)
    if arrow.is_large_list(kind):
        return pa.large_list(field)
    if arrow.is_fixed_size_list(kind):
        return pa.list_(field, kind.list_size)
    # Arrow's cast of a list view gives an array that is not valid.
    raise Unfit("can not be read as a list view")


def stored(kind: pa.DataType, ids: Iterator[int]) -> IcebergType:
    """Return the Iceberg type for a type that `readable` gave for a new table.

    Ids of nested fields are drawn from ``ids``.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return UUIDType() if is_uuid(kind) else StringType()
    if is_encoded(kind):
        return stored(kind.value_type, ids)
    if arrow.is_map(kind):
        key, value = next(ids), next(ids)
        return MapType(
            key, stored(kind.key_type, ids), value, stored(kind.item_type, ids), value_required=False
        )
    if arrow.is_struct(kind):
        parts = [kind.field(index) for index in range(kind.num_fields)]
        return StructType(
            *(NestedField(next(ids), part.name, stored(part.type, ids), required=False) for part in parts)
        )
    if arrow.is_nested(kind):
        element = next(ids)
        return ListType(element, stored(kind.value_type, ids), element_required=False)
    if arrow.is_decimal(kind):
        return DecimalType(kind.precision, kind.scale)
    if arrow.is_timestamp(kind):
        return TimestampType() if kind.tz is None else TimestamptzType()
    return _stored_plain(kind)


def _stored_plain(kind: pa.DataType) -> IcebergType:
    if arrow.is_boolean(kind):
        return BooleanType()
    if arrow.is_integer(kind):
        return LongType() if kind.bit_width == 64 or kind == pa.uint32() else IntegerType()
    if arrow.is_floating(kind):
        return DoubleType() if kind == pa.float64() else FloatType()
    if is_text(kind):
        return StringType()
    if is_binary(kind):
        return BinaryType()
    if arrow.is_date(kind):
        return DateType()
    if arrow.is_time(kind):
        return TimeType()
    raise Unfit("can not be stored in an Iceberg table")


def is_name(name: str) -> bool:
    """Say whether a column or field can be called so; DuckDB reads names of Arrow up to a code of 0."""
    return bool(name) and "\0" not in name


def is_encoded(kind: pa.DataType) -> bool:
    """Say whether values are encoded by a dictionary or by runs."""
    return bool(arrow.is_dictionary(kind) or arrow.is_run_end_encoded(kind))


def is_number(kind: pa.DataType) -> bool:
    """Say whether values are integers, floats or decimals."""
    return bool(arrow.is_integer(kind) or arrow.is_floating(kind) or arrow.is_decimal(kind))


def is_text(kind: pa.DataType) -> bool:
    """Say whether values are texts."""
    if isinstance(kind, pa.BaseExtensionType):
        return bool(kind.extension_name == "arrow.json")
    return bool(arrow.is_string(kind) or arrow.is_large_string(kind) or arrow.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Say whether values are bytes."""
    return bool(
        arrow.is_binary(kind)
        or arrow.is_large_binary(kind)
        or arrow.is_binary_view(kind)
        or arrow.is_fixed_size_binary(kind)
    )


def is_uuid(kind: pa.DataType) -> bool:
    """Say whether values are UUIDs."""
    return isinstance(kind, pa.BaseExtensionType) and bool(kind.extension_name == "arrow.uuid")
