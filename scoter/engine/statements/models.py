"""The statements and calls of models.

This module must not know how they are read, checked or run.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

from scoter.engine.statements.places import Statement, text_of


class ModelReference(exp.Expression):
    """``[schema.]model[@version]``; the version is a number or an alias, kept as a string literal."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "db": False, "version": False}

    @property
    def schema(self) -> str | None:
        """The schema's name as written, or None."""
        return text_of(self, "db")

    @property
    def version(self) -> str | None:
        """What stands behind ``@``, or None."""
        return text_of(self, "version")


class ModelInput(exp.Expression):
    """``name type [ON NULL NULL | NAN | ERROR | literal]`` of an INPUT list.

    ``on_null`` is a Var (NULL, NAN, ERROR) or a literal.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": True, "on_null": False}


class ModelOutput(exp.Expression):
    """``name [type]`` of an OUTPUT list."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": False}


class Option(exp.Expression):
    """``name = value`` of a WITH list."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True}


class CreateModel(Statement):
    """``CREATE [OR REPLACE] MODEL [IF NOT EXISTS] m FROM 'uri' | ? [INPUT (…)] [OUTPUT (…)] [WITH (…)]``."""

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "source": True,
        "replace": False,
        "exists": False,
        "inputs": False,
        "outputs": False,
        "options": False,
    }


class AddModelVersion(Statement):
    """``ALTER MODEL m ADD VERSION FROM 'uri' | ? [INPUT (…)] [OUTPUT (…)] [WITH (…)]``."""

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "source": True,
        "inputs": False,
        "outputs": False,
        "options": False,
    }


class SetModelDefault(Statement):
    """``ALTER MODEL m SET DEFAULT_VERSION = 3``; ``version`` is a number or alias as a string literal."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "version": True}


class SetModelAlias(Statement):
    """``ALTER MODEL m SET ALIAS champion = 3``, or ``… VERSION 3 SET ALIAS = champion``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "alias": True, "version": True}


class DropModelAlias(Statement):
    """``ALTER MODEL m DROP ALIAS champion``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "alias": True}


class DropModelVersion(Statement):
    """``ALTER MODEL m DROP VERSION 2``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "version": True}


class RenameModel(Statement):
    """``ALTER MODEL m RENAME TO n``; ``name`` is a ModelReference without a version."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "name": True}


class SetModelOwner(Statement):
    """``ALTER MODEL m OWNER TO u``; ``owner`` is an identifier."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "owner": True}


class SetModelTags(Statement):
    """``ALTER MODEL m SET TAG t = 'x', …``; ``tags`` are Options with string literals."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "tags": True}


class UnsetModelTags(Statement):
    """``ALTER MODEL m UNSET TAG t, …``; ``tags`` are identifiers."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "tags": True}


class CommentOnModel(Statement):
    """``COMMENT ON MODEL m IS 'text' | NULL``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "comment": True}


class DropModel(Statement):
    """``DROP MODEL [IF EXISTS] m``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False}


ON_ERROR = ("return", "fail")


class Predict(exp.Expression, exp.Condition):
    """A scalar model call; ``kind`` is ``predict``, ``proba``, ``all``, ``try``, or ``together`` where a rule made it.

    ``model`` is the expression that names the model, ``arguments`` the features, ``class_label`` what
    stands behind ``class =>``, ``on_error`` the literal behind ``on_error =>``. A call that is several together has
    ``results``: of each what stands behind ``class =>``, or its kind as an Identifier.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "model": True,
        "arguments": False,
        "kind": True,
        "class_label": False,
        "on_error": False,
        "results": False,
    }

    @property
    def model(self) -> exp.Expr:
        """The expression that names the model; only a string literal can be resolved."""
        return self.args["model"]  # type: ignore[no-any-return]  # arguments of a node are untyped

    @property
    def arguments(self) -> list[exp.Expr]:
        """The feature arguments in the order written."""
        return self.args.get("arguments") or []

    @property
    def kind(self) -> str:
        """One of ``predict``, ``proba``, ``all``, ``try``, ``together``."""
        return str(self.args["kind"])

    @property
    def class_label(self) -> exp.Expr | None:
        """The label whose probability is asked for, or None."""
        return self.args.get("class_label")

    @property
    def results(self) -> list[exp.Expr]:
        """What each of the calls wants that are this one together."""
        return self.args.get("results") or []

    @property
    def on_error(self) -> exp.Expr | None:
        """``'return'`` or ``'fail'`` as a literal, or None."""
        return self.args.get("on_error")

    @property
    def tries(self) -> bool:
        """Say whether a row that fails has a result, and the statement goes on."""
        return self.kind == "try" or (self.on_error is not None and self.on_error.name == ON_ERROR[0])


class TableCall(exp.Expression):
    """``ML_…(MODEL m@v, TABLE t | TABLE (SELECT …) [, name => value …])`` in FROM.

    ``expression`` is a Table or a query; ``options`` are Option nodes.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True, "options": False}
    function: ClassVar[str] = ""


class MlPredict(TableCall):
    """The rows of a relation, and beside each what a model gives for it."""

    function = "ML_PREDICT"


class MlEvaluate(TableCall):
    """One row: how good a model's results are for a relation that knows the right ones."""

    function = "ML_EVALUATE"
