"""ML_PREDICT and ML_EVALUATE in FROM become queries over what the model gives for each row of their relation.

This module must not know how names are found or how a model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.evaluation import EVALUATED, RESULT, SCORED, TRUE, evaluation
from scoter.engine.marks import READ_WHOLE, VOLATILE_CALL
from scoter.engine.statements import (
    CreateView,
    MlEvaluate,
    ModelReference,
    Option,
    Predict,
    TableCall,
    span_of,
)
from scoter.errors import NotSupported, ScoterError, Span, WrongArguments
from scoter.udfs.signature import Output, Signature

BESIDE = "scoter_beside"
"""Marks a call beside whose results all columns of its row stand: the names that these may not have."""

_ROW = "scoter_row"
_OPTIONS = ("threshold", "keep_original_columns")
_OWN_NAMES = frozenset({_ROW, RESULT, SCORED, TRUE})
_AROUND = ("joins", "pivots", "sample", "laterals")

VersionOf = Callable[[str, exp.Expr], ModelVersion]


def expand_table_calls(tree: exp.Expr, version_of: VersionOf) -> frozenset[str]:
    """Replace each call by a subquery, in place; ``version_of`` gives the version that a text such as 'm@3' means.

    Returns the folded names of tables of which a call sees all columns: none may have a name of its own (``check_names``).
    Raises WrongArguments for an option that is not known or has no such value, NotSupported for a threshold of
    what is no classifier of two classes, for an evaluation of what gives neither classes nor numbers, or in a view.
    """
    calls = list(tree.find_all(TableCall, bfs=False))
    for call in calls:
        for name in call.expression.find_all(exp.Identifier):
            if name.name.casefold() in _OWN_NAMES and _names_a_column(name, call.expression):
                raise _own_name(name.name, span_of(name) or span_of(call))
    seen = frozenset(
        table.name.casefold()
        for call in calls
        if isinstance(call.expression, exp.Table) or call.expression.find(exp.Star, exp.Columns)
        for table in call.expression.find_all(exp.Table)
    )
    # The ones inside another's relation first.
    for call in reversed(calls):
        node = call.parent
        assert isinstance(node, exp.Table)  # noqa: S101  # the gate lets it stand nowhere else
        model = _text(call.this)
        signature = Signature.from_json(version_of(model, call).signature)
        if isinstance(call, MlEvaluate) and isinstance(tree, CreateView):
            # Its text would keep the classes that the model has now.
            raise NotSupported(
                "ML_EVALUATE in a view is not offered", hint="ask it of a view", span=span_of(call)
            )
        query = _evaluation if isinstance(call, MlEvaluate) else _query
        subquery = exp.Subquery(this=query(call, model, signature), alias=node.args.get("alias"))
        for key in _AROUND:
            if node.args.get(key):
                subquery.set(key, node.args[key])
        node.replace(subquery)
    return seen


def _names_a_column(name: exp.Identifier, query: exp.Expr) -> bool:
    """Say whether a name is an alias in a query, or that of a column which it lists as it is."""
    holder = name.parent
    if not isinstance(holder, exp.Column):
        return isinstance(holder, exp.Alias | exp.TableAlias)
    listed: exp.Expr | None = holder
    while listed is not query and isinstance(listed, exp.Column | exp.Paren | exp.Select | exp.SetOperation):
        listed = None if listed.arg_key in {"with_", "from_"} else listed.parent
    return name.arg_key == "this" and listed is query


def check_names(columns: Iterable[str]) -> None:
    """Raise WrongArguments for a column of a call's rows with a name that the call uses itself."""
    for name in columns:
        if name.casefold() in _OWN_NAMES:
            raise _own_name(name, None)


def _own_name(name: str, span: Span | None) -> WrongArguments:
    return WrongArguments(
        f"the rows have a column {name}, a name that calls in FROM use themselves",
        hint="give it another one in TABLE (SELECT …)",
        span=span,
    )


def _text(model: ModelReference) -> str:
    """Return the model as scalar calls write it: 'schema.name@version'."""
    named = ".".join(part.name for part in (model.args.get("db"), model.this) if part is not None)
    version = model.args.get("version")
    return f"{named}@{version.name}" if version is not None else named


def _query(call: TableCall, model: str, signature: Signature) -> exp.Select:
    options = _options(call, _OPTIONS)
    predict, relation = _scored(call, model)
    threshold = options.get("threshold")
    results = [
        exp.alias_(
            _result(output, signature, threshold if output is signature.primary else None),
            f"predicted_{output.name}",
            quoted=True,
        )
        for output in signature.outputs
    ]
    kept = _kept(options.get("keep_original_columns"))
    names = [result.alias.casefold() for result in results]
    if isinstance(kept[0], exp.Star):
        predict.meta[BESIDE] = frozenset(names)
    for column in kept:
        if column.name.casefold() in names:
            raise WrongArguments(f"a result is called {column.name}, too", span=span_of(column))
    scored = exp.Select(expressions=[exp.Star(), exp.alias_(predict, RESULT)]).from_(relation, copy=False)
    return exp.Select(expressions=[*kept, *results]).from_(exp.Subquery(this=scored), copy=False)


