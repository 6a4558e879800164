"""What a statement does, as frozen facts: what it reads, writes and calls.

This module must not know whether it may.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp

from scoter.catalog.names import ModelName, TableName
from scoter.catalog.principals import Role
from scoter.engine import statements as st
from scoter.engine.plan import Kind
from scoter.engine.resolved import Resolved

_ADMIN = (
    st.CreateModel,
    st.AddModelVersion,
    st.SetModelDefault,
    st.SetModelAlias,
    st.DropModelAlias,
    st.DropModelVersion,
    st.RenameModel,
    st.SetModelOwner,
    st.SetModelTags,
    st.UnsetModelTags,
    st.CommentOnModel,
    st.DropModel,
    # It names a file of the server, as CREATE MODEL does.
    st.RegisterTable,
)
_WRITER = (
    exp.Insert,
    st.Merge,
    st.CreateTable,
    st.DropTable,
    st.CreateView,
    st.DropView,
    st.RenameView,
    st.CreateSchema,
    st.DropSchema,
    st.CommentOn,
)


@dataclass(frozen=True)
class Analysis:
    """The facts that authorisation decides on."""

    kind: Kind
    needs: Role
    action: str
    reads: tuple[TableName, ...]
    models: tuple[ModelName, ...]


def analyse(resolved: Resolved) -> Analysis:
    """Return what a statement does; the role it needs follows from its kind alone."""
    tree = resolved.tree
    inner = tree.this if isinstance(tree, st.Explain) else tree
    needs = Role.READER
    if isinstance(inner, _ADMIN):
        needs = Role.ADMIN
    elif isinstance(inner, _WRITER):
        needs = Role.WRITER
    return Analysis(
        kind=kind_of(tree),
        needs=needs,
        action="EXPLAIN" if isinstance(tree, st.Explain) else action_of(inner),
        reads=tuple(
            dict.fromkeys([s.name for s in resolved.sources] + [v.name for v in resolved.pins.views])
        ),
        models=tuple(dict.fromkeys(v.model for v in resolved.models)),
    )


def kind_of(tree: exp.Expr) -> Kind:
    """Return whether a statement queries, writes rows, or does something else."""
    if isinstance(tree, exp.Query | exp.Values):
        return Kind.QUERY
    if isinstance(tree, exp.Insert | st.Merge) or (
        isinstance(tree, st.CreateTable) and tree.expression is not None
    ):
        return Kind.WRITE
    return Kind.COMMAND


def action_of(tree: exp.Expr) -> str:
    """Return the statement's verb as the log and errors name it, such as ``CREATE TABLE``."""
    if isinstance(tree, exp.Query | exp.Values):
        return "SELECT"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(tree).__name__).upper()
