"""What a model takes and gives, in the words of SQL.

This module must not know ONNX Runtime, files or connections.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from scoter.errors import CorruptData, InvalidDefinition, NotSupported, WrongArguments

_FORMAT = 2
_READABLE = (1, 2)  # 1 knew values and no lists
_LENGTH = re.compile(r"\[\d+\]")

MOST_COLUMNS = 10_000  # that a model takes as values; more are a list

Shape = tuple[int | None, ...]


def is_list(shape: Shape) -> bool:
    """Say whether an input of which a row has this shape takes a list, not a value for each column."""
    return len(shape) > 1 or (len(shape) == 1 and (shape[0] is None or shape[0] > MOST_COLUMNS))


def list_type(element: str, shape: Shape) -> str:
    """Return DuckDB's type of a list of that shape, the outermost dimension first; None is any length.

    >>> list_type("FLOAT", (3, 28, None))
    'FLOAT[][28][3]'
    """
    return element + "".join("[]" if length is None else f"[{length}]" for length in reversed(shape))


def fold(name: str) -> str:
    """Fold a name for comparison: exporters turn what is not an identifier into underscores."""
    return re.sub(r"\W|_", "", name).casefold()


@dataclass(frozen=True)
class Input:
    """One argument of a model.

    ``type`` is its DuckDB type, with the lengths of lists; ``tensor`` the name of the model's input.
    ``position`` is the place inside a [N, F] tensor, or None for an input of its own. ``on_null`` is NULL
    (the row's result is NULL), NAN, ERROR, or the text of a value. ``shape`` is what a row has of the tensor,
    () for a value; a list of less depth holds the same values in a row. Without an optional input the model runs, too.
    ``holds`` is the type of the tensor's values in ONNX Runtime's words, None where an older version did not write it.
    """

    name: str
    type: str
    tensor: str
    position: int | None
    on_null: str = "NULL"
    shape: Shape = ()
    is_optional: bool = False
    holds: str | None = None

    @property
    def is_left_out(self) -> bool:
        """Say whether the model runs without the input for a row where it is NULL."""
        return self.is_optional and self.on_null == "NULL"

    @cached_property
    def argument(self) -> str:
        """The type that the argument is cast to: lists of any length, for their lengths are checked later."""
        return _LENGTH.sub("[]", self.type)

    @property
    def element(self) -> str:
        """The type of one value."""
        return self.type.partition("[")[0]

    @property
    def depth(self) -> int:
        """How deep lists are nested in the argument: 0 for a value."""
        return self.type.count("[")

    @property
    def flat(self) -> Input | None:
        """The same input as one list of all its values, None where their number is not known."""
        if len(self.shape) < 2 or None in self.shape:
            return None
        count = math.prod(length or 0 for length in self.shape)
        return replace(self, type=list_type(self.element, (count,)))


@dataclass(frozen=True)
class Output:
    """One result of a model: its name in the model, DuckDB type, and role.

    ``role`` is label, value, probabilities or other. The first output is what PREDICT returns. ``tensor`` is its
    name in the file where it was given another one.
    """

    name: str
    type: str
    role: str
    tensor: str | None = None

    @property
    def in_file(self) -> str:
        """The output's name in the file."""
        return self.tensor or self.name


@dataclass(frozen=True)
class Signature:
    """Inputs in positional order, outputs with the primary one first, class labels of a classifier.

    ``named`` says whether arguments can bind by name, ``batch`` how many rows the model takes at a time
    (None for any number).
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    labels: tuple[str | int, ...]
    named: bool
    batch: int | None = None

    def to_json(self) -> str:
        """Return the signature as one line of JSON with sorted keys."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Signature:
        """Read what ``to_json`` wrote; raises CorruptData for anything else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("format") not in _READABLE:
                raise CorruptData("a model's stored signature has a format that this version can not read")
            return cls(
                inputs=tuple(
                    Input(**{**each, "shape": tuple(each.get("shape", ()))}) for each in fields["inputs"]
                ),
                outputs=tuple(Output(**each) for each in fields["outputs"]),
                labels=tuple(fields["labels"]),
                named=fields["named"],
                batch=fields.get("batch"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptData("a model's stored signature can not be read") from error

    @cached_property
    def of_tensors(self) -> Signature | None:
        """The signature with one list in place of all values of an [N, F] tensor; None without such a tensor.

        Values of one tensor that were declared with different types or answers to NULL stay apart.
        """
        found: dict[str, list[Input]] = {}
        for each in self.inputs:
            found.setdefault(each.tensor, []).append(each)
        inputs: list[Input] = []
        for each in self.inputs:
            values = found[each.tensor]
            alike = len({(value.type, value.on_null) for value in values}) == 1
            if each.position is None or len(values) == 1 or not alike:
                inputs.append(each)
            elif each is values[0]:
                shape = (len(values),)
                whole = list_type(each.type, shape)
                inputs.append(
                    Input(each.tensor, whole, each.tensor, None, each.on_null, shape, holds=each.holds)
                )
        if len(inputs) == len(self.inputs):
            return None
        return replace(self, inputs=tuple(inputs), named=all(each.position is None for each in inputs))

    def taking(self, depths: Sequence[int | None]) -> Signature:
        """Return the signature that fits arguments of these depths of lists, None for one of no type.

        A tensor may be given as its values, as one list, or nested. Where nothing fits it is this one.
        """
        whole = self.of_tensors
        signature = self
        if len(depths) != len(self.inputs) and whole is not None and len(depths) == len(whole.inputs):
            is_list = [depth != 0 for each, depth in zip(whole.inputs, depths, strict=True) if each.depth]
            signature = whole if all(is_list) else self
        if len(depths) != len(signature.inputs):
            return signature
        inputs = tuple(
            each.flat or each if depth == 1 else each
            for each, depth in zip(signature.inputs, depths, strict=True)
        )
        return signature if inputs == signature.inputs else replace(signature, inputs=inputs)

    def naming(self, names: Sequence[str]) -> Signature:
        """Return the signature with other names of its outputs, in their order.

        Raises InvalidDefinition for a wrong number, and for a name that stands twice.
        """
        if len(names) != len(self.outputs):
            raise InvalidDefinition(
                f"OUTPUT names {len(names)} outputs, the model has {len(self.outputs)}",
                hint=f"they are {', '.join(f'{each.name} {each.type}' for each in self.outputs[:20])}",
            )
        if len({name.casefold() for name in names}) < len(names):
            raise InvalidDefinition("OUTPUT has a name twice")
        outputs = (
            replace(each, name=name, tensor=each.in_file)
            for name, each in zip(names, self.outputs, strict=True)
        )
        return replace(self, outputs=tuple(outputs))

    @property
    def primary(self) -> Output:
        """The output that PREDICT returns."""
        return self.outputs[0]

    @property
    def probabilities(self) -> Output | None:
        """The output with one probability for each label, if the model has one."""
        return next((output for output in self.outputs if output.role == "probabilities"), None)

    @property
    def label_type(self) -> str:
        """DuckDB type of a class label."""
        return "VARCHAR" if self.labels and isinstance(self.labels[0], str) else "BIGINT"

    @property
    def task(self) -> str:
        """What the model does: ``classification``, ``regression`` (one number a row) or ``other``."""
        if self.primary.role == "label" or self.probabilities is not None:
            return "classification"
        return "regression" if self.primary.type in ("FLOAT", "DOUBLE") else "other"

    def predict_type(self) -> str:
        """Return DuckDB's type of PREDICT."""
        return self.primary.type

    def proba_type(self) -> str:
        """Return DuckDB's type of PREDICT_PROBA without a class.

        Raises NotSupported for a model that has no class probabilities.
        """
        if self.probabilities is None:
            raise NotSupported(
                "the model has no class probabilities",
                hint="PREDICT_PROBA needs a model that gives a probability for each class label in its file; PREDICT_ALL shows all that a model gives",
            )
        return f"MAP({self.label_type}, DOUBLE)"

    def struct_type(self) -> str:
        """Return DuckDB's type of PREDICT_ALL; raises NotSupported where outputs have one name in SQL."""
        names = [output.name.casefold() for output in self.outputs]
        if len(set(names)) < len(names):
            raise NotSupported(
                "two outputs of the model differ by case only", hint="PREDICT gives the first one"
            )
        fields = ['"' + output.name.replace('"', '""') + f'" {output.type}' for output in self.outputs]
        return f"STRUCT({', '.join(fields)})"

    def label_index(self, text: str) -> int:
        """Return the place of the class label written as ``text`` among the probabilities.

        Raises WrongArguments for a label that the model does not have.
        """
        for place, label in enumerate(self.labels):
            if str(label) == text:
                return place
        raise WrongArguments(
            f"the model has no class '{text}'",
            hint=f"its classes are {', '.join(str(label) for label in self.labels[:20])}",
        )