def _evaluation(call: TableCall, model: str, signature: Signature) -> exp.Expr:
    option = _options(call, ("label",)).get("label")
    if option is None or not option.expression.is_string:
        raise WrongArguments(
            "ML_EVALUATE needs the name of the column with the right results",
            hint="write label => 'column'",
            span=span_of(option or call),
        )
    try:
        wanted = evaluation(signature, model, option.expression.name)
    except ScoterError as error:
        error.span = span_of(call)
        raise
    predict, relation = _scored(call, model)
    predict.meta[EVALUATED] = (wanted.of_label, wanted.of_model)
    true = exp.column(exp.to_identifier(option.expression.name, quoted=True), table=_ROW)
    true.this.meta.update(option.meta)
    scored = exp.Select(expressions=[exp.alias_(true, TRUE), exp.alias_(predict, RESULT)])
    scored.meta[READ_WHOLE] = True
    inner = exp.Subquery(this=scored.from_(relation, copy=False))
    # What has no names of the lake in it stays text: no stage needs to search or copy it.
    parts = [exp.alias_(exp.Var(this=text), name) for name, text in wanted.scored.items()]
    within = exp.CTE(
        this=exp.Select(expressions=parts).from_(inner, copy=False),
        alias=exp.TableAlias(this=exp.to_identifier(SCORED)),
        materialized=True,
    )
    columns = [exp.column(exp.to_identifier(name, quoted=True)) for name in wanted.columns]
    query = exp.Select(expressions=columns).from_(exp.Table(this=exp.Var(this=f"({wanted.measures})")))
    query.set("with_", exp.With(expressions=[within]))
    return query


def _scored(call: TableCall, model: str) -> tuple[Predict, exp.Expr]:
    """Return the call on each row of a relation, and the relation."""
    predict = Predict(
        model=exp.Literal.string(model), arguments=[exp.Column(this=exp.to_identifier(_ROW))], kind="all"
    )
    predict.meta.update(call.meta)
    # Its fields stand apart, and a condition on one shall not make the model run again.
    predict.meta[VOLATILE_CALL] = True
    relation = call.expression
    alias = exp.TableAlias(this=exp.to_identifier(_ROW))
    if isinstance(relation, exp.Table):
        relation.set("alias", alias)
        return predict, relation
    return predict, exp.Subquery(this=relation, alias=alias)


def _options(call: TableCall, known: Sequence[str]) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for option in call.args.get("options") or []:
        name = option.name.casefold()
        if name not in known or name in found:
            fault = "stands twice" if name in found else f"is none of {call.function}"
            raise WrongArguments(
                f"option {option.name} {fault}",
                hint=f"it takes {' and '.join(known)}",
                span=span_of(option),
            )
        if option.find(exp.Placeholder, exp.Parameter) is not None:
            raise NotSupported(
                f"{option.name} takes a constant",
                hint="the call is read before a parameter has its value",
                span=span_of(option),
            )
        found[name] = option
    return found


def _kept(option: Option | None) -> Sequence[exp.Expr]:
    if option is None:
        return [exp.Star(except_=[exp.to_identifier(RESULT)])]
    value = option.expression
    if (
        not isinstance(value, exp.Array)
        or not value.expressions
        or not all(isinstance(one, exp.Literal) and one.is_string for one in value.expressions)
    ):
        raise WrongArguments("keep_original_columns is a list of names: ['id', 'day']", span=span_of(option))
    columns = [exp.column(exp.to_identifier(one.name, quoted=True)) for one in value.expressions]
    for column in columns:
        column.meta.update(option.meta)
    return columns


def _result(output: Output, signature: Signature, threshold: Option | None) -> exp.Expr:
    value = _output(output.name)
    if threshold is None:
        return value
    limit = threshold.expression
    if not isinstance(limit, exp.Literal) or limit.is_string or not _is_share(limit.name):
        raise WrongArguments("threshold is a number from 0 to 1", span=span_of(threshold))
    known = signature.probabilities
    if known is None or len(signature.labels) != 2 or output.role != "label":
        raise _no_threshold(threshold)
    low, high = (
        exp.Literal.string(one) if isinstance(one, str) else exp.Literal.number(one)
        for one in signature.labels
    )
    chance = exp.Bracket(this=_output(known.name), expressions=[high])
    # To DuckDB NaN is above all numbers.
    likely = exp.And(
        this=exp.GTE(this=chance, expression=limit.copy()),
        expression=exp.Not(this=exp.IsNan(this=chance.copy())),
    )
    chosen = exp.Case(ifs=[exp.If(this=likely, true=high.copy())], default=low)
    # A row without a result has no label.
    return exp.Case(
        ifs=[exp.If(this=exp.Is(this=value, expression=exp.Null()), true=value.copy())], default=chosen
    )


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _no_threshold(threshold: Option) -> ScoterError:
    return NotSupported(
        "threshold needs a classifier of two classes with probabilities",
        hint="leave it out, or compare predicted_… with a number",
        span=span_of(threshold),
    )


def _output(name: str) -> exp.Expr:
    return exp.Anonymous(
        this="struct_extract", expressions=[exp.column(exp.to_identifier(RESULT)), exp.Literal.string(name)]
    )
