"""The user's INPUT laid over what a model takes: names, types, shapes and answers to NULL.

This module must not know files, processes or outputs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scoter.errors import InvalidDefinition, Span
from scoter.suggestions import closest
from scoter.udfs.signature import Input, Shape, fold, list_type
from scoter.udfs.tensors import STRING, Element

_ALIASES = {
    "BIGINT": "BIGINT",
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "CHAR": "VARCHAR",
    "DOUBLE": "DOUBLE",
    "DOUBLE PRECISION": "DOUBLE",
    "FLOAT": "FLOAT",
    "FLOAT4": "FLOAT",
    "FLOAT8": "DOUBLE",
    "INT": "INTEGER",
    "INT1": "TINYINT",
    "INT2": "SMALLINT",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "INTEGER": "INTEGER",
    "LONG": "BIGINT",
    "REAL": "FLOAT",
    "SMALLINT": "SMALLINT",
    "STRING": "VARCHAR",
    "TEXT": "VARCHAR",
    "TINYINT": "TINYINT",
    "UBIGINT": "UBIGINT",
    "UINTEGER": "UINTEGER",
    "USMALLINT": "USMALLINT",
    "UTINYINT": "UTINYINT",
    "VARCHAR": "VARCHAR",
}
_DECIMAL = re.compile(r"(DECIMAL|NUMERIC)(\s*\(.*\))?")
_MAP = re.compile(r"MAP\(\s*(\w+)\s*,\s*(\w+)\s*\)")
_LENGTHS = re.compile(r"((?:\[\d*\])*)$")
_RANGES = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UINTEGER": (0, 2**32 - 1),
    "UBIGINT": (0, 2**64 - 1),
}


@dataclass(frozen=True)
class DeclaredInput:
    """One line of ``INPUT (…)``: name, type and NULL policy as the user wrote them."""

    name: str
    type: str
    on_null: str = "NULL"
    span: Span | None = field(default=None, compare=False)

    @property
    def shape(self) -> Shape:
        """The lengths of a list's dimensions, the outermost first; () for a value."""
        lengths = _LENGTHS.search(self.type.strip())
        sizes = re.findall(r"\[(\d*)\]", lengths.group() if lengths else "")
        return tuple(int(size) if size else None for size in reversed(sizes))

    @property
    def as_map(self) -> str | None:
        """The type of a map in DuckDB's words, None for any other."""
        parts = _MAP.fullmatch(self.type.strip().upper())
        if parts is None:
            return None
        key, value = (_ALIASES.get(part, part) for part in parts.groups())
        return f"MAP({key}, {value})"

    @property
    def value_type(self) -> str:
        """The type of one value."""
        return _LENGTHS.sub("", self.type.strip()).upper()


@dataclass(frozen=True)
class Column:
    """One column of a model's tensors, before the user's INPUT is laid over it; ``map`` is a map's type."""

    name: str
    element: Element
    tensor: str
    position: int | None
    shape: Shape = ()
    map: str | None = None
    is_optional: bool = False

    @property
    def type(self) -> str:
        """DuckDB's type, with the lengths of lists."""
        return self.map or list_type(self.element.duckdb, self.shape)


def declare(columns: list[Column], declared: tuple[DeclaredInput, ...]) -> tuple[Input, ...]:
    """Lay the user's INPUT over the model's columns.

    Inputs with names of their own are bound by them, whatever the order; the columns of a tensor have none and take the
    other names in their order. Where no name is the model's own, all are bound by position.
    """
    if len(declared) != len(columns):
        raise _miscounted(columns, declared)
    names: set[str] = set()
    for each in declared:
        if each.name.casefold() in names:
            raise InvalidDefinition(f'INPUT names "{each.name}" twice', span=each.span)
        names.add(each.name.casefold())
    own = _by_names(columns)
    found = [_named(each, own) for each in declared]
    found = _by_position(columns, found)
    _check_order(declared, columns, found)
    matched: list[tuple[DeclaredInput, Column]] = []
    for each, column in zip(declared, found, strict=True):
        if column is None:
            raise InvalidDefinition(
                f'the model has no input "{each.name}"',
                hint=closest(each.name, [column.name for column in columns])
                or f"the model's inputs are {', '.join(column.name for column in columns[:20])}",
                span=each.span,
            )
        twice = next((other.name for other, known in matched if known is column), None)
        if twice is not None:
            raise InvalidDefinition(
                f'INPUT names "{twice}" and "{each.name}" for one input of the model, "{column.name}"',
                span=each.span,
            )
        matched.append((each, column))
    return tuple(_input(each, column) for each, column in matched)


