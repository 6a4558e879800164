"""What a model takes and gives, in the words of SQL.

This module must not know ONNX Runtime, files or connections.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from scoter.errors import CorruptData, NotSupported, WrongArguments

_FORMAT = 1


@dataclass(frozen=True)
class Input:
    """One argument of a model.

    ``type`` is the DuckDB type that the argument is cast to, ``tensor`` the name of the model's
    input. ``position`` is the place inside a [N, F] tensor, or None for a [N, 1] or [N] tensor of
    its own. ``on_null`` is NULL (the row's result is NULL), NAN, ERROR, or the text of a value.
    """

    name: str
    type: str
    tensor: str
    position: int | None
    on_null: str = "NULL"


@dataclass(frozen=True)
class Output:
    """One result of a model: its name in the model, DuckDB type, and role.

    ``role`` is label, value, probabilities or other. The first output is what PREDICT returns.
    """

    name: str
    type: str
    role: str


@dataclass(frozen=True)
class Signature:
    """Inputs in positional order, outputs with the primary one first, class labels of a classifier.

    ``named`` says whether arguments can bind by name.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    labels: tuple[str | int, ...]
    named: bool

    def to_json(self) -> str:
        """Return the signature as one line of JSON with sorted keys."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Signature:
        """Read what ``to_json`` wrote; raises CorruptData for anything else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("format") != _FORMAT:
                raise CorruptData("a model's stored signature has a format that this version can not read")
            return cls(
                inputs=tuple(Input(**each) for each in fields["inputs"]),
                outputs=tuple(Output(**each) for each in fields["outputs"]),
                labels=tuple(fields["labels"]),
                named=fields["named"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptData("a model's stored signature can not be read") from error

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
                hint="PREDICT_PROBA needs a classifier whose file names its class labels",
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
