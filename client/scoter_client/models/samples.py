"""A sample of rows, and its columns as the inputs of a model.

This module must not know how models are converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scoter_client.models.failures import ConversionError
from scoter_client.models.libraries import library


@dataclass(frozen=True)
class Column:
    """A column of the sample: its name, its type in SQL, and its kind: text, integer, boolean or float."""

    name: str
    type: str
    kind: str


def frame_of(sample: Any) -> Any:
    """Return the sample as a DataFrame of pandas; raises ConversionError for what is no table."""
    if not hasattr(sample, "iloc") and hasattr(sample, "to_pandas"):
        sample = sample.to_pandas()
    if not hasattr(sample, "iloc") or not hasattr(sample, "columns"):
        raise ConversionError(
            "the sample must be a pandas DataFrame, or a table of polars or pyarrow: "
            "its columns name the model's inputs"
        )
    return sample


def columns_of(model: Any, frame: Any) -> tuple[Column, ...]:
    """Return the columns that the model was fitted on.

    Raises ConversionError for a sample that lacks some, and for names that inputs in SQL can not have.
    """
    columns = tuple(_column(name, frame.iloc[:, place]) for name, place in _places(model, frame))
    _refuse_names([column.name for column in columns])
    return columns


def rows_of(frame: Any, columns: tuple[Column, ...]) -> Any:
    """Return the frame with these columns alone; raises ConversionError where it has no rows."""
    names = [str(name) for name in frame.columns]
    rows = frame.iloc[:, [names.index(column.name) for column in columns]].reset_index(drop=True)
    if not len(rows):
        raise ConversionError("the sample has no rows")
    return rows


def _places(model: Any, frame: Any) -> list[tuple[str, int]]:
    """Return the names of the sample that the model was fitted on, each with its place there."""
    names = [str(name) for name in frame.columns]
    fitted = [str(name) for name in getattr(model, "feature_names_in_", names)]
    # LightGBM knows "a b" as "a_b".
    places = {name.replace(" ", "_"): place for place, name in enumerate(names)}
    places.update((name, place) for place, name in enumerate(names))
    missing = [name for name in fitted if name not in places]
    if not missing:
        found = [(names[places[name]], places[name]) for name in fitted]
    # CatBoost and boosters that were fitted without names make some up.
    elif len(fitted) == len(names) and not set(fitted) & set(names):
        found = [(name, place) for place, name in enumerate(names)]
    else:
        raise ConversionError(f"the sample has no column {missing[0]!r}, which the model was fitted on")
    twice = next((name for name, _ in found if names.count(name) > 1), None)
    if twice is not None:
        raise ConversionError(f"the sample has the column {twice!r} more than once")
    return found


def _refuse_names(names: list[str]) -> None:
    known: dict[str, str] = {}
    for name in names:
        if not name or "\0" in name:
            what = "holds a NUL character" if name else "is empty"
            raise ConversionError(
                f"the name {name!r} of a column {what}, and no input in SQL can be called so: "
                "rename it and fit the model again"
            )
        other = known.setdefault(name.casefold(), name)
        if other is not name:
            raise ConversionError(
                f"the columns {other!r} and {name!r} differ in case only, and in SQL both are one name: "
                "rename one of them and fit the model again"
            )
    if "expected" in known:
        raise ConversionError('a column can not be called "expected", which golden rows use')


def _column(name: str, values: Any) -> Column:
    kinds = library("pandas").api.types
    dtype = values.dtype
    if isinstance(dtype, library("pandas").CategoricalDtype):
        dtype = dtype.categories.dtype
    if kinds.is_bool_dtype(dtype):
        return Column(name, "BOOLEAN", "boolean")
    if kinds.is_integer_dtype(dtype):
        return Column(name, "BIGINT", "integer")
    if kinds.is_float_dtype(dtype):
        return Column(name, "DOUBLE", "float")
    given = [each for each in values if not _is_missing(each)]
    if all(isinstance(each, str) for each in given):
        return Column(name, "VARCHAR", "text")
    if all(isinstance(each, bool) for each in given):
        return Column(name, "BOOLEAN", "boolean")
    raise ConversionError(f"the column {name!r} holds {dtype}: inputs are numbers, booleans or texts")


def _is_missing(value: Any) -> bool:
    return bool(library("pandas").isna(value))
