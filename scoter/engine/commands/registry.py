"""Which function runs which command.

This module must not know what they do.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from scoter.engine.commands import (
    commenting,
    defining,
    looking,
    modelling,
    models_shown,
    registering,
    session,
    viewing,
)
from scoter.engine.commands.looking import COLUMNS
from scoter.engine.commands.outcome import Call, Command, Outcome
from scoter.engine.statements import DescribeQuery, Statement
from scoter.errors import InternalError, NotSupported


def _describe_query(_call: Call) -> Outcome:
    raise InternalError("DESCRIBE of a query is answered from its plan")


_COMMANDS: Mapping[type[Statement], Command] = {
    **session.COMMANDS,
    **looking.COMMANDS,
    **defining.COMMANDS,
    **modelling.COMMANDS,
    **models_shown.COMMANDS,
    **commenting.COMMANDS,
    **registering.COMMANDS,
    **viewing.COMMANDS,
    DescribeQuery: Command(COLUMNS, _describe_query, changes=False),
}


def command_of(tree: exp.Expr) -> Command:
    """Return how a statement is run; raises NotSupported for one that is not."""
    found = _COMMANDS.get(type(tree)) if isinstance(tree, Statement) else None
    if found is None:
        raise NotSupported(f"{type(tree).__name__} is not offered")
    return found
