"""Keep DuckDB from computing large constants while it only binds.

DuckDB folds constant expressions when it binds, where no timeout, cancel or memory limit of a statement
holds: `len(range(400000000))` would take gigabytes before the statement has a place. A volatile argument
makes the call no constant; types stay as they are. SQL that is run is not changed.
This module must not know why a statement is bound.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.gate import function_name

GROWING = frozenset(
    [
        "array_resize",
        "bar",
        "bitstring",
        "concat",
        "format",
        "generate_series",
        "list_concat",
        "list_resize",
        "lpad",
        "printf",
        "range",
        "regexp_replace",
        "repeat",
        "replace",
        "rpad",
        "translate",
    ]
)


def unfold(tree: exp.Expr) -> exp.Expr:
    """Return ``tree`` with constant calls that make much out of little given a volatile argument, in place."""
    for node in list(tree.find_all(exp.Anonymous)):
        in_from = isinstance(node.parent, exp.Table)
        if in_from or function_name(node) not in GROWING or not node.expressions or node.find(exp.Column):
            continue
        first = node.expressions[0]
        if isinstance(first, exp.PropertyEQ | exp.Kwarg):
            continue
        draw = exp.Anonymous(this="random")
        never = exp.If(this=exp.GT(this=draw, expression=exp.Literal.number(2)), true=exp.Null())
        first.replace(exp.Case(ifs=[never], default=first.copy()))
    return tree
