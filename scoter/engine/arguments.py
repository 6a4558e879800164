"""Which value of a model call goes to which input of the model: by number, name and type.

This module must not know how calls become functions, nor how types are found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.binding import data_type
from scoter.engine.relations import is_row_and_column
from scoter.engine.resolved import Resolved
from scoter.engine.statements import Predict, span_of
from scoter.engine.table_calls import BESIDE
from scoter.errors import Span, TypeMismatch, WrongArguments
from scoter.suggestions import closest
from scoter.udfs.signature import Input, Signature, fold

ROWS = "scoter_rows"

_NUMBERS = frozenset(
    {
        exp.DType.TINYINT,
        exp.DType.SMALLINT,
        exp.DType.INT,
        exp.DType.BIGINT,
        exp.DType.INT128,
        exp.DType.UTINYINT,
        exp.DType.USMALLINT,
        exp.DType.UINT,
        exp.DType.UBIGINT,
        exp.DType.UINT128,
        exp.DType.FLOAT,
        exp.DType.DOUBLE,
        exp.DType.DECIMAL,
        exp.DType.BOOLEAN,
    }
)
_WHOLE = _NUMBERS - {exp.DType.FLOAT, exp.DType.DOUBLE, exp.DType.DECIMAL}
_TEXTS = frozenset({exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.CHAR, exp.DType.UUID, exp.DType.ENUM})
_TIMES = frozenset({exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.DATETIME})
_OF_DAYS = frozenset(
    {
        exp.DType.DATE,
        exp.DType.INTERVAL,
        exp.DType.TIMESTAMP,
        exp.DType.TIMESTAMPNTZ,
        exp.DType.TIMESTAMPTZ,
        exp.DType.TIMESTAMP_MS,
        exp.DType.TIMESTAMP_NS,
        exp.DType.TIMESTAMP_S,
    }
)
_OF_HOURS = frozenset({exp.DType.TIME, exp.DType.TIMETZ})
_LISTS = frozenset({exp.DType.ARRAY, exp.DType.LIST})


@dataclass(frozen=True)
class Value:
    """One value that a call offers: an expression, its DuckDB type, and its name where it has one.

    ``failed`` says of a value that went through a version's own logic whether that failed; one that ``passes`` is what
    the caller gives, in the type that INPUT declares.
    """

    expression: exp.Expr
    type: str
    name: str | None
    failed: exp.Expr | None = None
    passes: bool = False


def bound(
    call: Predict,
    version: ModelVersion,
    signature: Signature,
    types: Sequence[str],
    span: Span | None,
    resolved: Resolved,
) -> tuple[Signature, list[Value]]:
    """Return the signature that fits what a call gives, tensors as values or as lists, and its values in order.

    Raises WrongArguments for a wrong number or unknown names.
    """
    kinds = [data_type(text) for text in types]
    rows = [kind.this == exp.DType.STRUCT for kind in kinds]
    if ROWS not in call.meta and _are_values(kinds, signature):
        rows = [False] * len(kinds)
    if rows and all(rows) and (len(rows) == 1 or ROWS in call.meta):
        offered = _offered(call, version, kinds, span, resolved)
        return _by_name(call, version, signature, offered, span)
    if any(rows):
        raise WrongArguments(
            f"{version.model} takes either one row or one value for each input",
            hint=_usage(signature),
            span=span,
        )
    signature = signature.taking([_depth(kind) for kind in kinds])
    check_count(call, version, signature)
    return signature, [Value(a, t, None) for a, t in zip(call.arguments, types, strict=True)]


def _are_values(kinds: Sequence[exp.DataType], signature: Signature) -> bool:
    """Say whether each struct is the value of an input that takes one: it then is no row of values by name."""
    takes = [data_type(each.type).this == exp.DType.STRUCT for each in signature.inputs]
    if len(takes) != len(kinds):
        return False
    for kind, does in zip(kinds, takes, strict=True):
        if kind.this == exp.DType.STRUCT and not does:
            return False
    if len(kinds) != 1 or kinds[0].this != exp.DType.STRUCT:
        return True
    return fold(signature.inputs[0].name) not in {fold(field.name) for field in kinds[0].expressions}


def _depth(kind: exp.DataType) -> int | None:
    """Return how deep lists are nested in a type, None for that of an untyped NULL."""
    if kind.this == exp.DType.NULL:
        return None
    depth = 0
    while kind.this in _LISTS:
        depth += 1
        kind = kind.expressions[0]
    return depth


def _offered(
    call: Predict,
    version: ModelVersion,
    kinds: Sequence[exp.DataType],
    span: Span | None,
    resolved: Resolved,
) -> _Offered:
    """Return the fields of the rows that a call gives, by their names, once for each way to read a name."""
    offered: _Offered = [{} for _ in _PLAINER]
    for argument, kind in zip(call.arguments, kinds, strict=True):
        for field in kind.expressions:
            value = Value(
                _field(argument, field.name, resolved), field.args["kind"].sql(dialect="duckdb"), field.name
            )
            for plain, names in zip(_PLAINER, offered, strict=True):
                names.setdefault(plain(field.name), []).append(value)
            if field.name.casefold() in call.meta.get(BESIDE, ()):
                raise WrongArguments(
                    f"the rows have a column {field.name}, as a result of {version.model} is called",
                    hint="leave it out with keep_original_columns, or rename it in TABLE (SELECT …)",
                    span=span,
                )
    return offered


def _by_name(
    call: Predict,
    version: ModelVersion,
    signature: Signature,
    offered: _Offered,
    span: Span | None,
) -> tuple[Signature, list[Value]]:
    whole = signature.of_tensors
    if not signature.named and whole is not None and whole.named:
        lists = [each.name for each in whole.inputs if each.depth]
        # A row that has none of the tensors' names was meant to give their values, which have no names.
        signature = whole if any(_reading(name, offered) for name in lists) else signature
    if not signature.named:
        raise WrongArguments(
            f"the inputs of {version.model}@{version.version} have no names, so a row can not be bound",
            hint="pass the values by position, or name them with INPUT (…) in CREATE MODEL",
            span=span,
        )
    values: list[Value] = []
    taken: dict[str | None, Input] = {}
    for wanted in signature.inputs:
        if wanted.is_left_out and not _reading(wanted.name, offered):
            values.append(Value(exp.Null(), "NULL", None))
            continue
        value = _fitting(call, version, signature, wanted, offered, span)
        other = taken.setdefault(value.name, wanted)
        if other is not wanted:
            raise WrongArguments(
                f"the row has the one column {value.name} for the inputs {other.name} and {wanted.name} "
                f"of {version.model}@{version.version}",
                hint="pass a struct such as {'" + wanted.name + "': …}",
                span=span,
            )
        values.append(value)
    return signature.taking([_depth(data_type(value.type)) for value in values]), values


def _reading(name: str, offered: _Offered) -> list[Value]:
    """Return the fields of that name, read as loosely as is needed to find one."""
    readings = (names.get(plain(name)) for plain, names in zip(_PLAINER, offered, strict=True))
    return next(filter(None, readings), [])


def _fitting(
    call: Predict,
    version: ModelVersion,
    signature: Signature,
    wanted: Input,
    offered: _Offered,
    span: Span | None,
) -> Value:
    found = _reading(wanted.name, offered)
    if len(found) > 1 and _is_merged(call, found):
        # The column that USING or NATURAL made of several: it has no table.
        column = exp.column(exp.Identifier(this=found[0].name, quoted=True))
        return Value(column, found[0].type, found[0].name)
    if len(found) > 1:
        names = " and ".join(f'"{value.name}"' for value in found[:2])
        raise WrongArguments(
            f"input {wanted.name} of {version.model} fits more than one column: {names}",
            hint="pass a struct such as {'" + wanted.name + "': …}",
            span=span,
        )
    if not found:
        known = [name for name in offered[0] if name]
        raise WrongArguments(
            f"the row has no column {wanted.name}, which {version.model}@{version.version} needs",
            hint=closest(wanted.name, known) or _usage(signature),
            span=span,
        )
    return found[0]


def _is_merged(call: Predict, found: Sequence[Value]) -> bool:
    merged = call.meta.get(ROWS, ())
    names = {(value.name or "").casefold() for value in found}
    return len(names) == 1 and ("*" in merged or names <= set(merged))


def _field(row: exp.Expr, name: str, resolved: Resolved) -> exp.Expr:
    """Return the expression of one field of a row: a table's column, a literal's value, or an extract."""
    if isinstance(row, exp.Column) and not row.table and not is_row_and_column(row.name, row, resolved):
        return exp.column(exp.to_identifier(name, quoted=True), table=row.this.copy())
    if isinstance(row, exp.Struct):
        for part in row.expressions:
            if isinstance(part, exp.PropertyEQ) and part.name == name:
                value: exp.Expr = part.expression.copy()
                return value
    return exp.Anonymous(this="struct_extract", expressions=[row.copy(), exp.Literal.string(name)])


def _signs(name: str) -> str:
    """Fold a name as exporters do: they turn every other sign than letters and digits into `_`."""
    return "".join(c if c.isalnum() else "_" for c in name.casefold())


# A name as it is, then read ever more loosely.
_PLAINER: tuple[Callable[[str], str], ...] = (str, str.casefold, _signs, fold)
_Offered = list[dict[str, list[Value]]]


def check_type(wanted: Input, value: Value, version: ModelVersion, span: Span | None) -> None:
    """Raise TypeMismatch where a value may not be cast to what an input takes."""
    target, given = data_type(wanted.argument), data_type(_completed(value.type, wanted))
    if not _fits(target, given):
        raise TypeMismatch(
            f"input {wanted.name} of {version.model}@{version.version} is {wanted.type}, the argument is {value.type}",
            hint=_way(target, given, wanted),
            span=span_of(value.expression) or span,
        )


def _way(target: exp.DataType, given: exp.DataType, wanted: Input) -> str:
    """Return a hint at what to write for a value of another type."""
    if _has_cast(target, given):
        return f"write CAST(… AS {wanted.argument}) if that is meant"
    if given.this in _OF_DAYS | _OF_HOURS and target.this in _NUMBERS - {exp.DType.BOOLEAN}:
        part = "month" if given.this in _OF_DAYS else "hour"
        return f"give a number of it, such as date_part('{part}', …)"
    return f"give a value of type {wanted.type}"


def _has_cast(target: exp.DataType, given: exp.DataType) -> bool:
    """Say whether DuckDB casts values of a type to another, where the values allow it."""
    if target.this in _TEXTS or given.this in _TEXTS:
        return True
    if target.this in _LISTS and given.this in _LISTS:
        return all(map(_has_cast, target.expressions, given.expressions))
    return target.this in _NUMBERS and given.this in _NUMBERS


def _completed(given: str, wanted: Input) -> str:
    """Return a type in which an empty list or map, or one of NULLs, holds what is wanted."""
    if given.endswith("]"):
        return given.replace('"NULL"', wanted.element)
    if given.startswith("MAP(") and wanted.element.startswith("MAP("):
        key, value = wanted.element.removeprefix("MAP(").removesuffix(")").split(", ")
        return given.replace('MAP("NULL"', f"MAP({key}").replace('"NULL")', f"{value})")
    return given


def _fits(target: exp.DataType, given: exp.DataType) -> bool:
    """Say whether values of a type may be cast to what an input takes: no text to a number, no fraction to a whole one."""
    if given.this == exp.DType.NULL:
        return True
    if target.this in _LISTS or target.this == exp.DType.MAP:
        alike = given.this == target.this or (given.this in _LISTS and target.this in _LISTS)
        return alike and all(map(_fits, target.expressions, given.expressions))
    if target.this == exp.DType.STRUCT and given.this == exp.DType.STRUCT:
        # DuckDB's cast takes fields by name, and gives NULL for those that are missing.
        fields = {field.name.casefold(): field.args["kind"] for field in target.expressions}
        named = {field.name.casefold(): field.args["kind"] for field in given.expressions}
        return fields.keys() == named.keys() and all(_fits(fields[name], named[name]) for name in fields)
    if target.this in _TEXTS:
        return given.this in _TEXTS
    if target.this == exp.DType.BOOLEAN:
        return bool(given.this == exp.DType.BOOLEAN)
    if target.this not in _NUMBERS:
        return given.this == target.this or (given.this == exp.DType.DATE and target.this in _TIMES)
    if target.this in _WHOLE and given.this not in _WHOLE:
        return given.this == exp.DType.DECIMAL and _has_no_fraction(given)
    return given.this in _NUMBERS


def _has_no_fraction(kind: exp.DataType) -> bool:
    return len(kind.expressions) == 2 and kind.expressions[1].name == "0"


def check_count(call: Predict, version: ModelVersion, signature: Signature) -> None:
    """Raise WrongArguments unless a call by position has a value for each input."""
    count = len(signature.inputs)
    if len(call.arguments) != count:
        raise WrongArguments(
            f"{version.model}@{version.version} takes {count} argument{'s' if count > 1 else ''}, "
            f"{len(call.arguments)} are given",
            hint=_usage(signature),
            span=span_of(call),
        )


def _usage(signature: Signature) -> str:
    text = "its inputs are " + ", ".join(f"{i.name} {i.type}" for i in signature.inputs[:20])
    whole = signature.of_tensors
    return (
        text if whole is None else f"{text}; or {', '.join(f'{i.name} {i.type}' for i in whole.inputs[:20])}"
    )
