"""Replace what tools ask of a session, such as `current_user` and `version()`, by constants.

`user` or `current_date` without parentheses is a column where there is one of that name, as in DuckDB.
DuckDB's own answers would tell about the engine behind the server, so that none may reach it.
This module must not know how a session is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlglot import exp

from scoter import __version__
from scoter.engine.context import Context
from scoter.engine.functions import SESSION, SESSION_WORDS
from scoter.engine.gate import function_name
from scoter.engine.replacing import put

# The functions for which words stand where no column has their name. DuckDB would still read the word
# as a column where the result is named like it.
_FUNCTIONS = {
    "current_date": "current_date",
    "current_time": "get_current_time",
    "current_timestamp": "get_current_timestamp",
    "localtime": "current_localtime",
    "localtimestamp": "current_localtimestamp",
    **{word: word for word in SESSION_WORDS & SESSION},
}
_WHO = frozenset({"current_user", "session_user", "user"})


def constants(context: Context, engine: str) -> dict[str, str]:
    """Return the value of every function of a session; ``engine`` is what executes its queries."""
    who = dict.fromkeys(_WHO, context.principal.name)
    catalog = dict.fromkeys(("current_catalog", "current_database"), context.catalog)
    version = f"Scoter {__version__} ({engine})"
    return {**who, **catalog, "current_schema": context.schema, "version": version}


def asks_who(tree: exp.Expr) -> bool:
    """Say whether the statement's result may depend on who asks."""
    return any(_name(node) in _WHO for node in tree.walk())


def is_constant(node: exp.Expr) -> bool:
    """Say whether a node may be a constant of the session."""
    return _name(node) in SESSION


def settle_words(tree: exp.Expr, columns: Iterable[tuple[str, str]]) -> None:
    """Make every word that may be a column or a function the one that it is, in place.

    ``columns`` are names and types of all tables read. A word that any of them, or a name in the
    statement, could mean stays a column; DuckDB's binder then says whether it is one.
    """
    words = [node for node in tree.walk() if _word(node) is not None]
    if not words:
        return
    taken = set(_suppliers(tree, words))
    listed = [f"{name} {kind}".casefold() for name, kind in columns]
    for node in words:
        name = _word(node) or ""
        column = name in taken or any(name in text for text in listed)
        if not column:
            _put(node, exp.Anonymous(this=_FUNCTIONS[name]), node.name or name)
        elif not isinstance(node, exp.Column):
            _put(node, exp.column(exp.to_identifier(name, quoted=True)), None)


def pin_session(tree: exp.Expr, values: dict[str, str]) -> None:
    """Replace every function of the session by its value, in place."""
    for node in list(tree.walk()):
        name = _name(node)
        if name in SESSION and not isinstance(node, exp.Column):
            text = exp.Literal.string(values[name])
            _put(node, exp.Cast(this=text, to=exp.DataType.build("VARCHAR", dialect="duckdb")), None)


def _put(node: exp.Expr, new: exp.Expr, name: str | None) -> None:
    listed = isinstance(node.parent, exp.Select) and node.arg_key == "expressions"
    new.meta.update(node.meta)
    put(node, exp.alias_(new, name, quoted=True) if listed and name is not None else new)


def _name(node: exp.Expr) -> str | None:
    """Return the name of a call or of a word that may be one, in lower case."""
    word = _word(node)
    return word if word is not None else function_name(node)


def _word(node: exp.Expr) -> str | None:
    """Return a name without parentheses that may be a column or a function."""
    if isinstance(node, exp.Column):
        name = node.name.casefold()
        return name if not node.table and name in _FUNCTIONS else None
    if isinstance(node, exp.Anonymous):
        return None
    name = function_name(node) or ""
    return name if name in _FUNCTIONS else None


def _suppliers(tree: exp.Expr, words: Sequence[exp.Expr]) -> Iterator[str]:
    """Yield every name in the statement that could give a column its name."""
    known = {id(word) for word in words}
    for node in tree.walk():
        if isinstance(node, exp.Literal) and node.is_string:
            # Values become columns in PIVOT, texts are keys of structs.
            if isinstance(node.parent, exp.PropertyEQ) or node.find_ancestor(exp.Pivot):
                yield node.name.casefold()
        elif isinstance(node, exp.Identifier):
            holder = node.parent
            uses = isinstance(holder, exp.Column) and (id(holder) in known or bool(holder.table))
            # Whichever of the two is meant, an alias of the same name is the same value.
            same = isinstance(holder, exp.Alias) and _word(holder.this) == node.name.casefold()
            if not uses and not same:
                yield node.name.casefold()
