"""Parameter schemas for drivers that write bound values into vectors of the types they are told.

Arrow's JDBC driver does so and checks nothing: 300 for an int8 becomes 44, and times are written as
milliseconds into whatever unit the vector has. It is told types that hold what it writes, and the
server casts, which does check.
This module must not know statements or how values are bound.
"""

from __future__ import annotations

import pyarrow as pa


def binder_schema(schema: pa.Schema, user_agent: str) -> pa.Schema:
    """Return the parameter schema that a client is told, by the `user-agent` that it sends."""
    if "grpc-java" not in user_agent:
        return schema
    return pa.schema([field.with_type(_roomy(field.type)) for field in schema], schema.metadata)


def _roomy(kind: pa.DataType) -> pa.DataType:
    """Return the type of the same values that is safe to fill without a check."""
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_float32(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("ms", kind.tz)
    if pa.types.is_time(kind):
        return pa.time32("ms")
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_roomy(kind.value_type)))
    return kind
