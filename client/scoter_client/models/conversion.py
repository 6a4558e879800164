"""From a fitted model to ONNX files that may say what it says, the most likely first.

This module must not know servers, nor whether a file is right.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from scoter_client.models.failures import ConversionError

# Words as Python's \w sees them, in the spelling of ONNX Runtime; the converter's own take ASCII alone.
_WORDS = r"[\pL\pN_][\pL\pN_]+"
_PYTHON_WORDS = (r"(?u)\b\w\w+\b", r"\b\w\w+\b")
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_WIDE = "double"
_OF_CLASSES = ("binary", "multiclass")  # LightGBM's objectives
_TABLE = "x"  # the one input of all columns


@dataclass(frozen=True)
class Column:
    """A column of the sample: its name, its type in SQL, and its kind: text, integer, boolean or float."""

    name: str
    type: str
    kind: str


@dataclass(frozen=True)
class Candidate:
    """A file, the columns that it takes in its order, and the inputs that they fill.

    ``element`` is float or double where all columns stand in one matrix, None where each has an input of its own.
    ``rounds`` says that the model computes with floats of 32 bits, even where its file takes doubles.
    """

    data: bytes
    columns: tuple[Column, ...]
    element: str | None
    rounds: bool = False


def library(name: str) -> Any:
    """Return a module; raises ImportError that says what to install."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"log_model needs {name.partition('.')[0]}: pip install 'scoter-client[models]'", name=name
        ) from error


def columns_of(model: Any, sample: Any) -> tuple[Column, ...]:
    """Return the columns that the model was fitted on; raises ConversionError for a sample that lacks some."""
    if not hasattr(sample, "columns") or not hasattr(sample, "dtypes"):
        raise ConversionError("the sample must be a pandas DataFrame: its columns name the model's inputs")
    names = [str(name) for name in sample.columns]
    fitted = [str(name) for name in getattr(model, "feature_names_in_", names)]
    # LightGBM knows "a b" as "a_b".
    places = {name.replace(" ", "_"): place for place, name in enumerate(names)}
    places.update((name, place) for place, name in enumerate(names))
    missing = [name for name in fitted if name not in places]
    if not missing:
        return tuple(_column(names[places[name]], sample.iloc[:, places[name]]) for name in fitted)
    # CatBoost and boosters that were fitted without names make some up.
    if len(fitted) == len(names) and not set(fitted) & set(names):
        return tuple(_column(name, sample.iloc[:, place]) for place, name in enumerate(names))
    raise ConversionError(f"the sample has no column {missing[0]!r}, which the model was fitted on")


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


def candidates(model: Any, sample: Any) -> Iterator[Candidate]:
    """Yield files of a model, converted one after the other; raises ConversionError where none can be made."""
    columns = columns_of(model, sample)
    made = 0
    failure: Exception | None = None
    for attempt in _attempts(model, columns):
        try:
            candidate = attempt()
        except (ImportError, ConversionError):
            raise
        except Exception as error:  # noqa: BLE001  # converters raise whatever their own code meets
            failure = failure or error
            continue
        made += 1
        yield candidate
    if not made:
        reason = " ".join(str(failure).split())[:500]
        raise ConversionError(f"{type(model).__name__} can not be converted to ONNX: {reason}") from failure


def refuse_booster(model: Any) -> None:
    """Raise ConversionError for a bare booster that predicts other things, or of other rows, than its file."""
    package = _package(model)
    if type(model).__name__ != "Booster":
        return
    if package == "xgboost":
        raise ConversionError(
            "a bare xgboost.Booster is not taken, as it does not predict tables: make an XGBClassifier or XGBRegressor "
            "of it with load_model(booster.save_raw())"
        )
    objective = model.dump_model(num_iteration=1).get("objective", "") if package == "lightgbm" else ""
    if objective.startswith(_OF_CLASSES):
        raise ConversionError(
            f"a bare lightgbm.Booster of classes ({objective.split()[0]}) is not taken, as it predicts probabilities "
            "and no classes: fit an LGBMClassifier"
        )


def _package(model: Any) -> str:
    name: str = type(model).__module__.partition(".")[0]
    return name


def _refuse_endless(model: Any) -> None:
    """Raise ConversionError for a tree that splits on whether a value is missing: the converter would not end."""
    isfinite = library("numpy").isfinite
    for part in _parts(model):
        tree = getattr(part, "tree_", None)
        if tree is not None and not isfinite(tree.threshold).all():
            raise ConversionError(
                f"{type(part).__name__} has learned to split on missing values, which its files can not hold: "
                "fill them in before the trees, or use HistGradientBoosting"
            )


def _attempts(model: Any, columns: tuple[Column, ...]) -> Iterator[Callable[[], Candidate]]:
    package = _package(model)
    if package in ("xgboost", "lightgbm", "catboost"):
        texts = [column.name for column in columns if column.kind == "text"]
        if texts:
            raise ConversionError(
                f"the column {texts[0]!r} holds texts, which {package}'s files do not take: "
                "encode it in a scikit-learn pipeline"
            )
        convert = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}[package]
        yield lambda: Candidate(_finished(convert(model, len(columns))), columns, "float")
        return
    _refuse_endless(model)
    if _takes_table(model) and not any(column.kind == "text" for column in columns):
        for element in ("float", _WIDE):
            yield partial(_from_table, model, columns, element)
        return
    # Encoders look at integers as they are; other steps can not join them with floats.
    for element in ("natural", "float", _WIDE):
        yield partial(_from_columns, model, columns, element)


def _takes_table(model: Any) -> bool:
    """Say whether all columns go into the model as one matrix."""
    inner = getattr(model, "best_estimator_", model)
    steps = getattr(inner, "steps", None)
    first = steps[0][1] if steps else inner
    return type(first).__name__ != "ColumnTransformer"