def _by_position(columns: list[Column], found: list[Column | None]) -> list[Column | None]:
    """Return the columns of declared inputs, those ``found`` by name and others by their place."""
    if not any(found):
        return list(columns)
    unnamed = [column for column in columns if column.position is not None]
    if found.count(None) != len(unnamed):
        return found
    rest = iter(unnamed)
    return [column or next(rest) for column in found]


def _check_order(
    declared: Sequence[DeclaredInput], columns: list[Column], found: Sequence[Column | None]
) -> None:
    """Refuse a name that DESCRIBE shows for another column of a tensor: these go by place, not by name.

    Columns that are counted from 1, where DESCRIBE counts from 0, are those of the tensor in their order.
    """
    shown = {column.name.casefold(): column for column in columns if column.position is not None}
    pairs = [(each, column) for each, column in zip(declared, found, strict=True) if column is not None]
    for each, column in pairs:
        other = shown.get(each.name.casefold(), column)
        if other is column or _are_counted(column.tensor, pairs):
            continue
        raise InvalidDefinition(
            f'"{each.name}" stands in another place than in the model, whose columns have no names of their own',
            hint=f"write them in the model's order, {', '.join(list(shown)[:20])}, or give it another name",
            span=each.span,
        )


def _are_counted(tensor: str, pairs: Sequence[tuple[DeclaredInput, Column]]) -> bool:
    """Say whether the names given to all columns of a tensor count them from 1."""
    names = [each.name.casefold() for each, column in pairs if column.tensor == tensor]
    return names == [f"{tensor.casefold()}_{number}" for number in range(1, len(names) + 1)]


def _miscounted(columns: list[Column], declared: tuple[DeclaredInput, ...]) -> InvalidDefinition:
    """Return what to say of INPUT with too few or too many columns, without those that a ``pre`` makes or reads."""
    given = {fold(each.name) for each in declared}
    missing = [column.name for column in columns if fold(column.name) not in given]
    hint = f"the model's inputs are {', '.join(column.name for column in columns[:20])}"
    if len(missing) < len(columns):
        hint += f"; of these {', '.join(missing[:20])} is missing" if missing else ""
    known = {fold(column.name) for column in columns}
    strange = [each for each in declared if fold(each.name) not in known]
    # Where no name is the model's own they go by place: the first that is too many, or the last.
    wrong = (
        strange[0]
        if len(strange) < len(declared) and strange
        else declared[min(len(columns), len(declared) - 1)]
    )
    return InvalidDefinition(
        f"INPUT gives {len(declared)} inputs, the model takes {len(columns)}", hint=hint, span=wrong.span
    )


# A name as it is, then read ever more loosely.
_PLAINER: tuple[Callable[[str], str], ...] = (str, str.casefold, fold)


def _by_names(columns: Iterable[Column]) -> list[dict[str, list[Column]]]:
    """Return the columns with names of the model's own by these, once for each way to read a name."""
    found: list[dict[str, list[Column]]] = [{} for _ in _PLAINER]
    for column in columns:
        if column.position is None:
            for plain, names in zip(_PLAINER, found, strict=True):
                names.setdefault(plain(column.name), []).append(column)
    return found


def _named(declared: DeclaredInput, own: Sequence[Mapping[str, list[Column]]]) -> Column | None:
    """Return the model's input of that name, if need be of one that reads the same.

    Raises InvalidDefinition when several do.
    """
    for plain, names in zip(_PLAINER, own, strict=True):
        fitting = names.get(plain(declared.name), [])
        if len(fitting) > 1:
            raise InvalidDefinition(
                f'"{declared.name}" may be either of the inputs "{fitting[0].name}" and "{fitting[1].name}" of the model',
                hint="write its name as the model does",
                span=declared.span,
            )
        if fitting:
            return fitting[0]
    return None


