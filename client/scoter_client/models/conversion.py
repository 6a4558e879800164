"""From a fitted model to ONNX files that may say what it says, the most likely first.

This module must not know servers, nor whether a file is right.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from scoter_client.models.failures import ConversionError
from scoter_client.models.libraries import library
from scoter_client.models.parts import package_of, parts_of, wrappers_of
from scoter_client.models.samples import Column, columns_of

# Words as Python's \w sees them, in the spelling of ONNX Runtime; the converter's own take ASCII alone.
_WORDS = r"[\pL\pN_][\pL\pN_]+"
_PYTHON_WORDS = (r"(?u)\b\w\w+\b", r"\b\w\w+\b")
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_WIDE = "double"
_NATURAL = "natural"
_TABLE = "all_columns"  # the one input of them; a server refuses its name with a number for another column


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


@dataclass(frozen=True)
class Attempt:
    """A way from a model to a file: ``make`` raises ConversionError where it does not lead to one.

    ``mixed`` says that integers and floats keep their types, so that a failure may tell of these alone.
    """

    make: Callable[[], Candidate]
    mixed: bool = False


def attempts(model: Any, frame: Any) -> Iterator[Attempt]:
    """Yield the ways to convert a model; raises ConversionError where there are none."""
    columns = columns_of(model, frame)
    package = package_of(model)
    if package in ("xgboost", "lightgbm", "catboost"):
        texts = [column.name for column in columns if column.kind == "text"]
        if texts:
            raise ConversionError(
                f"the column {texts[0]!r} holds texts, which {package}'s files do not take: "
                "encode it in a scikit-learn pipeline"
            )
        convert = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}[package]
        yield Attempt(partial(_converted, model, partial(_from_booster, convert, model, columns)))
    elif _takes_table(model) and not any(column.kind == "text" for column in columns):
        for element in ("float", _WIDE):
            yield Attempt(partial(_converted, model, partial(_from_table, model, columns, element)))
    else:
        # Encoders look at integers as they are; other steps can not join them with floats.
        for element in (_NATURAL, "float", _WIDE):
            make = partial(_from_columns, model, columns, element)
            yield Attempt(partial(_converted, model, make), mixed=element == _NATURAL)


def _converted(model: Any, make: Callable[[], Candidate]) -> Candidate:
    try:
        return make()
    except ImportError:
        raise
    except Exception as error:  # converters raise whatever their own code meets
        reason = " ".join(str(error).split())[:500]
        raise ConversionError(f"{type(model).__name__} can not be converted to ONNX: {reason}") from error


def _takes_table(model: Any) -> bool:
    """Say whether all columns go into the model as one matrix."""
    inner = getattr(model, "best_estimator_", model)
    steps = getattr(inner, "steps", None)
    first = steps[0][1] if steps else inner
    return type(first).__name__ != "ColumnTransformer"


def takes_texts(model: Any, columns: tuple[Column, ...]) -> bool:
    """Say whether the model takes one column of texts instead of a table, as vectorisers do."""
    return len(columns) == 1 and columns[0].kind == "text" and _takes_table(model)


def _from_booster(convert: Callable[[Any, int], Any], model: Any, columns: tuple[Column, ...]) -> Candidate:
    """Convert a model of a library of boosters."""
    return Candidate(_finished(convert(model, len(columns))), columns, "float")


def _from_table(model: Any, columns: tuple[Column, ...], element: str) -> Candidate:
    """Convert a model of scikit-learn that takes one matrix."""
    initial = [(_TABLE, _numbers(element)([None, len(columns)]))]
    # scikit-learn's trees round what they are given.
    rounds = any(hasattr(part, "tree_") for part in parts_of(model))
    return Candidate(_finished(_sklearn(model, initial)), columns, element, rounds)


def _from_columns(model: Any, columns: tuple[Column, ...], element: str) -> Candidate:
    """Convert a model of scikit-learn that takes its columns apart."""
    types = library("skl2onnx.common.data_types")
    by_kind = {"text": types.StringTensorType, "float": _numbers(element)}
    other = types.Int64TensorType if element == _NATURAL else _numbers(element)
    initial = [(column.name, by_kind.get(column.kind, other)([None, 1])) for column in columns]
    return Candidate(_finished(_sklearn(model, initial)), columns, None)


def _numbers(element: str) -> Any:
    types = library("skl2onnx.common.data_types")
    return types.DoubleTensorType if element == _WIDE else types.FloatTensorType


def _sklearn(model: Any, initial: list[tuple[str, Any]]) -> Any:
    _register_boosters()
    with _strict_integers(), _voting_plainly(model):
        return library("skl2onnx").to_onnx(
            model, initial_types=initial, options=_options(model), target_opset=_OPSETS
        )


def _options(model: Any) -> dict[int, dict[str, Any]]:
    """Return what the converters of a model's parts are told, by the parts' ids."""
    options: dict[int, dict[str, Any]] = {
        id(part): {"tokenexp": _WORDS} for part in parts_of(model) if _has_plain_words(part)
    }
    if hasattr(model, "classes_"):
        # A wrapper without options of its own would give the model that it holds one that not all have.
        wrappers, last = wrappers_of(model)
        options.update({id(wrapper): {} for wrapper in wrappers})
        options[id(last)] = {"zipmap": False} if "zipmap" in _known_options(last) else {}
    return options


def _known_options(model: Any) -> Collection[str]:
    """Return the options that the converter of a model has."""
    alias = library("skl2onnx._supported_operators").sklearn_operator_name_map.get(type(model))
    if alias is None:  # the conversion says that there is no converter
        return ()
    known: Collection[str] = (
        library("skl2onnx.common._registration").get_converter(alias).get_allowed_options()
    )
    return known or ()


@contextmanager
def _voting_plainly(model: Any) -> Iterator[None]:
    """Let voting models be converted: converters refuse weights in a list, and how a classifier would transform."""
    ensemble, asarray = library("sklearn.ensemble"), library("numpy").asarray
    kinds = (ensemble.VotingClassifier, ensemble.VotingRegressor)
    voters = [part for part in parts_of(model) if isinstance(part, kinds)]
    kept = [dict(vars(voter)) for voter in voters]
    try:
        for voter in voters:
            voter.flatten_transform = False
            voter.weights = None if voter.weights is None else asarray(voter.weights)
        yield
    finally:
        for voter, attributes in zip(voters, kept):
            vars(voter).clear()
            vars(voter).update(attributes)


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
    if getattr(getattr(model, "classes_", None), "dtype", None) == "bool":
        # The library's own way takes them for texts; this one makes 0 and 1 of them.
        return _sklearn(model, [(_TABLE, _numbers("float")([None, width]))])
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
    """Return the file, with what converters leave out for a server on Linux or for each row to have a label."""
    if sys.platform == "linux":
        _name_locales(model.graph)
    _put_labels_in_rows(model.graph)
    return bytes(model.SerializeToString())


def _name_locales(graph: Any) -> None:
    """Let texts change their case by rules that need no language installed."""
    make = library("onnx.helper").make_attribute
    for node in graph.node:
        if node.op_type == "StringNormalizer" and not any(a.name == "locale" for a in node.attribute):
            node.attribute.append(make("locale", "C.UTF-8"))


def _put_labels_in_rows(graph: Any) -> None:
    """Make a label for each row of what would be one row of labels, where a file ends in picking them from a list."""
    name = graph.output[0].name
    for node in graph.node:
        if node.op_type == "ArrayFeatureExtractor" and node.output[0] == name:
            row, shape = f"{name}_in_one_row", f"{name}_shape"
            node.output[0] = row
            graph.initializer.append(
                library("onnx.numpy_helper").from_array(library("numpy").array([-1]), shape)
            )
            graph.node.append(library("onnx.helper").make_node("Reshape", [row, shape], [name]))
            return


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
