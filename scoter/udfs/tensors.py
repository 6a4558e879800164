"""ONNX element types beside the NumPy and DuckDB types that hold the same values.

This module must not know models, sessions or rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Element:
    """One element type of a tensor in the three worlds.

    ``runtime`` is how ONNX Runtime spells it inside ``tensor(…)``, ``code`` the number in the file,
    ``duckdb`` the type text of a column that holds it, ``dtype`` NumPy's type.
    """

    runtime: str
    code: int
    duckdb: str
    dtype: np.dtype[np.generic]

    @property
    def arrow(self) -> pa.DataType:
        """Arrow's type of the same values."""
        return pa.string() if self.dtype.kind == "O" else pa.from_numpy_dtype(self.dtype)

    @property
    def is_float(self) -> bool:
        """Say whether the type has NaN."""
        return self.dtype.kind == "f"


def _element(runtime: str, code: int, duckdb: str, dtype: object) -> Element:
    return Element(runtime, code, duckdb, np.dtype(dtype))  # type: ignore[call-overload]  # any of NumPy's names


ELEMENTS: tuple[Element, ...] = (
    _element("float", 1, "FLOAT", np.float32),
    _element("uint8", 2, "UTINYINT", np.uint8),
    _element("int8", 3, "TINYINT", np.int8),
    _element("uint16", 4, "USMALLINT", np.uint16),
    _element("int16", 5, "SMALLINT", np.int16),
    _element("int32", 6, "INTEGER", np.int32),
    _element("int64", 7, "BIGINT", np.int64),
    _element("string", 8, "VARCHAR", object),
    _element("bool", 9, "BOOLEAN", np.bool_),
    _element("float16", 10, "FLOAT", np.float16),
    _element("double", 11, "DOUBLE", np.float64),
    _element("uint32", 12, "UINTEGER", np.uint32),
    _element("uint64", 13, "UBIGINT", np.uint64),
)

_BY_RUNTIME = {element.runtime: element for element in ELEMENTS}
_BY_CODE = {element.code: element for element in ELEMENTS}

STRING = _BY_RUNTIME["string"]


def element_of(runtime_type: str) -> Element | None:
    """Return the element type of ONNX Runtime's ``tensor(…)``, or None for any other type.

    >>> element_of("tensor(int64)").duckdb
    'BIGINT'
    """
    if not (runtime_type.startswith("tensor(") and runtime_type.endswith(")")):
        return None
    return _BY_RUNTIME.get(runtime_type[len("tensor(") : -1])


def element_of_code(code: int) -> Element | None:
    """Return the element type with that number in ONNX files, or None."""
    return _BY_CODE.get(code)


_ARROW = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
}


def arrow_type(duckdb: str) -> pa.DataType:
    """Return the Arrow type under which DuckDB passes a column of one of the types above.

    >>> arrow_type("FLOAT[]")
    ListType(list<element: float>)
    """
    if duckdb.endswith("[]"):
        return pa.list_(pa.field("element", arrow_type(duckdb[:-2])))
    if duckdb.startswith("MAP("):
        key, value = duckdb[len("MAP(") : -1].split(", ")
        return pa.map_(arrow_type(key), arrow_type(value))
    return _ARROW[duckdb]


def required(runtime_type: str) -> tuple[str, bool]:
    """Return what ONNX Runtime's ``optional(…)`` holds, and whether the type is one.

    >>> required("optional(tensor(float))")
    ('tensor(float)', True)
    """
    inner = runtime_type.removeprefix("optional(")
    return (inner.removesuffix(")"), True) if inner != runtime_type else (runtime_type, False)


def map_of(runtime_type: str) -> tuple[Element, Element] | None:
    """Return the element types of ONNX Runtime's ``map(key,tensor(value))``, or None for any other type.

    >>> [each.duckdb for each in map_of("map(string,tensor(float))")]
    ['VARCHAR', 'FLOAT']
    """
    if not (runtime_type.startswith("map(") and runtime_type.endswith(")")):
        return None
    key, _, value = runtime_type[len("map(") : -1].partition(",")
    found = _BY_RUNTIME.get(key), element_of(value)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def sequence_of(runtime_type: str) -> Element | None:
    """Return the element type of ONNX Runtime's ``seq(tensor(…))``, or None for any other type.

    >>> sequence_of("seq(tensor(float))").duckdb
    'FLOAT'
    """
    inner = runtime_type.removeprefix("seq(")
    return None if inner == runtime_type else element_of(inner.removesuffix(")"))


def element_named(runtime: str) -> Element:
    """Return the element type by ONNX Runtime's name; raises KeyError for one that is not offered."""
    return _BY_RUNTIME[runtime]


def infinities(column: pa.Array) -> int:
    """Return how many infinite numbers a column holds, those inside of lists, maps and structs included."""
    kind = column.type
    if pa.types.is_floating(kind):
        return int(np.count_nonzero(np.isinf(column.to_numpy(zero_copy_only=False))))
    if pa.types.is_struct(kind):
        return sum(infinities(part) for part in column.flatten())
    if pa.types.is_map(kind):
        return infinities(column.keys) + infinities(column.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return infinities(column.flatten())
    return 0