def _input(declared: DeclaredInput, column: Column) -> Input:
    if column.map is not None:
        kind = column.map
        if declared.as_map != kind:
            raise _unlike(declared, column)
    else:
        kind = _value_type(declared, column)
    shape = _shape(declared, column)
    policy = _null_policy(declared, kind, column)
    whole = list_type(kind, shape)
    return Input(
        declared.name,
        whole,
        column.tensor,
        column.position,
        policy,
        column.shape,
        column.is_optional,
        column.element.runtime,
    )


def _shape(declared: DeclaredInput, column: Column) -> Shape:
    """Return the shape that the argument has: the column's, or one list of all its values."""
    own, wanted = column.shape, declared.shape
    flat = own if None in own or not own else (math.prod(size or 1 for size in own),)
    for shape in (own, flat):
        if len(wanted) == len(shape) and all(
            size is None or size == known for size, known in zip(wanted, shape, strict=True)
        ):
            return shape
    raise _unlike(declared, column)


def _unlike(declared: DeclaredInput, column: Column) -> InvalidDefinition:
    return InvalidDefinition(
        f'the input "{declared.name}" is declared {_plain(declared)}; the model takes {column.type} there',
        span=declared.span,
    )


def _plain(declared: DeclaredInput) -> str:
    text = declared.value_type
    return declared.as_map or list_type(_ALIASES.get(text, text), declared.shape)


def _value_type(declared: DeclaredInput, column: Column) -> str:
    """Return DuckDB's type of the values that an argument has."""
    text, element = declared.value_type, column.element
    kind = element.duckdb if _DECIMAL.fullmatch(text) else _ALIASES.get(text.partition("(")[0].strip())
    if kind is None:
        raise InvalidDefinition(
            f'the input "{declared.name}" can not have the type {declared.type}',
            hint="inputs are numbers, BOOLEAN or VARCHAR, or lists of these",
            span=declared.span,
        )
    if (kind == "VARCHAR") != (element is STRING):
        raise _unlike(declared, column)
    if kind in ("FLOAT", "DOUBLE") and not element.is_float:
        raise InvalidDefinition(
            f'the input "{declared.name}" is declared {_plain(declared)}; the model takes {column.type} '
            "there and would lose the fraction",
            span=declared.span,
        )
    if element.is_float and kind in ("FLOAT", "DOUBLE"):
        kind = element.duckdb  # DuckDB's own cast reports what does not fit
    return kind


def _null_policy(declared: DeclaredInput, kind: str, column: Column) -> str:
    """Return the policy as stored; raises InvalidDefinition for a value that the input can not take."""
    text = declared.on_null
    if text.upper() in ("NULL", "ERROR"):
        return text.upper()
    if column.map is not None:
        raise InvalidDefinition(f'ON NULL of the map "{declared.name}" is NULL or ERROR', span=declared.span)
    if text.upper() == "NAN":
        if not column.element.is_float:
            raise InvalidDefinition(
                f'the input "{declared.name}" is {column.type} and has no NaN', span=declared.span
            )
        return "NAN"
    if kind == "VARCHAR":
        return text
    try:
        _check_literal(text, kind)
    except ValueError as error:
        raise InvalidDefinition(
            f'ON NULL {text} is not a {kind} for the input "{declared.name}"', span=declared.span
        ) from error
    if not _is_held(text, kind, column.element):
        raise InvalidDefinition(
            f'ON NULL {text} for the input "{declared.name}" does not fit the model\'s {column.element.runtime}',
            span=declared.span,
        )
    return text


def _is_held(text: str, kind: str, element: Element) -> bool:
    """Say whether a tensor of that element can hold a value: a whole number exactly, a fraction not as infinity."""
    if kind == "BOOLEAN":
        return True
    if not element.is_float:
        low, high = _RANGES.get(element.duckdb, (0, 1))
        return low <= int(text) <= high
    with np.errstate(over="ignore"):
        held = float(element.dtype.type(float(text)))
    if kind in _RANGES:
        return held == int(text)
    return math.isfinite(held) or "inf" in text.casefold() or "nan" in text.casefold()


def _check_literal(text: str, kind: str) -> None:
    if kind == "BOOLEAN":
        if text.casefold() not in ("true", "false"):
            raise ValueError(text)
    elif kind in ("FLOAT", "DOUBLE"):
        float(text)
    else:
        low, high = _RANGES[kind]
        if not low <= int(text) <= high:
            raise ValueError(text)