def takes_texts(model: Any, columns: tuple[Column, ...]) -> bool:
    """Say whether the model takes one column of texts instead of a table, as vectorisers do."""
    return len(columns) == 1 and columns[0].kind == "text" and _takes_table(model)


def _from_table(model: Any, columns: tuple[Column, ...], element: str) -> Candidate:
    """Convert a model of scikit-learn that takes one matrix."""
    initial = [(_TABLE, _numbers(element)([None, len(columns)]))]
    # scikit-learn's trees round what they are given.
    rounds = any(hasattr(part, "tree_") for part in _parts(model))
    return Candidate(_sklearn(model, initial), columns, element, rounds)


def _from_columns(model: Any, columns: tuple[Column, ...], element: str) -> Candidate:
    """Convert a model of scikit-learn that takes its columns apart."""
    types = library("skl2onnx.common.data_types")
    by_kind = {"text": types.StringTensorType, "float": _numbers(element)}
    other = types.Int64TensorType if element == "natural" else _numbers(element)
    initial = [(column.name, by_kind.get(column.kind, other)([None, 1])) for column in columns]
    return Candidate(_sklearn(model, initial), columns, None)


def _numbers(element: str) -> Any:
    types = library("skl2onnx.common.data_types")
    return types.DoubleTensorType if element == _WIDE else types.FloatTensorType


def _sklearn(model: Any, initial: list[tuple[str, Any]]) -> bytes:
    _register_boosters()
    options: dict[int, dict[str, Any]] = {
        id(part): {"tokenexp": _WORDS} for part in _parts(model) if _has_plain_words(part)
    }
    if hasattr(model, "classes_"):
        options[id(model)] = {"zipmap": False}
    with _strict_integers():
        made = library("skl2onnx").to_onnx(
            model, initial_types=initial, options=options, target_opset=_OPSETS
        )
    return _finished(made)


def _parts(model: Any) -> Iterator[Any]:
    """Yield a model and the fitted steps and transformers inside it."""
    yield model
    inner = [step for _, step in getattr(model, "steps", [])]
    inner += [each[1] for each in getattr(model, "transformers_", [])]
    inner += [each[1] for each in getattr(model, "transformer_list", [])]
    inner += list(library("numpy").ravel(getattr(model, "estimators_", [])))
    inner += [model.best_estimator_] if hasattr(model, "best_estimator_") else []
    for part in inner:
        if not isinstance(part, str):
            yield from _parts(part)


def _has_plain_words(part: Any) -> bool:
    return getattr(part, "token_pattern", None) in _PYTHON_WORDS and getattr(part, "analyzer", None) == "word"


def _xgboost(model: Any, width: int) -> Any:
    convert = library("onnxmltools").convert_xgboost
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    names, kinds = booster.feature_names, booster.feature_types
    try:
        # The converter knows columns by number, and of splits those of numbers.
        booster.feature_names = booster.feature_types = None
        with _strict_integers():
            return convert(model, None, [(_TABLE, _float_table(width))])
    finally:
        booster.feature_names, booster.feature_types = names, kinds


def _lightgbm(model: Any, width: int) -> Any:
    convert = library("onnxmltools").convert_lightgbm
    with _strict_integers():
        return convert(model, None, [(_TABLE, _float_table(width))], zipmap=False)


def _catboost(model: Any, width: int) -> Any:  # noqa: ARG001  # as the others are called
    return library("catboost.utils").convert_to_onnx_object(model)


def _float_table(width: int) -> Any:
    return library("onnxmltools.convert.common.data_types").FloatTensorType([None, width])


def _register_boosters() -> None:
    """Let pipelines of scikit-learn end in a booster, as far as its library is loaded."""
    register = library("skl2onnx").update_registered_converter
    shapes = "skl2onnx.common.shape_calculator"
    converters = "onnxmltools.convert"
    for package, kind, place, function in (
        ("xgboost", "XGB", "xgboost.operator_converters.XGBoost", "convert_xgboost"),
        ("lightgbm", "LGBM", "lightgbm.operator_converters.LightGbm", "convert_lightgbm"),
    ):
        if package not in sys.modules:
            continue
        convert = getattr(library(f"{converters}.{place}"), function)
        for task, options in (
            ("Classifier", {"nocl": [True, False], "zipmap": [True, False, "columns"]}),
            ("Regressor", {}),
        ):
            estimator = getattr(sys.modules[package], f"{kind}{task}")
            shape = f"calculate_linear_{task.lower()}_output_shapes"
            alias = f"Scoter{kind}{task}"
            register(estimator, alias, getattr(library(shapes), shape), convert, options=options)


def _finished(model: Any) -> bytes:
    """Return the file; on Linux texts change their case by rules that need no language installed."""
    if sys.platform == "linux":
        make = library("onnx.helper").make_attribute
        for node in model.graph.node:
            if node.op_type == "StringNormalizer" and not any(a.name == "locale" for a in node.attribute):
                node.attribute.append(make("locale", "C.UTF-8"))
    return bytes(model.SerializeToString())


@contextmanager
def _strict_integers() -> Iterator[None]:
    """Turn booleans into integers on the way into a file: converters write some that newer protobufs refuse."""
    helper = library("onnx.helper")
    original = helper.make_attribute

    def make_attribute(key: str, value: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(value, (list, tuple)) and any(
            type(each).__name__ in ("bool", "bool_") for each in value
        ):
            value = [int(each) for each in value]
        return original(key, value, *rest, **named)

    helper.make_attribute = make_attribute
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        helper.make_attribute = original
